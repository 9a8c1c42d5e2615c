#ifndef GATEWAY_WS_OUTBOX_H_
#define GATEWAY_WS_OUTBOX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/ws/shared_frame.h"

namespace headgate::ws {

// The bytes to be sent on one connection. What is put during one event loop
// iteration can be sent with one system call: short pieces are copied together,
// a long piece is sent from where it is if possible, and a shared frame always.
//
// Thread: not thread-safe. No I/O.
class Outbox {
 public:
  // With more than this writers must wait.
  static constexpr std::size_t kMostGathered = 16 * 1024;
  static constexpr std::size_t kMostCopied = 4 * 1024;

  // Whether it holds less than kMostGathered.
  bool has_room() const { return size() < kMostGathered; }
  bool empty() const { return size() == 0; }
  std::size_t size() const { return static_cast<std::size_t>(put_ - sent_); }
  // Bytes, in total.
  std::uint64_t put() const { return put_; }
  std::uint64_t sent() const { return sent_; }

  // Appends `head` and then `piece`.
  void Put(absl::string_view head, std::string piece);
  void Put(absl::string_view bytes) { Put(bytes, {}); }
  // Appends a frame by reference.
  void Put(FrameRef frame) {
    put_ += frame.size();
    shared_.push_back(std::move(frame));
  }

  // The bytes to be sent next; they stay where they are until Sent. Requires:
  // not empty.
  std::array<absl::string_view, 2> Front();
  // The same in as many pieces as fit into `pieces`; returns how many there
  // are. Requires: at least three.
  std::size_t Front(absl::Span<absl::string_view> pieces);
  // Whether there are frames by reference that the second Front takes and the
  // first one does not.
  bool is_scattered() const {
    const bool has_bytes = has_front() || !gathered_.empty();
    return shared_.size() - shared_begin_ > (has_bytes ? 0 : 1);
  }
  // The first `bytes` of what Front has returned have been sent.
  void Sent(std::size_t bytes);
  // Drops everything.
  void Clear();
  // Frees the memory that is kept for what is put next. Requires: empty.
  void Shrink();

 private:
  bool has_shared() const { return !shared_.empty(); }
  bool has_front() const {
    return front_sent_ < front_.size() || piece_sent_ < piece_.size();
  }

  // Appends behind the frames in `shared_`.
  void PutBehindShared(absl::string_view head, std::string piece);
  // As Sent, where front_ and piece_ have been sent already.
  void SentBehindFront(std::size_t bytes);
  // Removes the frames that have been sent.
  void TidyShared();

  // In the order in which they are sent. What was sent of the first two stays
  // in them until both have been sent. Nothing is added to the first three
  // while there is something in the fourth.
  std::string front_;
  std::size_t front_sent_ = 0;
  std::string piece_;
  std::size_t piece_sent_ = 0;
  std::string gathered_;
  std::vector<FrameRef> shared_;  // Those before shared_begin_ are null.
  std::size_t shared_begin_ = 0;
  std::size_t shared_sent_ = 0;  // Of the first.
  std::uint64_t put_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_OUTBOX_H_
