#ifndef GATEWAY_NET_HANDSHAKE_H_
#define GATEWAY_NET_HANDSHAKE_H_

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "gateway/config/address.h"
#include "gateway/net/http.h"
#include "gateway/net/request_metadata.h"
#include "gateway/route/route.h"
#include "gateway/session/session.h"

namespace headgate {

// What a listener judges a handshake by. Immutable while it serves.
struct HandshakePolicy {
  const Router* router = nullptr;  // Never null.
  std::vector<std::string> allowed_origins;
  std::vector<Network> trusted_proxies;
  Refusals refusals = Refusals::kHttp;  // Where no route was found.
};

enum class Capacity { kFree, kFull, kDraining };

// A handshake that does not become a session.
struct Refusal {
  int http_status = 400;
  absl::Status status;
  std::vector<std::pair<std::string, std::string>> headers;
  // kClose only for a request that is a WebSocket's: it can be accepted and
  // closed again.
  Refusals how = Refusals::kHttp;
  std::string subprotocol;  // For kClose; empty: none.
};

// A handshake that does.
struct Admission {
  SessionRequest session;
  std::string subprotocol;  // To be echoed; empty: none.
};

// Judges one request: RFC 6455 section 4.2, and the rules of docs/protocol.md.
// Pure.
std::variant<Refusal, Admission> JudgeHandshake(const HttpRequest& request,
                                                const HandshakePolicy& policy,
                                                const Peer& peer,
                                                Capacity capacity);

// Refusals of requests that could not be read to the end.
Refusal HeadersTooLarge(std::size_t max_header_bytes);
Refusal HandshakeTooSlow(absl::Duration timeout);
Refusal BadRequest(absl::string_view what);

// The body of a refusal: {"code": 5, "message": "..."}.
std::string RefusalBody(const Refusal& refusal);

}  // namespace headgate

#endif  // GATEWAY_NET_HANDSHAKE_H_
