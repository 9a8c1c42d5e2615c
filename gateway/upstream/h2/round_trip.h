#ifndef GATEWAY_UPSTREAM_H2_ROUND_TRIP_H_
#define GATEWAY_UPSTREAM_H2_ROUND_TRIP_H_

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "gateway/upstream/h2/alarms.h"

namespace headgate {

// How long the way to a server and back is: the smallest of what was measured,
// since on a busy machine any one measurement may be far too long.
//
// It asks for no more than one measurement at a time, and for the next only
// when DATA has come since the last: servers of gRPC take other PINGs for abuse
// ("too_many_pings").
//
// Thread: not thread-safe. Time is an argument and never goes back.
class H2RoundTrip {
 public:
  using Clock = Alarms::Clock;

  // What is not longer is near: over 10 ms a window of 64 KiB carries 6.5 MB/s.
  // A backend in the same place answers within 1 ms, or a few where machines
  // are busy.
  static constexpr std::chrono::milliseconds kNear{10};

  // What the server answers at once goes out, and its answer has come. An
  // answer that was not waited for is ignored.
  void Start(Clock::time_point now) { started_ = now; }
  void Stop(Clock::time_point now) {
    if (!started_) return;
    is_fresh_ = smallest_.has_value();  // One alone tells nothing.
    smallest_ = std::min(smallest_.value_or(Clock::duration::max()),
                         now - *std::exchange(started_, std::nullopt));
    data_came_ = false;
  }
  void OnData() { data_came_ = true; }

  bool MayStart() const { return !started_ && data_came_; }
  // False also before the first measurement.
  bool IsFar() const { return smallest_ && *smallest_ > kNear; }
  // Requires: IsFar().
  Clock::duration smallest() const { return *smallest_; }
  // Whether a measurement, not the first, has ended since this was asked.
  bool TakeFresh() { return std::exchange(is_fresh_, false); }

 private:
  std::optional<Clock::time_point> started_;  // The one that is under way.
  std::optional<Clock::duration> smallest_;
  bool is_fresh_ = false;
  bool data_came_ = false;  // Since the last one ended.
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_ROUND_TRIP_H_
