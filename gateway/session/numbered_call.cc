#include "gateway/session/numbered_call.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gateway/codec/json.h"

namespace headgate {
namespace {

CallEnd FailedCall(absl::Status status) {
  return CallEnd{std::move(status), ""};
}

}  // namespace

MultiplexSession::NumberedCall::NumberedCall(MultiplexSession& session,
                                             std::uint32_t type,
                                             std::uint32_t who,
                                             const std::string& method)
    : session_(session),
      type_(type),
      who_(who),
      method_(method),
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

void MultiplexSession::NumberedCall::Send(absl::string_view content) {
  answer_is_due_ = true;
  if (client_ended_) {
    return End(FailedCall(absl::InvalidArgumentError("data after half-close")));
  }
  if (call_ != nullptr) return Forward(content);
  // As the call's own queue counts.
  if (early_bytes_ > window()) return Overrun();
  early_bytes_ += content.size() + sizeof(std::string);
  early_.emplace_back(content);
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

absl::StatusOr<std::string> MultiplexSession::NumberedCall::Encode(
    std::string message) const {
  if (multiplex().content == PacketContent::kProtobuf) return message;
  return resolved_.schema->ProtoToJson(resolved_.method->output, message,
                                       session_.request_.route->json.json);
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
       multiplex().content == PacketContent::kJson)) {
    return End(FailedCall(multiplex().content == PacketContent::kJson
                              ? Annotate(resolved_.why_unknown,
                                         "JSON needs the method's descriptor")
                              : resolved_.why_unknown));
  }
  CallObserver& observer = *this;
  call_ = std::make_unique<Call>(
      resolved_.method != nullptr ? resolved_.method->kind
                                  : MethodKind::kBidiStreaming,
      CallRequest{method_, session_.request_.metadata,
                  session_.request_.timeout},
      // One mark: below the window there is always room for a message.
      Watermarks{window(), window()}, *session_.context_->upstream, observer);
  call_->Read();
  const std::weak_ptr<int> alive = alive_;
  const std::vector<std::string> early = std::move(early_);
  for (const std::string& content : early) {
    Forward(content);
    if (alive.expired()) return;
  }
  if (client_ended_) {
    if (std::optional<Ending> fault = call_->HalfClose()) {
      End(std::move(fault->end));
    }
  }
}

void MultiplexSession::NumberedCall::Forward(absl::string_view content) {
  if (call_->backlogged()) return Overrun();
  std::string message;
  if (multiplex().content == PacketContent::kJson) {
    std::variant<std::string, Ending> decoded =
        DecodeJsonText(*resolved_.schema, resolved_.method->input, content,
                       session_.request_.route->json.json);
    if (auto* fault = std::get_if<Ending>(&decoded)) {
      return BreakOff(fault->end);
    }
    message = std::get<std::string>(std::move(decoded));
  } else {
    message = std::string(content);
  }
  if (std::optional<Ending> fault = call_->Send(std::move(message))) {
    BreakOff(fault->end);
  }
}

void MultiplexSession::NumberedCall::Overrun() {
  BreakOff(FailedCall(absl::ResourceExhaustedError(absl::StrCat(
      "more than call_window (", window(), ") waits for the backend"))));
}

void MultiplexSession::NumberedCall::OnCallMessage(std::string payload) {
  answer_is_due_ = false;
  session_.Answer(*this, std::move(payload));
}

void MultiplexSession::NumberedCall::OnCallDone(CallEnd end) {
  if (absl::IsUnimplemented(end.status) && end.status.message().empty() &&
      resolved_.method == nullptr) {
    end.status = resolved_.why_unknown;
  }
  End(end);
}

}  // namespace headgate
