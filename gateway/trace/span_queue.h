#ifndef GATEWAY_TRACE_SPAN_QUEUE_H_
#define GATEWAY_TRACE_SPAN_QUEUE_H_

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gateway/trace/span_batcher.h"

namespace headgate {

// Hands spans from the workers to the exporter.
//
// Thread: safe for any. Its lock is taken once for a call that is sampled, for
// the time of a push, and never while bytes are made or sent.
class SpanQueue {
 public:
  explicit SpanQueue(const SpanBatcher::Limits& limits = {})
      : batcher_(limits) {}

  void Push(Span span, absl::Time now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    batcher_.Push(std::move(span), now);
  }
  std::vector<Span> Take(absl::Time now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return batcher_.Take(now);
  }
  void Clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    batcher_.Clear();
  }
  std::uint64_t dropped() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return batcher_.dropped();
  }

 private:
  // The standard's, for ThreadSanitizer sees its locks.
  mutable std::mutex mutex_;
  SpanBatcher batcher_;  // Under mutex_.
};

}  // namespace headgate

#endif  // GATEWAY_TRACE_SPAN_QUEUE_H_
