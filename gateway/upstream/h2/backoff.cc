#include "gateway/upstream/h2/backoff.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace headgate {
namespace {

constexpr double kGrowth = 1.6;
constexpr double kJitter = 0.2;
// Enough to reach any limit; the power stays a number.
constexpr int kMaxFailures = 30;

using Seconds = std::chrono::duration<double>;

}  // namespace

void Backoff::Fail(Clock::time_point now, const Limits& limits,
                   std::minstd_rand& random) {
  const Seconds pause = std::min<Seconds>(
      Seconds(limits.first) * std::pow(kGrowth, failures_), limits.most);
  std::uniform_real_distribution<double> jitter(1 - kJitter, 1 + kJitter);
  failures_ = std::min(failures_ + 1, kMaxFailures);
  retry_at_ =
      now + std::chrono::duration_cast<Clock::duration>(pause * jitter(random));
}

}  // namespace headgate
