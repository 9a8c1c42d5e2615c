#ifndef GATEWAY_SCHEMA_JSON_ERROR_H_
#define GATEWAY_SCHEMA_JSON_ERROR_H_

#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"

namespace headgate {

// Takes the text of an error of protobuf's JsonToBinaryString apart. The text
// is made for people and not part of protobuf's contract, and may hold keys
// and values of the client's: what cannot be recognized is all message. Both
// parts are valid UTF-8 on one line, and short.
// Safe for any thread.
JsonError ParseJsonError(absl::string_view text);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_ERROR_H_
