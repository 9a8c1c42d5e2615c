#ifndef GATEWAY_HUB_KEPT_EVENTS_H_
#define GATEWAY_HUB_KEPT_EVENTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "gateway/hub/batch.h"

namespace headgate {

// An event that waits for the stream, or for the backend's Ack.
struct QueuedEvent {
  enum class Kind { kOther, kJoined, kLeft, kReport };
  Who who = 0;
  Kind kind = Kind::kOther;
  std::string body;        // Serialized, without seq and who.
  std::size_t credit = 0;  // Of a worker's event.

  std::size_t bytes() const { return body.size() + kHubEventCost; }
};

// Events that were given to a stream and are not acknowledged. Their numbers
// follow each other without a hole.
//
// Not thread-safe.
class KeptEvents {
 public:
  // `seq`: one more than that of the event before, if there is one.
  void Add(std::uint64_t seq, QueuedEvent event) {
    if (events_.empty()) first_ = again_ = seq;
    if (again_ == seq) ++again_;
    bytes_ += event.bytes();
    if (event.kind == QueuedEvent::Kind::kLeft) ++lefts_;
    events_.push_back(std::move(event));
  }

  // Null: the event is acknowledged, or was never kept.
  const QueuedEvent* Find(std::uint64_t seq) const {
    if (seq < first_ || seq - first_ >= events_.size()) return nullptr;
    return &events_[static_cast<std::size_t>(seq - first_)];
  }

  // Forgets the oldest one if its number is at most `seq`; false: there is none
  // such.
  bool PopUpTo(std::uint64_t seq, QueuedEvent& event) {
    if (events_.empty() || first_ > seq) return false;
    event = std::move(events_.front());
    events_.pop_front();
    bytes_ -= event.bytes();
    if (event.kind == QueuedEvent::Kind::kLeft) --lefts_;
    again_ = std::max(again_, ++first_);
    return true;
  }

  // --- On the next stream ---

  // All are to be sent again.
  void Rewind() { again_ = first_; }
  bool has_again() const { return Find(again_) != nullptr; }
  // The number of the next one that is to be sent again.
  std::uint64_t again() const { return again_; }
  void SkipAgain() { ++again_; }

  void Clear() { *this = {}; }
  std::size_t bytes() const { return bytes_; }
  // Left events among them.
  std::size_t lefts() const { return lefts_; }

 private:
  std::deque<QueuedEvent> events_;
  std::uint64_t first_ = 1;  // The number of the first one.
  std::uint64_t again_ = 1;
  std::size_t bytes_ = 0;
  std::size_t lefts_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_KEPT_EVENTS_H_
