#ifndef CMD_HEADGATE_DIAL_BACKOFF_H_
#define CMD_HEADGATE_DIAL_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"

namespace headgate {

// How long to wait before connecting again: up to 250 ms at first, up to twice
// as long each time, up to 10 s. The wait is a random part of that ("full
// jitter"), so that clients that were cut off together do not come back so.
class Backoff {
 public:
  // `random`: from 0 to 1.
  absl::Duration Next(double random) {
    const absl::Duration wait = random * limit_;
    limit_ = std::min(2 * limit_, kMax);
    return wait;
  }

  void Reset() { limit_ = kFirst; }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(250);
  static constexpr absl::Duration kMax = absl::Seconds(10);

  absl::Duration limit_ = kFirst;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_BACKOFF_H_
