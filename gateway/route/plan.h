#ifndef GATEWAY_ROUTE_PLAN_H_
#define GATEWAY_ROUTE_PLAN_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/codec/dialect.h"
#include "gateway/route/route.h"

namespace headgate {

// The methods of the gateway's own protocols, which have codecs of their own.
inline constexpr absl::string_view kPacketMethod =
    "/headgate.v1.PacketService/Connect";
inline constexpr absl::string_view kMessageMethod =
    "/headgate.v1.MessageService/Connect";

// What follows from a route for the sessions that it leads to. The checks of a
// configuration, `headgate check`, the admin listener, the router and the
// handshake all read this, and none of them draws conclusions from the route's
// target or path itself. Plain data.
struct RoutePlan {
  enum class MethodFrom {
    kRoute,       // The route names the one method.
    kPath,        // The request's path names it.
    kHttpRules,   // The google.api.http rule that fits names it.
    kPacketType,  // Each packet names one.
  };
  MethodFrom method_from = MethodFrom::kPath;
  // Variables of the route's template set fields of the first message.
  bool binds_variables = false;
  // Its sessions share the stream of a hub (HubTarget).
  bool is_hub = false;
  // Plain HTTP requests make calls, besides WebSockets.
  bool serves_http = false;

  // What clients speak that choose nothing; null: what their first message is,
  // text for json, binary for `binary_codec`.
  const Dialect* codec = nullptr;
  const Dialect* binary_codec = &kProtobufDialect;
  // What a subprotocol may choose, in the order in which errors name them.
  std::vector<const Dialect*> allowed_codecs;
  // Whether WebSockets may speak one of these.
  bool serves_own_codecs = true;
  // What the Content-Type of a plain HTTP request may choose.
  std::vector<const Dialect*> http_dialects;
  // Of other gateways, what a subprotocol may choose besides.
  std::vector<const Dialect*> websocket_dialects;
  // Set where only allowed_codecs[0] can carry the calls: the field of the
  // configuration that is the reason.
  absl::string_view only_because;

  // The longest path of a method that the route itself names.
  std::size_t longest_method_bytes = 0;

  // Whether a subprotocol may choose `dialect`.
  bool MaySpeak(const Dialect* dialect) const;
};

// `method`: what a request's path names; empty for a plan that is not of one
// request. Requires: `route.path_template` is empty or can be parsed; where it
// cannot, it counts as a template without variables.
RoutePlan PlanRoute(const Route& route, absl::string_view method = "");

}  // namespace headgate

#endif  // GATEWAY_ROUTE_PLAN_H_
