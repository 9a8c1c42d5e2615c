#ifndef GATEWAY_CODEC_GRPC_H_
#define GATEWAY_CODEC_GRPC_H_

namespace headgate {

struct Dialect;

// gRPC itself, over HTTP/2 (grpc/grpc doc/PROTOCOL-HTTP2.md;
// docs/protocol/grpc.md): length-prefixed messages both ways, the status and
// the trailing metadata as trailers. A call that ends before the backend has
// sent anything is "Trailers-Only": all of it is in the response's head.
extern const Dialect kGrpcDialect;

}  // namespace headgate

#endif  // GATEWAY_CODEC_GRPC_H_
