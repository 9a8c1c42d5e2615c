#ifndef GATEWAY_UPSTREAM_H2_BACKOFF_H_
#define GATEWAY_UPSTREAM_H2_BACKOFF_H_

#include <random>

#include "gateway/upstream/h2/alarms.h"

namespace headgate {

// When to try again what has failed (grpc/grpc doc/connection-backoff.md): each
// pause is 1.6 times the one before, give or take a fifth.
class Backoff {
 public:
  using Clock = Alarms::Clock;
  struct Limits {
    Clock::duration first;
    Clock::duration most;  // Before the fifth is added.
  };

  // It has failed now. It is right to call this again before the pause is over.
  void Fail(Clock::time_point now, const Limits& limits,
            std::minstd_rand& random);
  // It has worked.
  void Reset() { *this = {}; }

  // What has failed may be tried again at once: something else has changed.
  void EndPause() { retry_at_ = {}; }

  // It has failed and not worked since.
  bool failing() const { return failures_ > 0; }
  // It is too early to try again.
  bool waits(Clock::time_point now) const {
    return failing() && now < retry_at_;
  }
  // Requires: failing().
  Clock::time_point retry_at() const { return retry_at_; }

 private:
  int failures_ = 0;
  Clock::time_point retry_at_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_BACKOFF_H_
