#include "gateway/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace headgate {
namespace {

bool IsContinuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// The length of the character at the start of `bytes`, 0 when there is none.
// The table of RFC 3629 section 4.
std::size_t CharacterLength(absl::string_view bytes) {
  const auto at = [&](std::size_t i) {
    return static_cast<unsigned char>(bytes[i]);
  };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;

  std::size_t length = 0;
  unsigned char lowest = 0x80, highest = 0xBF;  // Of the second byte.
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) lowest = 0xA0;   // Overlong.
    if (first == 0xED) highest = 0x9F;  // Surrogates.
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) lowest = 0x90;   // Overlong.
    if (first == 0xF4) highest = 0x8F;  // Above U+10FFFF.
  } else {
    return 0;
  }
  if (bytes.size() < length) return 0;
  if (at(1) < lowest || at(1) > highest) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!IsContinuation(at(i))) return 0;
  }
  return length;
}

// How many bytes at the start of `bytes` are ASCII, in steps of 8 while it can.
std::size_t AsciiPrefix(absl::string_view bytes) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::size_t ascii = 0;
  for (std::uint64_t word = 0; ascii + sizeof word <= bytes.size();
       ascii += sizeof word) {
    std::memcpy(&word, bytes.data() + ascii, sizeof word);
    if ((word & kHighBits) != 0) break;
  }
  while (ascii < bytes.size() &&
         static_cast<unsigned char>(bytes[ascii]) < 0x80) {
    ++ascii;
  }
  return ascii;
}

}  // namespace

std::size_t ValidUtf8Prefix(absl::string_view bytes) {
  std::size_t valid = 0;
  while (valid < bytes.size()) {
    valid += AsciiPrefix(bytes.substr(valid));
    if (valid == bytes.size()) break;
    const std::size_t length = CharacterLength(bytes.substr(valid));
    if (length == 0) break;
    valid += length;
  }
  return valid;
}

std::string ToUtf8(absl::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t valid = ValidUtf8Prefix(bytes);
    text.append(bytes.data(), valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    text.push_back('?');
    bytes.remove_prefix(1);
  }
  return text;
}

absl::string_view CutUtf8(absl::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  while (end > 0 && IsContinuation(static_cast<unsigned char>(text[end]))) {
    --end;
  }
  return text.substr(0, end);
}

}  // namespace headgate
