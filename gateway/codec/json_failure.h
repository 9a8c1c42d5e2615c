#ifndef GATEWAY_CODEC_JSON_FAILURE_H_
#define GATEWAY_CODEC_JSON_FAILURE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/codec/json.h"

namespace headgate {

// `text` as a JSON string, with its quotes; bytes that are not UTF-8 become
// '?'. Safe for any thread.
std::string JsonString(absl::string_view text);

// A failure as grpc-gateway writes it at the end of a stream of responses
// (`kind` gives several) or in place of the one response. `details`: a JSON
// array. docs/protocol.md has the table.
std::string JsonFailure(const absl::Status& status, absl::string_view details,
                        MethodKind kind, JsonCodecOptions::ErrorShape shape);

// Metadata as a JSON object: each key with the array of its values, those of
// "-bin" keys as base64.
std::string JsonMetadata(const Metadata& metadata);

// How a call ended, for JsonCodecOptions::Envelope::kStatus:
// {"status":{"code":5,"message":"m","details":[],"trailers":{}}}.
std::string JsonStatus(const CallEnd& end, absl::string_view details);

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_FAILURE_H_
