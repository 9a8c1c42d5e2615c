#ifndef GATEWAY_ROUTE_ROUTE_H_
#define GATEWAY_ROUTE_ROUTE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json.h"
#include "gateway/codec/packet.h"

namespace headgate {

// How a handshake that cannot become a session is told.
enum class Refusals {
  kHttp,   // With an HTTP status, before 101.
  kClose,  // Accepted, then closed with 4000 + code: a browser's script cannot
           // read the status of a failed handshake.
};

// What a request path leads to. Plain data, shared by the sessions that came
// in on it.
struct Route {
  // The request path, exactly; empty: every "/package.Service/Method".
  std::string path;
  // "/package.Service/Method"; empty: the request path is the method.
  std::string method;

  // Absent: chosen by the first message, text -> json, binary -> binary_codec.
  std::optional<CodecKind> codec;
  CodecKind binary_codec = CodecKind::kProtobuf;
  // What a subprotocol may choose, in the order in which errors name them.
  std::vector<CodecKind> allowed_codecs = {CodecKind::kJson,
                                           CodecKind::kProtobuf};
  PacketOptions packet;
  JsonCodecOptions json;
  // The longest WebSocket message from a client.
  std::size_t max_message_bytes = 1024 * 1024;

  // Where a token may come from besides headers and subprotocols; empty: not.
  std::string token_cookie;
  std::string token_query;
  // Request headers, lower case, that go to the backend as metadata.
  std::vector<std::string> forward_headers;
  // The longest that a call may take.
  absl::Duration deadline = absl::InfiniteDuration();
  Refusals refusals = Refusals::kHttp;
};

// Gives a route what its method asks for: packets for
// headgate.v1.PacketService/Connect, plain messages for
// headgate.v1.MessageService/Connect, json and protobuf for any other.
void SetCodecsFor(absl::string_view method, Route& route);

// Request path -> route. Immutable, so safe for any thread.
class Router {
 public:
  // `routes` with a path of their own come before those without. Of two with
  // the same path the first wins.
  explicit Router(std::vector<Route> routes);

  struct Match {
    std::shared_ptr<const Route> route;
    std::string method;
  };

  // `path`: percent-decoded, without the query. Absent: nothing is served
  // there.
  std::optional<Match> Find(absl::string_view path) const;

 private:
  absl::flat_hash_map<std::string, std::shared_ptr<const Route>> exact_;
  // The route of every method path, for each way of speaking.
  std::shared_ptr<const Route> any_method_;
  std::shared_ptr<const Route> packet_method_;
  std::shared_ptr<const Route> message_method_;
};

// Whether `path` has the form "/package.Service/Method" (the package may be
// absent): two segments of letters, digits, '_' and, in the first, '.'.
bool IsMethodPath(absl::string_view path);

}  // namespace headgate

#endif  // GATEWAY_ROUTE_ROUTE_H_
