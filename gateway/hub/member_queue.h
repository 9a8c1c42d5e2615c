#ifndef GATEWAY_HUB_MEMBER_QUEUE_H_
#define GATEWAY_HUB_MEMBER_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "gateway/hub/batch.h"
#include "gateway/route/hub_target.h"
#include "gateway/ws/shared_frame.h"

namespace headgate {

// What waits for one client of a hub. Frames are shared; each is counted as if
// the queue owned it. Each message has a policy of its own, as groups have.
// Above the limits of `settings` those that may be dropped are, the oldest
// first; where the others are too much the client is too slow, or the hub's
// stream waits for it if some of them are of kBlock.
//
// A client is not slow because several messages for it come at once: Push lets
// a burst go over the limits, Enforce holds them. The queue never holds more
// than the limits, a burst (two while the stream waits) and one message. A
// message with kKeepLatest, for
// which the queue is searched, has older ones dropped down to the number of
// messages at once.
//
// Not thread-safe.
class MemberQueue {
 public:
  using Policy = SlowClientSettings::Policy;

  // `settings.policy` does not count.
  explicit MemberQueue(const SlowClientSettings& settings)
      : settings_(settings) {}

  enum class Result {
    kQueued,
    kTooSlow,  // The client must be disconnected.
  };
  // `policy`: kDisconnect and kBlock are never dropped. `key`: of kKeepLatest;
  // "" is no key. `payload_bytes`: that the frame carries.
  Result Push(ws::FrameRef frame, std::size_t payload_bytes, Policy policy,
              const std::string& key = "", HubReport report = {});
  // To be called when the transport has had the time to send what it can.
  Result Enforce();

  // What a worker gets of the hub at once, in bytes and in short messages.
  static constexpr std::size_t kBurstBytes = 1024 * 1024;
  static constexpr std::size_t kBurstMessages = 16 * 1024;

  // As many as leave in one send.
  static constexpr std::size_t kMostFrames = 64;
  using Frames = absl::InlinedVector<ws::FrameRef, kMostFrames>;
  // The first ones, at most kMostFrames.
  Frames Front() const { return Front(kMostFrames); }
  Frames Front(std::size_t most) const;
  // What Push was given with the i-th.
  HubReport report(std::size_t i) const { return entries_[first_ + i].report; }
  // Removes the first `count`, and returns the bytes of their payload.
  std::size_t Pop(std::size_t count);
  void Clear();

  bool empty() const { return messages() == 0; }
  std::size_t messages() const { return entries_.size() - first_; }
  std::size_t bytes() const { return bytes_; }
  // Whether so much waits that it should be sent now rather than with what
  // else comes in this iteration of the event loop.
  bool is_crowded() const {
    return bytes_ >= kCrowdBytes || messages() >= kCrowdMessages;
  }
  // Messages that their policy has dropped, in all.
  std::uint64_t dropped() const { return dropped_; }

  // Whether the stream has to wait until the client has taken more; if it does
  // already (`is_waiting`), until no more than half of the limits waits.
  bool HoldsStream(bool is_waiting) const;

  // Whether the backend has to hear that more, or less again, waits than
  // `warn_bytes`; asked after Push and Pop.
  bool TakeCrossing();
  bool is_over() const { return is_over_; }

 private:
  struct Entry {
    ws::FrameRef frame;
    std::size_t payload_bytes = 0;
    std::string key;  // Empty but with kKeepLatest.
    Policy policy = Policy::kDisconnect;
    HubReport report;
  };
  struct Limits {
    std::size_t bytes;
    std::size_t messages;
  };
  static bool MayDrop(const Entry& entry) {
    return entry.policy == Policy::kDropOldest ||
           entry.policy == Policy::kKeepLatest;
  }
  // What a message counts besides its payload.
  static constexpr std::size_t kEntryBytes = sizeof(Entry);
  static std::size_t BytesOf(const Entry& entry) {
    return entry.payload_bytes + entry.key.size() + kEntryBytes;
  }
  static constexpr std::size_t kCrowdBytes = 16 * 1024;
  static constexpr std::size_t kCrowdMessages = 256;

  std::size_t max_messages() const {
    return static_cast<std::size_t>(settings_.max_messages);
  }
  bool IsOver(const Limits& limits) const {
    return bytes_ > limits.bytes || messages() > limits.messages;
  }
  Result Hold(const Limits& limits);
  using Entries = std::vector<Entry>;
  Entries::iterator begin() {
    return entries_.begin() + static_cast<std::ptrdiff_t>(first_);
  }
  // In a time that depends on what is before it only, and so the two below.
  void Drop(Entries::iterator entry);
  void DropOlder(const std::string& key);
  // Drops what may be of those before `end`, the oldest first, as long as the
  // queue is over the limits and has more than one message.
  void DropDown(Entries::iterator end, const Limits& limits);
  // The first entries have been moved from: they are not in the queue any more.
  void RemoveFirst(std::size_t count);

  const SlowClientSettings& settings_;
  Entries entries_;  // Those before first_ are empty.
  std::size_t first_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::size_t blocking_ = 0;  // Messages of kBlock.
  bool is_over_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_MEMBER_QUEUE_H_
