#ifndef GATEWAY_CODEC_GRPC_WEB_H_
#define GATEWAY_CODEC_GRPC_WEB_H_

namespace headgate {

struct Dialect;

// gRPC-Web (grpc/grpc doc/PROTOCOL-WEB.md; docs/protocol/grpc-web.md):
// length-prefixed messages both ways, the status and the trailing metadata as a
// last block of the response's body. A call that gives one response, or fails
// before its first, is answered as a whole body; a failure's trailers then
// stand in the response's header fields as well.
extern const Dialect kGrpcWebDialect;
extern const Dialect kGrpcWebJsonDialect;
// The same in base64.
extern const Dialect kGrpcWebTextDialect;
extern const Dialect kGrpcWebTextJsonDialect;

}  // namespace headgate

#endif  // GATEWAY_CODEC_GRPC_WEB_H_
