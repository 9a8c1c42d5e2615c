#ifndef GATEWAY_SCHEMA_MESSAGE_MERGE_H_
#define GATEWAY_SCHEMA_MESSAGE_MERGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gateway/schema/json_type.h"

namespace headgate {

// The serialized messages `message` and `more` of `type`, merged: what `more`
// has overrides what `message` has, as if they were concatenated. But here a
// field that is a message stands once, for parsers that do not merge what comes
// in several pieces: protobufjs takes the last. Groups are concatenated.
//
// Reads what stands at the top level of both, and of the fields that are in
// both. Safe for any bytes: those that are not a message are concatenated.
std::string MergeMessages(JsonTypes& types, const JsonType& type,
                          std::string message, absl::string_view more);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_MESSAGE_MERGE_H_
