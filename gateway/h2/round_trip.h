#ifndef GATEWAY_H2_ROUND_TRIP_H_
#define GATEWAY_H2_ROUND_TRIP_H_

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "gateway/h2/time.h"

namespace headgate::h2 {

// How long the way to a server and back is: the smallest of what was measured,
// since on a busy machine any one measurement may be far too long.
//
// It asks for no more than one measurement at a time, and for the next only
// when DATA has come since the last: servers of gRPC take other PINGs for abuse
// ("too_many_pings").
//
// Not thread-safe.
class RoundTrip {
 public:
  // What is not longer is near: over 10 ms a window of 64 KiB carries 6.5 MB/s.
  // A backend in the same place answers within 1 ms, or a few where machines
  // are busy.
  static constexpr std::chrono::milliseconds kNear{10};

  // What the server answers at once goes out, and its answer has come. An
  // answer that was not waited for is ignored.
  void Start(Time now) { started_ = now; }
  void Stop(Time now) {
    if (!started_) return;
    is_fresh_ = smallest_.has_value();  // One alone tells nothing.
    smallest_ = std::min(smallest_.value_or(Duration::max()),
                         now - *std::exchange(started_, std::nullopt));
    data_came_ = false;
  }
  void OnData() { data_came_ = true; }

  bool MayStart() const { return !started_ && data_came_; }
  // False also before the first measurement.
  bool IsFar() const { return smallest_ && *smallest_ > kNear; }
  // Requires: IsFar().
  Duration smallest() const { return *smallest_; }
  // Whether a measurement, not the first, has ended since this was asked.
  bool TakeFresh() { return std::exchange(is_fresh_, false); }

 private:
  std::optional<Time> started_;  // The one that is under way.
  std::optional<Duration> smallest_;
  bool is_fresh_ = false;
  bool data_came_ = false;  // Since the last one ended.
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_ROUND_TRIP_H_
