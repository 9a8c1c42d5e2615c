#include "gateway/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace headgate {

absl::Time SteadyNow() {
  using Clock = std::chrono::steady_clock;
  struct Begin {
    absl::Time wall = absl::Now();
    Clock::time_point steady = Clock::now();
  };
  static const Begin kBegin;
  return kBegin.wall + absl::FromChrono(Clock::now() - kBegin.steady);
}

Moment Now() { return {SteadyNow(), absl::Now()}; }

}  // namespace headgate
