#ifndef GATEWAY_HTTP_HANDSHAKE_H_
#define GATEWAY_HTTP_HANDSHAKE_H_

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "gateway/config/address.h"
#include "gateway/console/console.h"
#include "gateway/http/header_rules.h"
#include "gateway/http/origin.h"
#include "gateway/http/refusal.h"
#include "gateway/http/request.h"
#include "gateway/http/session_request.h"
#include "gateway/http/target.h"
#include "gateway/route/http_rules.h"
#include "gateway/route/route.h"
#include "gateway/schema/schema.h"

namespace headgate {

// What a listener judges a handshake by. Immutable while it serves.
struct HandshakePolicy {
  std::shared_ptr<const Router> router;  // Never null.
  std::vector<std::string> allowed_origins;
  std::vector<Network> trusted_proxies;
  // Hosts, besides those of loopback, that requests may name; see
  // HostAllowed. Empty: any, unless `is_loopback`.
  std::vector<std::string> allowed_hosts;
  // The listener is at loopback addresses alone, where a page can get at it by
  // a name of its own that resolves to them (DNS rebinding).
  bool is_loopback = false;
  // Only what is in front of the listener knows whether clients come by TLS,
  // and it does not say so in the requests: a socket file, a PROXY header.
  bool is_behind_proxy = false;
  Refusals refusals = Refusals::kHttp;          // Where no route was found.
  std::shared_ptr<const ConsoleIndex> console;  // Null: it is not served.
};

// Whether there is room for one more session.
enum class Capacity {
  kFree,
  kFull,         // max_sessions
  kAddressFull,  // max_sessions_per_address
  kRouteFull,    // The route's max_sessions.
  kDraining,
  kOverloaded,  // max_memory
};

// A request that becomes a session.
struct Admission {
  SessionRequest session;
  std::string subprotocol;  // To be echoed; empty: none.
};

// A request is judged in steps, because the rules of an upstream may have to be
// asked for between them: RFC 6455 section 4.2, RFC 9112, and the rules of
// docs/protocol.md. All of them are pure.

// The first step: the listener has a route for it.
struct Located {
  bool is_websocket = false;
  HttpTarget target;
  OwnOrigin own_origin;
  Router::Match match;
};
std::variant<Refusal, Located> LocateRequest(const HttpRequest& request,
                                             const HandshakePolicy& policy,
                                             const Peer& peer);

// The second: what is called there.
struct Destination {
  std::string method;  // Empty: several.
  // The kind of call; known where a rule has led to the method.
  std::optional<MethodKind> kind;
  bool gives_bytes = false;  // google.api.HttpBody.
  std::optional<RequestBinding> binding;
};
// `rules`: those of the route's upstream; null unless the route calls an
// HttpRuleSet.
std::variant<Refusal, Destination> FindDestination(const HttpRequest& request,
                                                   const Located& located,
                                                   const HttpRules* rules);

// The last: who may call it, and how.
std::variant<Refusal, Admission> JudgeSession(const HttpRequest& request,
                                              const HandshakePolicy& policy,
                                              const Peer& peer,
                                              const Located& located,
                                              const Destination& destination);

// A request for the console, on a listener that serves it; absent: it is for a
// route. The host must be the listener's own, whatever origins are allowed.
std::optional<std::variant<Refusal, HttpTarget>> FindConsole(
    const HttpRequest& request, const HandshakePolicy& policy,
    const Peer& peer);

// There is no room. Requires: not kFree.
Refusal NoCapacity(const HttpRequest& request, const Located& located,
                   Capacity capacity);

// There is no room for the connection. Requires: kFull or kAddressFull.
Refusal NoConnection(Capacity capacity);

// Refusals of requests that could not be read to the end.
Refusal HeadersTooLarge(std::size_t max_header_bytes);
Refusal HandshakeTooSlow(absl::Duration timeout);
// Of an Origin that is not among the allowed ones; absent when it is, or when
// there is none.
std::optional<Refusal> CheckOrigin(const HttpRequest& request,
                                   const HandshakePolicy& policy,
                                   const Located& located);
// Nothing is served at `path`.
Refusal NotFound(absl::string_view path);

// What the rules take there, and what the gateway answers itself; empty:
// nothing is served there.
std::vector<std::string> AllowedVerbs(const HttpRules& rules,
                                      const Located& located);

}  // namespace headgate

#endif  // GATEWAY_HTTP_HANDSHAKE_H_
