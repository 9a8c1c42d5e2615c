#ifndef GATEWAY_HUB_MEMBER_QUEUE_H_
#define GATEWAY_HUB_MEMBER_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "gateway/hub/batch.h"
#include "gateway/route/hub_target.h"

namespace headgate {

// What waits for one client of a hub. Frames are shared; each is counted as if
// the queue owned it. Above the limits of `settings` the policy decides.
//
// A client is not slow because several messages for it come at once: Push lets
// a burst go over the limits, Enforce holds them. The queue never holds more
// than the limits, a burst and one message. The number of messages is strict
// with kKeepLatest, which searches the queue.
//
// Not thread-safe.
class MemberQueue {
 public:
  explicit MemberQueue(const SlowClientSettings& settings)
      : settings_(settings) {}

  enum class Result {
    kQueued,
    kTooSlow,  // The client must be disconnected.
  };
  // Whether the policy may drop a message.
  enum class Loss { kAllowed, kForbidden };
  // `key`: of kKeepLatest; "" is no key.
  Result Push(HubFrame frame, const std::string& key, Loss loss);
  // To be called when the transport has had the time to send what it can.
  Result Enforce() { return Hold(0, 0); }

  // What a worker gets of the hub at once, in bytes and in short messages.
  static constexpr std::size_t kBurstBytes = 1024 * 1024;
  static constexpr std::size_t kBurstMessages = 16 * 1024;

  // Requires: !empty().
  HubFrame Pop();
  void Clear();

  bool empty() const { return entries_.empty(); }
  std::size_t messages() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }
  // Messages that the policy has dropped, in all.
  std::uint64_t dropped() const { return dropped_; }

  // Whether the backend has to hear that more, or less again, waits than
  // `warn_bytes`; asked after Push and Pop.
  bool TakeCrossing();
  bool is_over() const { return is_over_; }

 private:
  struct Entry {
    HubFrame frame;
    std::string key;
    Loss loss;
  };
  // What a message counts besides its payload.
  static constexpr std::size_t kEntryBytes = sizeof(Entry);
  static std::size_t BytesOf(const Entry& entry) {
    return entry.frame->payload.size() + kEntryBytes;
  }

  // Applies the policy above the limits and these.
  Result Hold(std::size_t bytes, std::size_t messages);
  void Drop(std::deque<Entry>::iterator entry);
  void DropOlder(const std::string& key);
  // Drops the oldest that may be; false if there is none but the newest.
  bool DropOldest();

  const SlowClientSettings& settings_;
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  bool is_over_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_MEMBER_QUEUE_H_
