#ifndef GATEWAY_BASE_TOKEN_BUCKET_H_
#define GATEWAY_BASE_TOKEN_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace headgate {

// A rate that bears bursts: tokens come in at `per_second`, up to `burst` of
// them wait. It begins full.
//
// Thread: one at a time.
class TokenBucket {
 public:
  TokenBucket(double per_second, double burst)
      : per_second_(per_second), burst_(burst), tokens_(burst) {}

  // Adds what has come in since the last time; the first time sets the clock.
  void Refill(absl::Time now) {
    const double seconds =
        std::max(0.0, absl::ToDoubleSeconds(now - refilled_at_));
    refilled_at_ = now;
    tokens_ = std::min(burst_, tokens_ + per_second_ * seconds);
  }

  // False, and nothing is taken, when there are not so many.
  bool Take(double tokens) {
    if (tokens > tokens_) return false;
    tokens_ -= tokens;
    return true;
  }

 private:
  const double per_second_;
  const double burst_;
  double tokens_;
  absl::Time refilled_at_ = absl::InfiniteFuture();
};

}  // namespace headgate

#endif  // GATEWAY_BASE_TOKEN_BUCKET_H_
