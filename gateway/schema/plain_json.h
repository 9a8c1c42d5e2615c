#ifndef GATEWAY_SCHEMA_PLAIN_JSON_H_
#define GATEWAY_SCHEMA_PLAIN_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/schema/plain_type.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The cheap way between JSON and protobuf, for the messages that most are:
// whole numbers, bool, strings, bytes, enums, messages of these, and lists of
// them. Each goes over its input once, driven by the descriptors.
//
// It has no errors. What it does not take, and all that is wrong or merely
// unusual, is left to JsonConverter, which then begins anew; where it does take
// a message it says what JsonConverter would say.
//
// Thread: that of `types`.

// One JSON text -> the serialized message `type`. Returns false when it is left
// to JsonConverter; `message` is unspecified then.
// Not taken, among other things: null, keys that come twice or are unknown,
// numbers with a fraction or an exponent, numbers for enums.
// Requires: `json` is one well-formed JSON value in UTF-8 (anything else is
// safe, but may be taken).
bool PlainJsonToProto(PlainTypes& types, const PlainType& type,
                      absl::string_view json, std::string& message);

// A serialized message `type` -> JSON on one line. Returns false when it is
// left to JsonConverter; `json` is unspecified then. `message` may be anything.
// Not taken, among other things: Unpopulated::kEmit; bytes that are not in the
// order of the fields' numbers; unknown fields and values of enums; characters
// that JSON escapes by number.
bool PlainProtoToJson(PlainTypes& types, const PlainType& type,
                      absl::string_view message, const JsonOptions& options,
                      std::string& json);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_PLAIN_JSON_H_
