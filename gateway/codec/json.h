#ifndef GATEWAY_CODEC_JSON_H_
#define GATEWAY_CODEC_JSON_H_

#include <cstddef>
#include <memory>

#include "gateway/codec/codec.h"
#include "gateway/schema/schema.h"

namespace headgate {

struct JsonCodecOptions {
  // kNone: bare answers, failure is told by the Close frame alone.
  // kResult: {"result": ...} and {"error": ...} as grpc-gateway writes them.
  enum class Envelope { kNone, kResult };
  enum class ErrorShape { kGrpcGatewayV2, kGrpcGatewayV1 };

  JsonOptions json;
  Envelope envelope = Envelope::kNone;
  ErrorShape error_shape = ErrorShape::kGrpcGatewayV2;
  // The longest JSON text of one request, bytes; a longer one ends the session
  // with 1009.
  std::size_t max_message_bytes = 1024 * 1024;
};

// A stream of JSON texts <-> serialized messages of `method`. The bytes that
// the client sends are one stream, whatever the messages they come in
// (docs/protocol.md). `options` must outlive the codec; `schema` is kept alive
// by it.
// Requires: `method` is one of `schema`'s.
std::unique_ptr<Codec> MakeJsonCodec(const JsonCodecOptions& options,
                                     std::shared_ptr<const Schema> schema,
                                     const Schema::Method& method);

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_H_
