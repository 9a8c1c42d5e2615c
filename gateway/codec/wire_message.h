#ifndef GATEWAY_CODEC_WIRE_MESSAGE_H_
#define GATEWAY_CODEC_WIRE_MESSAGE_H_

#include <string>

namespace headgate {

// Data opcodes of RFC 6455 section 5.6.
enum class Opcode { kText, kBinary };

// One WebSocket message, or a piece of an HTTP body. That a client's text
// message is UTF-8 has been checked by the transport (RFC 6455 section 8.1).
struct WireMessage {
  Opcode opcode;
  std::string payload;
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_WIRE_MESSAGE_H_
