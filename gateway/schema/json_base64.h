#ifndef GATEWAY_SCHEMA_JSON_BASE64_H_
#define GATEWAY_SCHEMA_JSON_BASE64_H_

#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// Bytes in JSON. Linear in the size of the input. Safe for any thread.

// Appends what `text` writes in base64 or base64url (RFC 4648), which may lack
// its padding; only one of the two alphabets may be used. Bits that are left
// over are dropped. False, with something appended, when it is neither.
bool AppendFromBase64(absl::string_view text, std::string& bytes);

// Appends `bytes` in base64 with its padding, in quotes.
void AppendJsonBase64(absl::string_view bytes, std::string& json);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_BASE64_H_
