#ifndef GATEWAY_CODEC_GRPC_WEBSOCKETS_H_
#define GATEWAY_CODEC_GRPC_WEBSOCKETS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/codec/codec.h"

namespace headgate {

struct Dialect;

// The WebSocket transport of gRPC-Web clients, of which improbable-eng/grpc-web
// is the reference (go/grpcweb/websocket_wrapper.go,
// client/grpc-web/src/transports/websocket); docs/protocol.md.
//
// From the client, in binary messages: one with the headers as lines of
// HTTP/1.1; then either a byte 0 and a piece of the stream of length-prefixed
// messages, or the byte 1 alone for the half-close. To it: a block of headers,
// length-prefixed messages, a block of trailers. A block is length-prefixed
// with the flag 0x80; clients ignore what follows it in a WebSocket message.
extern const Dialect kGrpcWebSocketsDialect;

// The same with several calls on one socket: four bytes with the number of the
// call (big-endian) before each message, the top bit set on the last one of
// either side. deephaven-core's grpc-java servlet and its JS client are the
// reference.
extern const Dialect kGrpcWebSocketsMultiplexDialect;

struct GrpcWebSocketsLimits {
  std::size_t max_head_bytes;
  std::size_t max_message_bytes;  // Decompressed.
};
std::unique_ptr<Codec> MakeGrpcWebSocketsCodec(
    const GrpcWebSocketsLimits& limits);

// What the transport's WebSocket messages are made of, for its multiplexed form
// as well.

// The headers in-band, or the fault that ends the call.
std::variant<InBandHead, Ending> ParseGrpcWebHead(absl::string_view lines,
                                                  std::size_t max_bytes);

// How the messages of a call are compressed, by its headers.
enum class GrpcEncoding { kIdentity, kGzip };
std::variant<GrpcEncoding, Ending> GrpcEncodingOf(const InBandHead& head);

// The blocks of headers and of trailers. The metadata of either may be empty.
std::string GrpcWebHeaderBlock(const Metadata& headers);
std::string GrpcWebTrailerBlock(const CallEnd& end);

// A fault of the framing: Close 1002.
Ending GrpcWebFault(absl::Status status);

}  // namespace headgate

#endif  // GATEWAY_CODEC_GRPC_WEBSOCKETS_H_
