#ifndef GATEWAY_HTTP_UPGRADE_H_
#define GATEWAY_HTTP_UPGRADE_H_

#include <optional>

#include "gateway/http/refusal.h"
#include "gateway/http/request.h"

namespace headgate {

// Whether the request asks for a WebSocket. Connection may come in several
// lines (RFC 9110 section 5.3).
bool IsWebSocket(const HttpRequest& request);

bool IsHttp2(const HttpRequest& request);

// What is wrong with the request's Host; absent: nothing. RFC 9112 section 3.2;
// HTTP/1.0 knows no Host. In HTTP/2 it is :authority's other name, and must say
// the same (RFC 9113 section 8.3.1).
std::optional<Refusal> CheckHost(const HttpRequest& request);

// What is wrong with the request as a WebSocket handshake (RFC 6455 section
// 4.2.1, RFC 8441 section 5), its Host included; absent: nothing.
std::optional<Refusal> CheckUpgrade(const HttpRequest& request);

}  // namespace headgate

#endif  // GATEWAY_HTTP_UPGRADE_H_
