#ifndef GATEWAY_SCHEMA_JSON_STRING_H_
#define GATEWAY_SCHEMA_JSON_STRING_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// What of a value an error repeats.
inline constexpr std::size_t kMaxShownBytes = 64;
// And of a path to a field.
inline constexpr std::size_t kMaxPathBytes = 200;

// Appends `text` as a JSON string, with its quotes. What is not printable in
// ASCII, <, > and the line separators U+2028 and U+2029 are escaped: the result
// may stand in HTML and is one line. Returns false when `text` is not UTF-8;
// `json` is unspecified then. Safe for any thread.
bool AppendJsonString(absl::string_view text, std::string& json);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_STRING_H_
