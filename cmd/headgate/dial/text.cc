#include "cmd/headgate/dial/text.h"

#include <cstddef>

#include "absl/strings/str_format.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

enum class Newlines { kKeep, kEscape };

std::string Escaped(absl::string_view bytes, Newlines newlines) {
  const std::string text = ToUtf8(bytes);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const ControlCharacter control = ControlAt(text, i);
    const bool kept =
        text[i] == '\t' || (text[i] == '\n' && newlines == Newlines::kKeep);
    if (control.length == 0 || kept) {
      result.push_back(text[i++]);
      continue;
    }
    i += control.length;
    const auto code = static_cast<unsigned>(control.code);
    if (code <= 0xFF) {
      absl::StrAppendFormat(&result, "\\x%02x", code);
    } else {
      absl::StrAppendFormat(&result, "\\u%04x", code);
    }
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
    if (bytes[i] != '\t' && ControlAt(bytes, i).length != 0) return false;
  }
  return true;
}

}  // namespace headgate
