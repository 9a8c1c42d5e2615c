#ifndef GATEWAY_TRACE_SPAN_BATCHER_H_
#define GATEWAY_TRACE_SPAN_BATCHER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/time/time.h"
#include "gateway/trace/span.h"

namespace headgate {

// Spans that wait for the collector, bounded by number and bytes; those that
// there is no room for are dropped and counted.
//
// Thread: one at a time.
class SpanBatcher {
 public:
  struct Limits {
    std::size_t max_spans = 4096;
    std::size_t max_bytes = 4 * 1024 * 1024;
    // A batch: one that is complete need not wait.
    std::size_t batch_spans = 512;
    absl::Duration delay = absl::Seconds(1);
  };
  explicit SpanBatcher(const Limits& limits) : limits_(limits) {}

  void Push(Span span, absl::Time now);

  // The oldest ones, once there are enough for a batch or the first has waited
  // for the delay; else empty.
  std::vector<Span> Take(absl::Time now);

  // Drops, without counting, all there are.
  void Clear();

  std::size_t bytes() const { return bytes_; }
  // In all, since the start.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Waiting {
    Span span;
    std::size_t bytes;
    absl::Time since;
  };

  const Limits limits_;
  std::deque<Waiting> waiting_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_TRACE_SPAN_BATCHER_H_
