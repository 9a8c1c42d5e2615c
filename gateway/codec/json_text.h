#ifndef GATEWAY_CODEC_JSON_TEXT_H_
#define GATEWAY_CODEC_JSON_TEXT_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json.h"
#include "gateway/codec/json_stream.h"
#include "gateway/schema/schema.h"

namespace headgate {

// What the JSON codecs share.

// The ending of a client's fault: "line 3, byte 57, field a.b: ...".
Ending JsonFault(const StreamPosition& position, absl::string_view field,
                 const absl::Status& status);
Ending JsonFault(const JsonStream::Fault& fault);

// The text that the stream has just returned does not fit its message.
Ending JsonMismatch(const JsonStream& stream, const JsonError& error);

// One answer as the route's envelope has it.
WireMessage JsonAnswer(std::string json, const Schema::Method& method,
                       const JsonCodecOptions& options);

// The message that tells a failure, as the route's error shape has it; none
// for OK.
std::optional<WireMessage> JsonEnd(const Ending& ending, const Schema& schema,
                                   const Schema::Method& method,
                                   const JsonCodecOptions& options);

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_TEXT_H_
