#include "gateway/session/numbered_call.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

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
      began_(session.Clock()) {}

void MultiplexSession::NumberedCall::Start() {
  std::unique_ptr<SchemaSource::Ticket> ticket =
      session_.context_->schemas->Resolve(
          method_, session_.now_,
          [this,
           alive = std::weak_ptr<int>(alive_)](const ResolvedMethod& resolved) {
            if (!alive.expired()) OnResolved(resolved);
          });
  // Null when the answer has come already, and may have ended the call.
  if (ticket != nullptr) ticket_ = std::move(ticket);
}

void MultiplexSession::NumberedCall::Send(std::string content) {
  answer_is_due_ = true;
  if (client_ended_) {
    return End(FailedCall(absl::InvalidArgumentError("data after half-close")));
  }
  if (call_ != nullptr) return Forward(std::move(content));
  // As the call's own queue counts.
  if (is_full()) return Overrun();
  early_bytes_ += content.size() + sizeof(std::string);
  early_.push_back(std::move(content));
}

void MultiplexSession::NumberedCall::HalfClose() {
  if (client_ended_) {
    return BreakOff(
        FailedCall(absl::InvalidArgumentError("half-close after half-close")));
  }
  client_ended_ = true;
  answer_is_due_ = true;
  if (call_ == nullptr) return;  // OnResolved sees to it.
  if (std::optional<Ending> fault = call_->HalfClose()) {
    End(std::move(fault->end));
  }
}

bool MultiplexSession::NumberedCall::may_send_more() const {
  if (client_ended_) return false;
  if (call_ == nullptr) return early_.size() > 1;
  return resolved_.method == nullptr ||
         !TakesOneRequest(resolved_.method->kind);
}

bool MultiplexSession::NumberedCall::may_answer() const {
  return call_ == nullptr ? !early_.empty() || client_ended_
                          : call_->may_answer();
}

bool MultiplexSession::NumberedCall::answer_is_due() const {
  if (call_ == nullptr) return may_answer();
  return call_->pending_bytes() > 0 || call_->awaits_only_answer() ||
         (answer_is_due_ && call_->may_answer());
}

void MultiplexSession::NumberedCall::OnTick(absl::Time now) {
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
  call_ = std::make_unique<Call>(
      resolved_.method != nullptr ? resolved_.method->kind
                                  : MethodKind::kBidiStreaming,
      std::move(options_.request),
      // One mark: below the window there is always room for a message.
      Watermarks{window, window}, *session_.context_->upstream, observer);
  call_->Read();
  const std::weak_ptr<int> alive = alive_;
  std::vector<std::string> early = std::move(early_);
  early_bytes_ = 0;
  for (std::string& content : early) {
    Forward(std::move(content));
    if (alive.expired()) return;
  }
  if (client_ended_) {
    if (std::optional<Ending> fault = call_->HalfClose()) {
      return End(std::move(fault->end));
    }
  }
  session_.Pump();
}

void MultiplexSession::NumberedCall::Forward(std::string content) {
  if (call_->backlogged()) return Overrun();
  std::variant<std::string, Ending> decoded = Decode(std::move(content));
  if (auto* fault = std::get_if<Ending>(&decoded)) return BreakOff(fault->end);
  std::string& message = std::get<std::string>(decoded);
  session_.TapMessage(TapEvent::Kind::kRequest, message, method_);
  if (std::optional<Ending> fault = call_->Send(std::move(message))) {
    BreakOff(fault->end);
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

void MultiplexSession::NumberedCall::OnCallDone(CallEnd end) {
  if (absl::IsUnimplemented(end.status) && end.status.message().empty() &&
      resolved_.method == nullptr) {
    end.status = resolved_.why_unknown;
  }
  End(end);
}

}  // namespace headgate
