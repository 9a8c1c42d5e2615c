#include "gateway/server/loop_watch.h"

#include <algorithm>

namespace headgate {

void LoopWatch::Observe(absl::Time now,
                        absl::Span<const std::uint64_t> iterations) {
  // Also where the clock was set back, or this is the first time.
  const absl::Duration passed =
      std::clamp(now - last_, absl::ZeroDuration(), kMaxGap);
  last_ = now;
  const bool is_first = loops_.size() != iterations.size();
  loops_.resize(iterations.size());
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    Loop& loop = loops_[i];
    if (is_first || loop.iterations != iterations[i]) {
      loop = {iterations[i]};
    } else {
      loop.silence += passed;
    }
  }
}

}  // namespace headgate
