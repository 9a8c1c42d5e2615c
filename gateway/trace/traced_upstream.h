#ifndef GATEWAY_TRACE_TRACED_UPSTREAM_H_
#define GATEWAY_TRACE_TRACED_UPSTREAM_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/random/random.h"
#include "gateway/base/clock.h"
#include "gateway/trace/span_queue.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// How the calls of a worker are traced.
struct CallTracing {
  double sample_ratio = 0;
  std::shared_ptr<SpanQueue> spans;
  std::function<Moment()> clock;
  absl::BitGen random;
};

// Starts the calls of another upstream, and makes a span of each that is
// sampled: from its start to its status, CANCELLED for one that was destroyed
// before. A call that is not sampled is that of the other upstream as it is.
//
// Thread: the worker's. Its calls may outlive it.
class TracedUpstream final : public Upstream {
 public:
  TracedUpstream(std::shared_ptr<Upstream> upstream, CallTracing tracing);

  std::unique_ptr<UpstreamCall> StartCall(
      CallRequest request, UpstreamCallObserver& observer) override;
  std::size_t call_bytes() const override { return upstream_->call_bytes(); }

 private:
  const std::shared_ptr<Upstream> upstream_;
  CallTracing tracing_;
};

}  // namespace headgate

#endif  // GATEWAY_TRACE_TRACED_UPSTREAM_H_
