#ifndef GATEWAY_BASE_CLOCK_H_
#define GATEWAY_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace headgate {

// The time that timeouts go by. It passes as CLOCK_MONOTONIC does, so setting
// the system's clock neither fires a timeout nor holds one back; it began as
// the time of day at its first use in the process, which makes logs of it
// readable and means nothing else.
//
// Thread: any.
absl::Time SteadyNow();

// One moment on two clocks.
struct Moment {
  absl::Time steady;  // As SteadyNow.
  // The time of day: what others have written down, such as a token's `exp`, is
  // compared with it, and what others read is told in it.
  absl::Time wall;

  // When `steady` is to show what `wall` shows at `time`, if nobody sets the
  // system's clock until then.
  absl::Time SteadyAt(absl::Time time) const { return steady + (time - wall); }
  // What `wall` shows when `steady` shows `time`, by the system's clock as it
  // is set now.
  absl::Time WallAt(absl::Time time) const { return wall + (time - steady); }
};

Moment Now();

}  // namespace headgate

#endif  // GATEWAY_BASE_CLOCK_H_
