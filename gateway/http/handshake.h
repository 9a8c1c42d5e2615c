#ifndef GATEWAY_HTTP_HANDSHAKE_H_
#define GATEWAY_HTTP_HANDSHAKE_H_

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/clock.h"
#include "gateway/config/address.h"
#include "gateway/console/console.h"
#include "gateway/http/credentials.h"
#include "gateway/http/header_rules.h"
#include "gateway/http/identity.h"
#include "gateway/http/origin.h"
#include "gateway/http/refusal.h"
#include "gateway/http/request.h"
#include "gateway/http/session_request.h"
#include "gateway/http/target.h"
#include "gateway/route/http_rules.h"
#include "gateway/route/route.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The settings of a listener that decide about a handshake. Immutable while it
// serves.
struct HandshakePolicy {
  std::shared_ptr<const Router> router;  // Never null.
  std::vector<std::string> allowed_origins;
  std::vector<Network> trusted_proxies;
  // Hosts, besides those of loopback, that requests may name; see
  // HostAllowed. Empty: any, unless `is_loopback`.
  std::vector<std::string> allowed_hosts;
  // All of the listener's addresses are loopback. A page can reach it under a
  // name of its own that resolves to them (DNS rebinding).
  bool is_loopback = false;
  // Only a proxy in front of the listener knows whether clients use TLS, and
  // requests do not say: a Unix socket, a PROXY header.
  bool is_behind_proxy = false;
  Refusals refusals = Refusals::kHttp;  // Where no route was found.
  // Empty where nothing limits the sessions of an identity.
  IdentityRule identity;
  std::shared_ptr<const ConsoleIndex> console;  // Null: it is not served.
};

// Whether there is room for one more session.
enum class Capacity {
  kFree,
  kFull,          // max_sessions
  kAddressFull,   // max_sessions_per_address
  kIdentityFull,  // max_sessions_per_identity
  kRouteFull,     // The route's max_sessions.
  kDraining,
  kOverloaded,  // max_memory
};

// A request that becomes a session.
struct Admission {
  SessionRequest session;
  std::string subprotocol;  // To be echoed; empty: none.
  CredentialSource credentials = CredentialSource::kNone;
  // To count the client's sessions by; see IdentityOf. Empty: they are not.
  std::string identity;
};

// A request is judged in three steps, because an upstream's HTTP rules may have
// to be fetched between them. RFC 6455 section 4.2, RFC 9112, and
// docs/protocol.md. All steps are pure.

// The first step: the route.
struct Located {
  bool is_websocket = false;
  HttpTarget target;
  OwnOrigin own_origin;
  Router::Match match;
  // What a plain HTTP request has chosen by its Content-Type; null: nothing.
  const Dialect* dialect = nullptr;
};
std::variant<Refusal, Located> LocateRequest(const HttpRequest& request,
                                             const HandshakePolicy& policy,
                                             const Peer& peer);

// The second step: the call.
struct Destination {
  std::string method;  // Empty: several.
  // The kind of call; known where a rule has led to the method.
  std::optional<MethodKind> kind;
  std::optional<RequestBinding> binding;
};
// `rules`: those of the route's upstream; null unless the route calls an
// HttpRuleSet.
std::variant<Refusal, Destination> FindDestination(const HttpRequest& request,
                                                   const Located& located,
                                                   const HttpRules* rules);

// The last step: origin, credentials, metadata, deadline and codec.
std::variant<Refusal, Admission> JudgeSession(
    const HttpRequest& request, const HandshakePolicy& policy, const Peer& peer,
    const Located& located, const Destination& destination, Moment now);

// A request for the console, on a listener that serves it; absent: it is for a
// route. The host must be the listener's own, whatever origins are allowed.
std::optional<std::variant<Refusal, HttpTarget>> FindConsole(
    const HttpRequest& request, const HandshakePolicy& policy,
    const Peer& peer);

// The refusal for a lack of capacity. Requires: not kFree.
Refusal NoCapacity(const HttpRequest& request, const Located& located,
                   Capacity capacity);

// The same for a connection. Requires: kFull or kAddressFull.
Refusal NoConnection(Capacity capacity);

// Refusals of requests that could not be read completely.
Refusal HeadersTooLarge(std::size_t max_header_bytes);
Refusal HandshakeTooSlow(absl::Duration timeout);
// The refusal of an Origin that is not allowed; absent when it is allowed or
// the request has none.
std::optional<Refusal> CheckOrigin(const HttpRequest& request,
                                   const HandshakePolicy& policy,
                                   const Located& located);
// The verbs of the route's dialects over plain HTTP; empty: it has none.
std::vector<std::string> DialectVerbs(const Located& located);

// The dialect in whose form the client expects to hear of a refusal; null: the
// gateway's own. `located`: null where no route was found.
const Dialect* DialectOfRefusal(const HttpRequest& request,
                                const Located* located);

// Nothing is served at `path`.
Refusal NotFound(absl::string_view path);

// The HTTP methods that are served there: those of the rules, and OPTIONS,
// which the gateway handles; empty: nothing is served there.
std::vector<std::string> AllowedVerbs(const HttpRules& rules,
                                      const Located& located);

}  // namespace headgate

#endif  // GATEWAY_HTTP_HANDSHAKE_H_
