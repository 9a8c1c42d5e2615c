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

// Needs a descriptor; the texts are those of MakeBoundJsonCodec where there is
// a binding, else of MakeJsonCodec.
extern const Dialect kJsonDialect;

// A stream of JSON texts <-> serialized messages of `method`. The bytes that
// the client sends are one stream, whatever the messages they come in
// (docs/protocol.md). `options` must outlive the codec; `schema` is kept alive
// by it.
// Requires: `method` is one of `schema`'s.
std::unique_ptr<Codec> MakeJsonCodec(const JsonCodecOptions& options,
                                     std::shared_ptr<const Schema> schema,
                                     const Schema::Method& method);

// One whole JSON text as a serialized message `type`; on failure how its call
// ends, with the place of the fault in `json`.
std::variant<std::string, Ending> DecodeJsonText(const Schema& schema,
                                                 absl::string_view type,
                                                 absl::string_view json,
                                                 const JsonOptions& options);

// Where the client's JSON comes from; it decides how a failure is told.
enum class JsonWire {
  kWebSocket,  // By the Close frame, and in-band as the envelope has it.
  kHttp,       // Always in-band: there is nothing else.
};

// The same for a request whose path and query take part in it (google.api.http,
// or a route's template):
//   * body "*": each JSON text is a message; "field": each is the value of that
//     field; "": there is no body, and the one message that path and query make
//     comes out before anything was fed, the half-close right behind it.
//   * The first message also has what path and query say. A half-close before
//     any text, of a method that takes one request, is that message alone.
//   * response_body: answers are that field's value.
//   * google.api.HttpBody, as the message or as the body's field: over kHttp
//     bytes go through as they are, `media_type` with them; of a method that
//     takes one request all that comes before the half-close is its data,
//     at most max_message_bytes; else each piece fed is one message's. An
//     answer carries its own media_type and is not enveloped. Over kWebSocket
//     it is JSON like any other message.
// Fails with INVALID_ARGUMENT when a parameter does not fit its field, naming
// it. `media_type` is the request's Content-Type; empty when it has none.
absl::StatusOr<std::unique_ptr<Codec>> MakeBoundJsonCodec(
    const JsonCodecOptions& options, JsonWire wire,
    std::shared_ptr<const Schema> schema, const Schema::Method& method,
    const RequestBinding& binding, absl::string_view media_type);

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_H_
