#ifndef GATEWAY_WS_HANDSHAKE_H_
#define GATEWAY_WS_HANDSHAKE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace headgate::ws {

// The value of Sec-WebSocket-Accept for that of Sec-WebSocket-Key (RFC 6455
// section 4.2.2). Safe for any thread.
std::string AcceptFor(absl::string_view key);

}  // namespace headgate::ws

#endif  // GATEWAY_WS_HANDSHAKE_H_
