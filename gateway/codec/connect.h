#ifndef GATEWAY_CODEC_CONNECT_H_
#define GATEWAY_CODEC_CONNECT_H_

namespace headgate {

struct Dialect;

// Connect (connectrpc.com/docs/protocol; docs/protocol/connect.md). A unary
// call is a plain HTTP request: the bodies are the two messages, a failure is
// JSON with an HTTP status of its own. It may be a GET where the method has no
// side effects (BodyFormat::message).
extern const Dialect kConnectJsonDialect;
extern const Dialect kConnectProtoDialect;
// Calls of the other kinds have length-prefixed messages both ways, and the
// status in a last block.
extern const Dialect kConnectStreamJsonDialect;
extern const Dialect kConnectStreamProtoDialect;

}  // namespace headgate

#endif  // GATEWAY_CODEC_CONNECT_H_
