#ifndef GATEWAY_ADMIN_TAP_QUEUE_H_
#define GATEWAY_ADMIN_TAP_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "absl/time/time.h"
#include "gateway/session/tap.h"

namespace headgate {

struct TapLimits {
  // What waits for the reader.
  std::size_t max_bytes = 1024 * 1024;
  // Events in a second; a second's worth may come at once.
  double max_per_second = 1000;
  // Longer messages come without their payload.
  std::size_t max_payload_bytes = 64 * 1024;
};

// Carries events from the workers to the reader of a tap. Events beyond the
// limits are dropped and counted: workers never wait for the reader.
//
// Thread: any. A worker that offers an event holds the lock for a push_back;
// what is dropped is not copied.
class TapQueue final : public TapSink {
 public:
  // `notify` is called on the offering thread when there is something to take
  // after a Take that has left nothing.
  TapQueue(TapFilter filter, const TapLimits& limits,
           std::function<void()> notify);

  void Offer(const TapEvent& event, absl::string_view payload) override;
  std::uint64_t dropped() const override;

  struct Batch {
    std::vector<TapEvent> events;
    std::uint64_t dropped = 0;  // In all, before the end of this batch.
  };
  Batch Take(std::size_t max_events);

 private:
  // Whether there is room, which is taken, for an event of so many bytes;
  // counts it as dropped if not.
  bool Reserve(std::size_t bytes, absl::Time at);
  bool MayPass(absl::Time at);
  void NotifyReader();

  const TapLimits limits_;
  const std::function<void()> notify_;

  mutable std::mutex mutex_;
  std::deque<TapEvent> events_;
  std::size_t bytes_ = 0;  // Of events_, and of what is being copied.
  std::uint64_t dropped_ = 0;
  bool notified_ = false;
  double tokens_;
  absl::Time refilled_ = absl::InfinitePast();
};

}  // namespace headgate

#endif  // GATEWAY_ADMIN_TAP_QUEUE_H_
