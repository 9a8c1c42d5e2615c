#include "gateway/session/session.h"

#include <utility>

#include "gateway/session/call_session.h"
#include "gateway/session/multiplex_session.h"

namespace headgate {

Session::Session(SessionRequest request,
                 std::shared_ptr<const SessionContext> context)
    : request_(std::move(request)),
      context_(std::move(context)),
      guard_(*request_.route, request_.id) {}

void Session::NoteEnd(const TransportEnd& end) {
  report_.cause = end.cause;
  if (end.cause == TransportEnd::Cause::kSendTimeout) {
    report_.limit = Limit::kSendTimeout;
  } else if (end.cause == TransportEnd::Cause::kKeepaliveTimeout) {
    report_.limit = Limit::kKeepalive;
  }
}

std::unique_ptr<Session> MakeSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport) {
  if (!request.route->multiplex.methods.empty()) {
    return std::make_unique<MultiplexSession>(std::move(request),
                                              std::move(context), transport);
  }
  return std::make_unique<CallSession>(std::move(request), std::move(context),
                                       transport);
}

}  // namespace headgate
