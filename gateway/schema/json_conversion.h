#ifndef GATEWAY_SCHEMA_JSON_CONVERSION_H_
#define GATEWAY_SCHEMA_JSON_CONVERSION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/schema/json_type.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The conversion between JSON and protobuf (ProtoJSON, protobuf.dev/
// programming-guides/json), driven by the descriptors. It goes over its input
// once; bytes that no serializer writes (fields out of order or in several
// pieces) twice. Memory is a small multiple of the input, and of a response's
// JSON, which is limited.
//
// Thread: that of `types`.

// One JSON text -> the serialized message `type`. On failure returns false;
// `message` is unspecified then.
// Requires: `json` is one well-formed JSON value in UTF-8 (anything else is
// safe, but may be taken).
bool JsonToProto(JsonTypes& types, const JsonType& type, absl::string_view json,
                 const JsonOptions& options, std::string& message,
                 JsonError& error);

// The same of one JSON value for `field` of a message, which then has that
// field alone.
bool JsonToProtoField(JsonTypes& types, const JsonField& field,
                      absl::string_view json, const JsonOptions& options,
                      std::string& message, JsonError& error);

// A serialized message `type` -> JSON on one line. `message` may be anything;
// INTERNAL when it is not such a message, nests deeper than
// JsonOptions::max_depth, or has no form in JSON. `json` is unspecified then.
// `awaited_type`: see Schema::ProtoToJson.
absl::Status ProtoToJson(JsonTypes& types, const JsonType& type,
                         absl::string_view message, const JsonOptions& options,
                         std::string& json,
                         std::string* awaited_type = nullptr);

// The same of the value that `field` has in a message `type`; of an absent one
// its default, and null for a message.
absl::Status ProtoFieldToJson(JsonTypes& types, const JsonType& type,
                              const JsonField& field, absl::string_view message,
                              const JsonOptions& options, std::string& json,
                              std::string* awaited_type = nullptr);

// INVALID_ARGUMENT with the field and what is wrong there.
absl::Status ToStatus(const JsonError& error);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_CONVERSION_H_
