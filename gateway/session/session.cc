#include "gateway/session/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/session/call_session.h"
#include "gateway/session/grpc_multiplex_session.h"
#include "gateway/session/packet_session.h"

namespace headgate {

Session::Session(SessionRequest request,
                 std::shared_ptr<const SessionContext> context)
    : request_(std::move(request)),
      context_(std::move(context)),
      guard_(*request_.route, request_.id, request_.token_expiry) {}

std::optional<SessionGuard::Violation> Session::CountWireBytes(
    std::size_t bytes) {
  wire_bytes_ += bytes;
  return guard_.OnReceived(0, bytes);
}

std::optional<SessionGuard::Violation> Session::CountMessage(
    std::size_t messages, std::size_t bytes) {
  const std::size_t counted = std::exchange(wire_bytes_, 0);
  return guard_.OnReceived(messages, bytes - std::min(bytes, counted));
}

SessionGuard::Violation Session::StuckMessage(absl::Duration patience) {
  return {Limit::kMessageTime,
          {CloseCode::kPolicyViolation,
           CallEnd{absl::DeadlineExceededError(
                       absl::StrCat("the rest of a message did not come within "
                                    "timeouts.message (",
                                    absl::FormatDuration(patience), ")")),
                   ""}}};
}

SessionGuard::Violation Session::MemoryShort() {
  return {Limit::kMemory,
          {CloseCode::kTryAgainLater,
           CallEnd{absl::UnavailableError("the gateway is overloaded"), ""}}};
}

void Session::NoteEnd(const TransportEnd& end) {
  report_.cause = end.cause;
  if (end.cause == TransportEnd::Cause::kSendTimeout) {
    report_.limit = Limit::kSendTimeout;
  } else if (end.cause == TransportEnd::Cause::kKeepaliveTimeout) {
    report_.limit = Limit::kKeepalive;
  }
}

void Session::Tap(TapEvent::Kind kind, Opcode opcode, absl::string_view payload,
                  absl::string_view method) const {
  if (!is_tapped()) return;
  TapEvent event;
  event.kind = kind;
  event.form = TappedForm(tapped_codec());
  event.at = Clock();
  event.codec = tapped_codec();
  event.opcode = opcode;
  event.method = std::string(method);
  if (kind == TapEvent::Kind::kEnded) {
    event.close = report_.close;
    event.by_gateway = report_.cause == TransportEnd::Cause::kClosedByGateway;
    event.status = report_.status;
  }
  if (tapped_ == nullptr) tapped_ = std::make_unique<TappedSession>();
  tapped_->Offer(*context_->taps, request_, std::move(event), payload);
}

std::unique_ptr<Session> MakeSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport) {
  if (std::holds_alternative<MethodTable>(request.route->target)) {
    return std::make_unique<PacketSession>(std::move(request),
                                           std::move(context), transport);
  }
  if (request.codec != nullptr &&
      request.codec->calls == Dialect::Calls::kMany) {
    return std::make_unique<GrpcMultiplexSession>(
        std::move(request), std::move(context), transport);
  }
  return std::make_unique<CallSession>(std::move(request), std::move(context),
                                       transport);
}

}  // namespace headgate
