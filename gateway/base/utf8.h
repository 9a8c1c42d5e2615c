#ifndef GATEWAY_BASE_UTF8_H_
#define GATEWAY_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace headgate {

// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
// U+10FFFF. Safe for any thread.

// How many bytes at the start of `bytes` are valid, whole characters;
// bytes.size() when all are.
std::size_t ValidUtf8Prefix(absl::string_view bytes);

inline bool IsUtf8(absl::string_view bytes) {
  return ValidUtf8Prefix(bytes) == bytes.size();
}

// Whether `bytes`, fewer than make a character, may be the beginning of one.
// Requires: not empty, ValidUtf8Prefix(bytes) is 0.
bool MayBecomeUtf8(absl::string_view bytes);

// `bytes` with each byte that is not part of a character replaced by '?'.
std::string ToUtf8(absl::string_view bytes);

// A character that must not reach a terminal or a log as it is: C0, DEL, C1,
// the controls of writing direction, which reorder what stands around them
// (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), and the
// separators of lines and paragraphs (U+2028, U+2029).
struct ControlCharacter {
  std::size_t length = 0;  // Bytes; 0: there is none.
  char32_t code = 0;
};
// The one at `at`. Requires: IsUtf8(text), `at` begins a character.
ControlCharacter ControlAt(absl::string_view text, std::size_t at);

// The longest prefix of `text` of at most `max_bytes` that ends between two
// characters. Requires: IsUtf8(text).
absl::string_view CutUtf8(absl::string_view text, std::size_t max_bytes);

}  // namespace headgate

#endif  // GATEWAY_BASE_UTF8_H_
