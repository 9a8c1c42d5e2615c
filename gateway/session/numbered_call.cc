#include "gateway/session/numbered_call.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

std::size_t BytesOf(const Metadata& metadata) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : metadata) bytes += key.size() + value.size();
  return bytes;
}

CallEnd FailedCall(absl::Status status) {
  return CallEnd{std::move(status), ""};
}

}  // namespace

MultiplexSession::NumberedCall::NumberedCall(MultiplexSession& session,
                                             std::uint32_t number,
                                             Options options)
    : session_(session),
      number_(number),
      method_(options.request.method),
      options_(std::move(options)),
      metadata_bytes_(BytesOf(options_.request.metadata)),
      began_(session.Clock().steady) {}

void MultiplexSession::NumberedCall::Start() {
  SchemaSource::Resolution resolution = session_.context_->schemas->Resolve(
      method_, session_.now_,
      [this](const ResolvedMethod& resolved) { OnResolved(resolved); });
  if (const auto* resolved = std::get_if<ResolvedMethod>(&resolution)) {
    return OnResolved(*resolved);
  }
  ticket_ =
      std::get<std::unique_ptr<SchemaSource::Ticket>>(std::move(resolution));
}

void MultiplexSession::NumberedCall::Send(std::string content) {
  answer_is_due_ = true;
  if (is_half_closed()) {
    return End(FailedCall(absl::InvalidArgumentError("data after half-close")));
  }
  if (is_full()) return Overrun();
  if (is_forwarding()) return Forward(std::move(content));
  const std::size_t bytes = content.size();
  waiting_.Push(std::move(content), bytes);
}

void MultiplexSession::NumberedCall::HalfClose() {
  if (is_half_closed()) {
    return BreakOff(
        FailedCall(absl::InvalidArgumentError("half-close after half-close")));
  }
  answer_is_due_ = true;
  if (is_forwarding()) return ForwardHalfClose();
  client_ = Client::kHalfCloseWaits;
}

bool MultiplexSession::NumberedCall::may_send_more() const {
  if (is_half_closed()) return false;
  if (call_ == nullptr) return waiting_.size() > 1;
  return resolved_.method == nullptr ||
         !TakesOneRequest(resolved_.method->kind);
}

bool MultiplexSession::NumberedCall::may_answer() const {
  if (call_ == nullptr) return !waiting_.empty() || is_half_closed();
  return !is_forwarding() || call_->may_answer();
}

bool MultiplexSession::NumberedCall::answer_is_due() const {
  if (call_ == nullptr) return may_answer();
  return pending_bytes() > 0 || call_->awaits_only_answer() ||
         (answer_is_due_ && may_answer());
}

void MultiplexSession::NumberedCall::OnTick(absl::Time now) {
  const std::weak_ptr<int> alive = alive_;
  request_pause_.OnTick(now);
  if (alive.expired()) return;
  response_pause_.OnTick(now);
  if (alive.expired()) return;
  const absl::Duration timeout = session_.context_->limits.stall_timeout;
  if (call_ != nullptr && stall_.OnTick(*call_, now, timeout)) {
    BreakOff(FailedCall(StallStatus(timeout)));
  }
}

void MultiplexSession::NumberedCall::OnResolved(
    const ResolvedMethod& resolved) {
  resolved_ = resolved;
  if (resolved_.method == nullptr &&
      (resolved_.why_unknown.code() != absl::StatusCode::kUnimplemented ||
       options_.needs_descriptor)) {
    return End(FailedCall(options_.needs_descriptor
                              ? Annotate(resolved_.why_unknown,
                                         "JSON needs the method's descriptor")
                              : resolved_.why_unknown));
  }
  CallObserver& observer = *this;
  const std::size_t window = options_.window_bytes;
  options_.request.route = session_.request_.route.get();
  options_.request.client = session_.request_.peer;
  call_ = std::make_unique<Call>(
      resolved_.method != nullptr ? resolved_.method->kind
                                  : MethodKind::kBidiStreaming,
      std::move(options_.request),
      // One mark: below the window there is always room for a message.
      Watermarks{window, window}, *session_.context_->upstream, observer);
  call_->Read();
  OnCallWritable();
}

void MultiplexSession::NumberedCall::OnCallWritable() {
  const std::weak_ptr<int> alive = alive_;
  ForwardWaiting();
  if (!alive.expired()) session_.Pump();
}

void MultiplexSession::NumberedCall::ForwardWaiting() {
  const std::weak_ptr<int> alive = alive_;
  while (!is_forwarding()) {
    if (request_pause_.is_active() || call_->backlogged()) return;
    Forward(untyped_ ? *std::exchange(untyped_, std::nullopt) : waiting_.Pop());
    if (alive.expired()) return;
  }
  if (client_ == Client::kHalfCloseWaits) ForwardHalfClose();
}

void MultiplexSession::NumberedCall::Forward(std::string content) {
  Decoded decoded = Decode(content);
  while (const auto* need = std::get_if<NeedType>(&decoded)) {
    if (request_pause_.Begin(*session_.context_->schemas, need->full_name,
                             [this] { OnCallWritable(); })) {
      untyped_ = std::move(content);
      return;
    }
    decoded = Decode(content);
  }
  if (auto* fault = std::get_if<Ending>(&decoded)) return BreakOff(fault->end);
  std::string& message = std::get<RequestMessage>(decoded).payload;
  session_.TapMessage(TapEvent::Kind::kRequest, message, method_);
  if (std::optional<Ending> fault = call_->Send(std::move(message))) {
    BreakOff(fault->end);
  }
}

void MultiplexSession::NumberedCall::ForwardHalfClose() {
  client_ = Client::kHalfClosed;
  if (std::optional<Ending> fault = call_->HalfClose()) {
    End(fault->end);
  }
}

void MultiplexSession::NumberedCall::Overrun() {
  BreakOff(FailedCall(absl::ResourceExhaustedError(
      absl::StrCat("more than call_window (", options_.window_bytes,
                   ") waits for the backend"))));
}

void MultiplexSession::NumberedCall::OnCallMessage(std::string payload) {
  session_.TapMessage(TapEvent::Kind::kResponse, payload, method_);
  answer_is_due_ = false;
  session_.Respond(*this, std::move(payload));
}

void MultiplexSession::NumberedCall::AwaitType(const std::string& type,
                                               std::string response) {
  waiting_response_ = std::move(response);
  const auto again = [this] {
    session_.Respond(*this, *std::exchange(waiting_response_, std::nullopt));
  };
  if (!response_pause_.Begin(*session_.context_->schemas, type, again)) {
    again();
  }
}

void MultiplexSession::NumberedCall::OnCallDone(CallEnd end) {
  if (absl::IsUnimplemented(end.status) && end.status.message().empty() &&
      resolved_.method == nullptr) {
    end.status = resolved_.why_unknown;
  }
  if (waiting_response_) {
    // The call has broken off. The response goes as far as it is known.
    response_pause_.Cancel();
    absl::StatusOr<std::string> last = Encode(*std::move(waiting_response_));
    if (last.ok()) {
      session_.Send(*std::move(last));
    } else if (AwaitedType(last.status()).empty()) {
      end = FailedCall(last.status());
    }
  }
  End(end);
}

}  // namespace headgate
