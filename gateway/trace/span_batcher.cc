#include "gateway/trace/span_batcher.h"

#include <utility>

namespace headgate {

void SpanBatcher::Push(Span span, absl::Time now) {
  const std::size_t bytes = span.bytes();
  if (waiting_.size() >= limits_.max_spans ||
      bytes > limits_.max_bytes - bytes_) {
    ++dropped_;
    return;
  }
  bytes_ += bytes;
  waiting_.push_back({std::move(span), bytes, now});
}

std::vector<Span> SpanBatcher::Take(absl::Time now) {
  std::vector<Span> batch;
  const bool is_due =
      waiting_.size() >= limits_.batch_spans ||
      (!waiting_.empty() && now - waiting_.front().since >= limits_.delay);
  while (is_due && !waiting_.empty() && batch.size() < limits_.batch_spans) {
    bytes_ -= waiting_.front().bytes;
    batch.push_back(std::move(waiting_.front().span));
    waiting_.pop_front();
  }
  return batch;
}

void SpanBatcher::Clear() {
  waiting_.clear();
  bytes_ = 0;
}

}  // namespace headgate
