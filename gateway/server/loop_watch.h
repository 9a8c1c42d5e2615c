#ifndef GATEWAY_SERVER_LOOP_WATCH_H_
#define GATEWAY_SERVER_LOOP_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace headgate {

// Finds event loops that have stopped. Each loop counts its iterations; a loop
// whose count stands still for kLimit has stalled. A worker looks at the time
// every quarter of a second at least, so that its count never rests longer.
//
// An observer that was stopped itself (SIGSTOP, a suspended machine) says
// nothing about the loops: of the time between two observations kMaxGap counts
// at most.
//
// Thread: one at a time.
class LoopWatch {
 public:
  static constexpr absl::Duration kLimit = absl::Seconds(5);
  static constexpr absl::Duration kMaxGap = absl::Seconds(2);

  struct Loop {
    std::uint64_t iterations = 0;
    // Since it was last seen to go on.
    absl::Duration silence = absl::ZeroDuration();
    bool stalled() const { return silence >= kLimit; }
  };

  // `iterations`: of each loop; always of as many loops. To be called at least
  // every kMaxGap.
  void Observe(absl::Time now, absl::Span<const std::uint64_t> iterations);

  const std::vector<Loop>& loops() const { return loops_; }

 private:
  std::vector<Loop> loops_;
  absl::Time last_ = absl::InfiniteFuture();
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_LOOP_WATCH_H_
