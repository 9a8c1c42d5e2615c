#ifndef GATEWAY_ROUTE_ROUTE_H_
#define GATEWAY_ROUTE_ROUTE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/codec/dialect.h"
#include "gateway/route/hub_target.h"
#include "gateway/schema/schema.h"

namespace headgate {

// How a handshake is refused.
enum class Refusals {
  kHttp,   // With an HTTP status, before 101.
  kClose,  // Accepted, then closed with 4000 + code: a browser's script cannot
           // read the status of a failed handshake.
};

// What a route calls is one of the following.

// The method that the request's path names: "/package.Service/Method".
struct PathMethod {};

struct FixedMethod {
  std::string method;  // "/package.Service/Method"
};

// A method of one service, named by the last segment of the request's path.
struct ServicePath {
  std::string service;  // "/package.Service"
};

// The method whose google.api.http rule fits the request.
struct HttpRuleSet {
  // The query parameter that chooses, on a WebSocket, among rules that share a
  // template by their verb ("?method=PUT"); empty: none.
  std::string method_override;
};

// What the content of a packet is.
enum class PacketContent { kProtobuf, kJson };

// Several calls on one socket: the type of a packet selects the method, its
// `who` is the number of the call.
struct MethodTable {
  // Packet type -> "/package.Service/Method". Not empty.
  absl::flat_hash_map<std::uint32_t, std::string> methods;
  PacketContent content = PacketContent::kProtobuf;
  // More open calls at a time than this end with RESOURCE_EXHAUSTED.
  int max_calls = 100;
  // What one call may hold of the client's messages that the backend has not
  // taken, bytes; the call of a client that overruns it ends with
  // RESOURCE_EXHAUSTED.
  std::size_t call_window_bytes = 64 * 1024;
};

using Target = std::variant<PathMethod, FixedMethod, ServicePath, HttpRuleSet,
                            MethodTable, HubTarget>;

// What the gateway makes of the expiry of a bearer token, `exp` of a JWT.
struct TokenRule {
  enum class Expiry {
    kIgnored,
    kCloses,  // A session ends with its token, and none begins after it.
  };
  Expiry expiry = Expiry::kIgnored;
  // How long after it; sessions have up to a fifth more, each its own share.
  absl::Duration leeway = absl::Seconds(25);
};

// How much a client may send at a time (a token bucket).
struct RateLimit {
  double per_second = 0;  // 0: any amount.
  // What it may send at once after a rest; 0: what it may in a second.
  double burst = 0;

  bool limited() const { return per_second > 0; }
};

// The gateway's own codecs on WebSockets, as the name of a dialect.
inline constexpr absl::string_view kOwnCodecs = "headgate";

// What a request leads to. Plain data, shared by the sessions that came in on
// it.
struct Route {
  // Hosts (the Host header without its port, lower case) that it is for:
  // "api.example.com" or "*.example.com" (any subdomain). Empty: any.
  std::vector<std::string> hosts;
  // What path it is for; at most one is set. All empty: every
  // "/package.Service/Method".
  std::string path;           // Exactly this one.
  std::string prefix;         // Whole segments: "/v3" is for /v3 and /v3/x.
  std::string path_template;  // "/rooms/{room}/join", as in google.api.http.
  // The target is applied to the part of the path behind `prefix`.
  bool strip_prefix = false;

  // The upstream's name.
  std::string upstream = "default";

  Target target;
  // Identifies the hub of a HubTarget within the server; 0: not assigned.
  std::uint64_t hub_id = 0;

  // What the configuration says of codecs; RoutePlan has what follows from it.
  // Null or empty: nothing.
  const Dialect* codec = nullptr;
  const Dialect* binary_codec = nullptr;
  std::vector<const Dialect*> allowed_codecs;
  // The names of the dialects that clients may speak, kOwnCodecs among them;
  // empty: all.
  std::vector<std::string> dialects;
  PacketOptions packet;
  JsonCodecOptions json;
  // The longest WebSocket message from a client.
  std::size_t max_message_bytes = 1024 * 1024;

  // Where a token may come from besides headers and subprotocols; empty: not.
  std::string token_cookie;
  std::string token_query;
  TokenRule token;
  // Request headers, lower case, that go to the backend as metadata.
  std::vector<std::string> forward_headers;
  // The longest header list that a call may have towards the backend, as HTTP/2
  // counts it, and what of that the gateway's own fields take: all but the
  // method's path and the metadata.
  std::size_t max_metadata_bytes = 8 * 1024;
  std::size_t own_metadata_bytes = 0;
  // The longest that a call may take.
  absl::Duration deadline = absl::InfiniteDuration();

  // Sessions at a time; 0: any number.
  int max_sessions = 0;
  // Of what one client sends; beyond it the session ends with 1008.
  RateLimit messages;
  RateLimit bytes;
  // A session without a message either way for this long is closed,
  absl::Duration idle_timeout = absl::InfiniteDuration();
  // and one that is open for this long.
  absl::Duration max_age = absl::InfiniteDuration();
  Refusals refusals = Refusals::kHttp;
};

// The name of a route in the log and in metrics: its path, with its host if it
// has one.
std::string RouteName(const Route& route);

struct RoutePlan;

// Request -> route. Immutable, so safe for any thread.
//
// The first route that fits a request wins. The cost of a lookup depends on the
// length of the request's path, not on the number of routes: they share one
// tree of path segments per host.
class Router {
 public:
  // Requires: the paths, prefixes, templates and hosts are well formed
  // (config's Validate sees to it).
  explicit Router(std::vector<Route> routes);
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  struct Match {
    std::shared_ptr<const Route> route;
    // Of the route and, where the path names it, the method.
    std::shared_ptr<const RoutePlan> plan;
    // "/package.Service/Method"; empty for an HttpRuleSet, where the upstream's
    // descriptors name it, and for a MethodTable.
    std::string method;
    // Of the route's template.
    std::vector<Parameter> variables;
    // The request's, percent-encoded, without a prefix that is stripped: what
    // google.api.http rules see.
    std::string path;
  };

  // `host`: the Host header, with or without a port. `path`: of the request
  // target, still percent-encoded, without the query. Absent: nothing is
  // served there.
  std::optional<Match> Find(absl::string_view host,
                            absl::string_view path) const;

 private:
  class Tree;
  std::unique_ptr<const Tree> tree_;
};

// The Host header without its port and without the dot that may end a name, in
// lower case; empty when it is too long to be a host.
std::string HostName(absl::string_view host);

// Whether `path` has the form "/package.Service/Method" (the package may be
// absent): two segments of letters, digits, '_' and, in the first, '.'.
bool IsMethodPath(absl::string_view path);

}  // namespace headgate

#endif  // GATEWAY_ROUTE_ROUTE_H_
