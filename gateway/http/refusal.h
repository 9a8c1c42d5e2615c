#ifndef GATEWAY_HTTP_REFUSAL_H_
#define GATEWAY_HTTP_REFUSAL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/http/request.h"
#include "gateway/route/route.h"

namespace headgate {

// Why a request does not become a session, or a connection is not served.
enum class RefusalReason {
  kBadRequest,
  kCredentials,
  kTokenExpired,
  kOrigin,
  kHost,
  kNotFound,
  kMethodNotAllowed,
  kTooSlow,
  kTooLarge,
  kMediaType,
  kUpgradeRequired,
  kHeadersTooLarge,
  kMetadataTooLarge,
  kMaxSessions,
  kMaxSessionsPerAddress,
  kMaxSessionsPerIdentity,
  kMaxSessionsOfRoute,
  kDraining,
  kOverloaded,
  kUnavailable,
  kMaxConnections,
  kMaxConnectionsPerAddress,
  kFileDescriptors,
};

// A row of the table of refusals, the only place that says what a reason means
// to a client, to the metrics and to the documents.
struct RefusalKind {
  RefusalReason reason;
  // The label `reason` of the metric.
  absl::string_view label;
  enum class Metric {
    kHandshakes,   // headgate_handshakes_refused_total
    kConnections,  // headgate_connections_refused_total
  } metric;
  // kUnavailable has those of the status that is the cause.
  int http_status;
  absl::StatusCode code;
  // For docs/protocol.md.
  absl::string_view when;
  // The key of the configuration that decides, where the refusal itself names
  // none; empty: the request is at fault.
  absl::string_view setting = {};
};

// In the order of RefusalReason.
absl::Span<const RefusalKind> RefusalKinds();
const RefusalKind& KindOf(RefusalReason reason);

// A request that does not become a session.
struct Refusal {
  RefusalReason reason = RefusalReason::kBadRequest;
  int http_status = 400;
  absl::Status status;
  // What an operator would set to have the request served, for the log.
  absl::string_view setting;
  HttpFields headers;
  // kClose only for a request that is a WebSocket's: it can be accepted and
  // closed again.
  Refusals how = Refusals::kHttp;
  std::string subprotocol;  // For kClose; empty: none.
  // What the client would speak, and is told in; null: it has not said.
  const Dialect* dialect = nullptr;
};

// With the status, the code and the headers of the reason.
Refusal Refuse(RefusalReason reason, absl::string_view message);
Refusal BadRequest(absl::string_view what);
// The cause lies behind the gateway: kUnavailable, with that status.
Refusal Unavailable(const absl::Status& status);

// The body of a refusal: {"code": 5, "message": "..."}.
std::string RefusalBody(const Refusal& refusal);

}  // namespace headgate

#endif  // GATEWAY_HTTP_REFUSAL_H_
