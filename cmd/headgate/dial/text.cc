#include "cmd/headgate/dial/text.h"

#include <cstddef>

#include "absl/strings/str_format.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

enum class Newlines { kKeep, kEscape };

// How many bytes of a control character stand at `at`, 0 for none: C0 and DEL
// are one byte, C1 (U+0080 to U+009F) two. Requires: IsUtf8(text).
std::size_t ControlAt(absl::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x20 || byte == 0x7F) return 1;
  if (byte == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0) return 2;
  return 0;
}

std::string Escaped(absl::string_view bytes, Newlines newlines) {
  const std::string text = ToUtf8(bytes);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t control = ControlAt(text, i);
    const bool kept =
        text[i] == '\t' || (text[i] == '\n' && newlines == Newlines::kKeep);
    if (control == 0 || kept) {
      result.push_back(text[i++]);
      continue;
    }
    i += control;
    absl::StrAppendFormat(&result, "\\x%02x",
                          static_cast<unsigned char>(text[i - 1]));
  }
  return result;
}

}  // namespace

std::string ForTerminal(absl::string_view text) {
  return Escaped(text, Newlines::kKeep);
}

std::string OneLine(absl::string_view text) {
  return Escaped(text, Newlines::kEscape);
}

bool IsPrintableLine(absl::string_view bytes) {
  if (!IsUtf8(bytes)) return false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\t' && ControlAt(bytes, i) != 0) return false;
  }
  return true;
}

}  // namespace headgate
