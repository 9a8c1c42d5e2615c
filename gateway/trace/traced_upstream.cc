#include "gateway/trace/traced_upstream.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "gateway/trace/span.h"

namespace headgate {
namespace {

// A call with a span. Passes everything on.
class TracedCall final : public UpstreamCall, private UpstreamCallObserver {
 public:
  TracedCall(Span span, std::shared_ptr<SpanQueue> spans,
             std::function<Moment()> clock, UpstreamCallObserver& observer)
      : span_(std::move(span)),
        spans_(std::move(spans)),
        clock_(std::move(clock)),
        began_(clock_()),
        observer_(observer) {
    span_.start = began_.wall;
  }
  ~TracedCall() override {
    if (!is_over_) {
      End(absl::CancelledError("the call was given up before its status"));
    }
  }

  void Start(CallRequest request, Upstream& upstream) {
    call_ = upstream.StartCall(std::move(request), *this);
  }

  void Read() override { call_->Read(); }
  void Write(std::string payload, WriteHint hint) override {
    call_->Write(std::move(payload), hint);
  }
  std::uint64_t bytes_taken() const override { return call_->bytes_taken(); }
  void WritesDone() override { call_->WritesDone(); }
  std::size_t buffered_bytes() const override {
    return call_->buffered_bytes();
  }

 private:
  void OnHeaders(Metadata headers) override {
    observer_.OnHeaders(std::move(headers));
  }
  void OnMessage(std::string payload) override {
    observer_.OnMessage(std::move(payload));
  }
  void OnWritten() override { observer_.OnWritten(); }
  void OnDraining() override { observer_.OnDraining(); }
  void OnDone(CallEnd end) override {
    End(end.status);
    observer_.OnDone(std::move(end));  // May destroy this.
  }

  void End(const absl::Status& status) {
    is_over_ = true;
    const absl::Time now = clock_().steady;
    span_.end = began_.WallAt(now);
    span_.code = status.code();
    if (!status.ok()) span_.message = MessageForLog(status);
    spans_->Push(std::move(span_), now);
  }

  Span span_;
  const std::shared_ptr<SpanQueue> spans_;
  const std::function<Moment()> clock_;
  const Moment began_;
  UpstreamCallObserver& observer_;
  bool is_over_ = false;
  std::unique_ptr<UpstreamCall> call_;
};

}  // namespace

TracedUpstream::TracedUpstream(std::shared_ptr<Upstream> upstream,
                               CallTracing tracing)
    : upstream_(std::move(upstream)), tracing_(std::move(tracing)) {}

std::unique_ptr<UpstreamCall> TracedUpstream::StartCall(
    CallRequest request, UpstreamCallObserver& observer) {
  std::optional<SampledTrace> trace =
      Sample(tracing_.sample_ratio, request.metadata);
  if (!trace) return upstream_->StartCall(std::move(request), observer);
  Span span;
  span.trace_id = std::move(trace->trace_id);
  span.parent_id = std::move(trace->parent_id);
  // An ID of zeros is not valid.
  span.span_id = absl::StrFormat(
      "%016x", absl::Uniform<std::uint64_t>(absl::IntervalClosed,
                                            tracing_.random, 1, ~0ull));
  span.method = std::string(absl::StripPrefix(request.method, "/"));
  if (request.route != nullptr) span.route = RouteName(*request.route);
  span.client = std::string(request.client);
  SetParent(span.trace_id, span.span_id, request.metadata);
  auto call = std::make_unique<TracedCall>(std::move(span), tracing_.spans,
                                           tracing_.clock, observer);
  call->Start(std::move(request), *upstream_);
  return call;
}

}  // namespace headgate
