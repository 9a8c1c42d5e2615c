#include "gateway/http/refusal.h"

#include <cstddef>
#include <iterator>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/http/response.h"

namespace headgate {
namespace {

using Code = absl::StatusCode;
using Metric = RefusalKind::Metric;
using Reason = RefusalReason;

constexpr RefusalKind kKinds[] = {
    {Reason::kBadRequest, "bad_request", Metric::kHandshakes, 400,
     Code::kInvalidArgument,
     "not an HTTP/1.1 request; a bad `Sec-WebSocket-Key` or `Host`; a target "
     "that is neither a path nor an `http:` or `ws:` address with a host and "
     "without userinfo; a header that cannot become metadata; a bad "
     "`Grpc-Timeout`; a codec that the path does "
     "not serve; data sent before the response"},
    {Reason::kCredentials, "credentials", Metric::kHandshakes, 401,
     Code::kUnauthenticated, "malformed credentials (below)"},
    {Reason::kTokenExpired, "token_expired", Metric::kHandshakes, 401,
     Code::kUnauthenticated,
     "the bearer token has expired, on a route with `token: {expiry: close}`",
     "routes[].token"},
    {Reason::kOrigin, "origin", Metric::kHandshakes, 403,
     Code::kPermissionDenied, "the Origin is not allowed",
     "listeners[].allowed_origins"},
    {Reason::kHost, "host", Metric::kHandshakes, 403, Code::kPermissionDenied,
     "the host is not allowed", "listeners[].allowed_hosts"},
    {Reason::kNotFound, "not_found", Metric::kHandshakes, 404, Code::kNotFound,
     "nothing is served at this path", "routes"},
    {Reason::kMethodNotAllowed, "method_not_allowed", Metric::kHandshakes, 405,
     Code::kUnimplemented,
     "the HTTP rules of this path are for other methods, which `Allow` names"},
    {Reason::kTooSlow, "too_slow", Metric::kHandshakes, 408,
     Code::kDeadlineExceeded,
     "no complete request within `--handshake-timeout`, or a body that does "
     "not go on for `--message-timeout`",
     "timeouts.handshake or timeouts.message"},
    {Reason::kTooLarge, "too_large", Metric::kHandshakes, 413,
     Code::kResourceExhausted,
     "`Content-Length` is more than `--max-message-bytes`, and the call takes "
     "one message",
     "limits.max_message_bytes or routes[].max_message_bytes"},
    {Reason::kMediaType, "media_type", Metric::kHandshakes, 415,
     Code::kInvalidArgument,
     "a `POST` whose `Content-Type` is that of none of the route's dialects, "
     "which `Accept-Post` names",
     "routes[].dialects"},
    {Reason::kUpgradeRequired, "upgrade_required", Metric::kHandshakes, 426,
     Code::kFailedPrecondition,
     "not a WebSocket upgrade; or a `Sec-WebSocket-Version` other than 13 (the "
     "response names 13)"},
    {Reason::kHeadersTooLarge, "headers_too_large", Metric::kHandshakes, 431,
     Code::kResourceExhausted,
     "the headers are longer than `--max-header-bytes`",
     "limits.max_header_bytes"},
    {Reason::kMetadataTooLarge, "metadata_too_large", Metric::kHandshakes, 431,
     Code::kResourceExhausted,
     "the metadata of a call would be longer than `--max-metadata-bytes`",
     "limits.max_metadata_bytes"},
    {Reason::kMaxSessions, "max_sessions", Metric::kHandshakes, 503,
     Code::kUnavailable, "`--max-sessions` are open", "limits.max_sessions"},
    {Reason::kMaxSessionsPerAddress, "max_sessions_per_address",
     Metric::kHandshakes, 503, Code::kUnavailable,
     "the client's address has `--max-sessions-per-address`",
     "limits.max_sessions_per_address"},
    {Reason::kMaxSessionsPerIdentity, "max_sessions_per_identity",
     Metric::kHandshakes, 503, Code::kUnavailable,
     "the client, by a claim of its token or a header, has "
     "`limits.max_sessions_per_identity`",
     "limits.max_sessions_per_identity"},
    {Reason::kMaxSessionsOfRoute, "max_sessions_of_route", Metric::kHandshakes,
     503, Code::kUnavailable, "the route has its `max_sessions`",
     "routes[].max_sessions"},
    {Reason::kDraining, "draining", Metric::kHandshakes, 503,
     Code::kUnavailable, "the gateway is shutting down"},
    {Reason::kOverloaded, "overloaded", Metric::kHandshakes, 503,
     Code::kUnavailable, "the gateway is short of memory (`--max-memory`)",
     "limits.max_memory"},
    {Reason::kUnavailable, "unavailable", Metric::kHandshakes, 503,
     Code::kUnavailable,
     "the upstream's HTTP rules cannot be fetched, or the rule cannot be used "
     "(501, code 12); the backend of a hub rejects the session, or cannot be "
     "asked; status and code are those of the cause"},
    {Reason::kMaxConnections, "max_connections", Metric::kConnections, 503,
     Code::kUnavailable, "`--max-connections` are open, and none is idle",
     "limits.max_connections"},
    {Reason::kMaxConnectionsPerAddress, "max_connections_per_address",
     Metric::kConnections, 503, Code::kUnavailable,
     "the client's address has `--max-connections-per-address`",
     "limits.max_connections_per_address"},
    {Reason::kFileDescriptors, "file_descriptors", Metric::kConnections, 503,
     Code::kUnavailable,
     "there are file descriptors for fewer than `--max-connections`, and no "
     "connection is idle"},
};

constexpr bool IsInOrder() {
  for (std::size_t i = 0; i < std::size(kKinds); ++i) {
    if (static_cast<std::size_t>(kKinds[i].reason) != i) return false;
  }
  return std::size(kKinds) ==
         static_cast<std::size_t>(Reason::kFileDescriptors) + 1;
}
static_assert(IsInOrder());

}  // namespace

absl::Span<const RefusalKind> RefusalKinds() { return kKinds; }

const RefusalKind& KindOf(RefusalReason reason) {
  return kKinds[static_cast<std::size_t>(reason)];
}

Refusal Refuse(RefusalReason reason, absl::string_view message) {
  const RefusalKind& kind = KindOf(reason);
  Refusal refusal;
  refusal.reason = reason;
  refusal.http_status = kind.http_status;
  refusal.status = absl::Status(kind.code, message);
  AddFieldsOfStatus(refusal.http_status, refusal.headers);
  return refusal;
}

Refusal BadRequest(absl::string_view what) {
  return Refuse(RefusalReason::kBadRequest, what);
}

Refusal Unavailable(const absl::Status& status) {
  Refusal refusal;
  refusal.reason = RefusalReason::kUnavailable;
  refusal.http_status = HttpStatusFor(status.code());
  refusal.status = absl::Status(status.code(), status.message());
  AddFieldsOfStatus(refusal.http_status, refusal.headers);
  return refusal;
}

std::string RefusalBody(const Refusal& refusal) {
  const boost::json::object body = {
      {"code", static_cast<int>(refusal.status.code())},
      {"message", ToUtf8(refusal.status.message())},
  };
  return boost::json::serialize(body) + "\n";
}

}  // namespace headgate
