#ifndef GATEWAY_CODEC_JSON_H_
#define GATEWAY_CODEC_JSON_H_

#include <cstddef>
#include <memory>
#include <string>
#include <variant>

#include "gateway/codec/codec.h"
#include "gateway/schema/schema.h"

namespace headgate {

struct Dialect;

struct JsonCodecOptions {
  // kNone: bare responses; the Close frame alone tells a failure.
  // kResult: {"result": ...} and {"error": ...} as grpc-gateway writes them.
  // kStatus: bare responses, {"headers": ...} before them and {"status": ...}
  //   after them. Over plain HTTP, which has a place for both, as kNone.
  enum class Envelope { kNone, kResult, kStatus };
  enum class ErrorShape { kGrpcGatewayV2, kGrpcGatewayV1 };

  JsonOptions json;
  Envelope envelope = Envelope::kNone;
  ErrorShape error_shape = ErrorShape::kGrpcGatewayV2;
  // The longest JSON text of one request, bytes; a longer one ends the session
  // with 1009.
  std::size_t max_message_bytes = 1024 * 1024;
};

// Needs a descriptor; the texts are those of MakeBoundJsonCodec where there is
// a binding, else of MakeJsonCodec.
extern const Dialect kJsonDialect;

// A stream of JSON texts <-> serialized messages of `method`. The bytes that
// the client sends are one stream, whatever the messages they come in
// (docs/protocol.md). `options` must outlive the codec; `schema` is kept alive
// by it; `envelope` is what the client asked for, or the options' own.
// Requires: `method` is one of `schema`'s.
std::unique_ptr<Codec> MakeJsonCodec(const JsonCodecOptions& options,
                                     JsonCodecOptions::Envelope envelope,
                                     std::shared_ptr<const Schema> schema,
                                     const Schema::Method& method);

// One whole JSON text as a serialized message `type`; on failure how its call
// ends, with the place of the fault in `json`. `awaited_type`: see JsonError.
std::variant<std::string, Ending> DecodeJsonText(
    const Schema& schema, absl::string_view type, absl::string_view json,
    const JsonOptions& options, std::string* awaited_type = nullptr);

// The same for a request whose path and query take part in it (google.api.http,
// or a route's template), as JsonRequests has it; responses are the field
// `response_body` of the binding, where it names one.
// Fails with INVALID_ARGUMENT when a parameter does not fit its field, naming
// it.
absl::StatusOr<std::unique_ptr<Codec>> MakeBoundJsonCodec(
    const JsonCodecOptions& options, JsonCodecOptions::Envelope envelope,
    std::shared_ptr<const Schema> schema, const Schema::Method& method,
    const RequestBinding& binding);

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_H_
