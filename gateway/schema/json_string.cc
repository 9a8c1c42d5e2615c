#include "gateway/schema/json_string.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gateway/base/utf8.h"

namespace headgate {
namespace {

// How a byte of a string is written: as it is ('\0'), behind a backslash (the
// character that follows it), by its number, or as part of a character that is
// not ASCII.
constexpr char kByNumber = 'u';
constexpr char kNotAscii = '!';
constexpr std::array<char, 256> MakeEscapes() {
  std::array<char, 256> escapes{};
  for (std::size_t c = 0; c < 256; ++c) {
    if (c < 0x20 || c == 0x7F) escapes[c] = kByNumber;
    if (c >= 0x80) escapes[c] = kNotAscii;
  }
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  escapes['<'] = escapes['>'] = kByNumber;
  return escapes;
}
constexpr std::array<char, 256> kEscapes = MakeEscapes();

constexpr std::uint64_t Each(std::uint64_t byte) {
  return byte * 0x0101010101010101;
}

// Whether one of eight bytes is 0. Bytes above one that is 0 may count as 0.
constexpr std::uint64_t Zeros(std::uint64_t bytes) {
  return (bytes - Each(0x01)) & ~bytes & Each(0x80);
}

// Whether each of eight bytes is written as it is. May be false when all are.
bool ArePlain(const char* at) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, at, sizeof bytes);
  const std::uint64_t below_space = (bytes - Each(0x20)) & ~bytes;
  const std::uint64_t above_tilde = bytes | (bytes + Each(0x01));
  const std::uint64_t escaped = Zeros(bytes ^ Each('"')) |
                                Zeros(bytes ^ Each('\\')) |
                                // '<' and '>' differ in one bit.
                                Zeros((bytes & Each(0xFD)) ^ Each('<' & 0xFD));
  return ((below_space | above_tilde | escaped) & Each(0x80)) == 0;
}

}  // namespace

bool AppendJsonString(absl::string_view text, std::string& json) {
  constexpr char kHex[] = "0123456789abcdef";
  json.push_back('"');
  const char* written = text.data();
  const char* const end = written + text.size();
  bool is_utf8 = false;  // As far as is known.
  for (const char* at = written; at != end; ++at) {
    while (end - at >= 8 && ArePlain(at)) at += 8;
    if (at == end) break;
    const auto byte = static_cast<std::uint8_t>(*at);
    const char escape = kEscapes[byte];
    if (escape == '\0') continue;
    if (escape == kNotAscii) {
      is_utf8 = is_utf8 || IsUtf8(text);
      if (!is_utf8) return false;
      // U+2028 and U+2029.
      if (byte != 0xE2 || at[1] != '\x80' ||
          (at[2] != '\xA8' && at[2] != '\xA9')) {
        continue;
      }
      json.append(written, static_cast<std::size_t>(at - written));
      json += at[2] == '\xA8' ? "\\u2028" : "\\u2029";
      at += 2;
      written = at + 1;
      continue;
    }
    json.append(written, static_cast<std::size_t>(at - written));
    written = at + 1;
    if (escape == kByNumber) {
      json += "\\u00";
      json.push_back(kHex[byte >> 4]);
      json.push_back(kHex[byte & 0xF]);
    } else {
      json.push_back('\\');
      json.push_back(escape);
    }
  }
  json.append(written, static_cast<std::size_t>(end - written));
  json.push_back('"');
  return true;
}

}  // namespace headgate
