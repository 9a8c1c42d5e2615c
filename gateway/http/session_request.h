#ifndef GATEWAY_HTTP_SESSION_REQUEST_H_
#define GATEWAY_HTTP_SESSION_REQUEST_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json.h"
#include "gateway/route/route.h"

namespace headgate {

// What the handshake found out about a session.
struct SessionRequest {
  std::string id;    // Made up by the gateway, printable.
  std::string peer;  // The address of the client.
  std::shared_ptr<const Route> route;
  std::string method;  // "/package.Service/Method"
  // What the subprotocol or the route chose; null: what the first message is,
  // text for json, binary for `binary_codec`.
  const Dialect* codec = nullptr;
  const Dialect* binary_codec = &kProtobufDialect;
  Metadata metadata;
  std::string trace_id;  // Of `traceparent` in the metadata, for the log.
  // Of each call; the shorter of the client's wish and the deadlines of route
  // and upstream.
  absl::Duration timeout = absl::InfiniteDuration();

  // Where path and query take part in the request; the codec is then json.
  std::optional<RequestBinding> binding;
  JsonWire wire = JsonWire::kWebSocket;
  std::string media_type;  // The request's Content-Type, over kHttp.
};

}  // namespace headgate

#endif  // GATEWAY_HTTP_SESSION_REQUEST_H_
