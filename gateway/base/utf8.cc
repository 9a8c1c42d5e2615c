#include "gateway/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace headgate {
namespace {

bool IsContinuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// What a first byte says of its character, by the table of RFC 3629 section 4;
// length 0: it begins none.
struct Character {
  std::size_t length = 0;
  unsigned char lowest = 0x80, highest = 0xBF;  // Of the second byte.
};
Character CharacterOf(unsigned char first) {
  if (first < 0x80) return {1};
  if (first >= 0xC2 && first <= 0xDF) return {2};
  if (first == 0xE0) return {3, 0xA0};        // Overlong.
  if (first == 0xED) return {3, 0x80, 0x9F};  // Surrogates.
  if (first >= 0xE1 && first <= 0xEF) return {3};
  if (first == 0xF0) return {4, 0x90};        // Overlong.
  if (first == 0xF4) return {4, 0x80, 0x8F};  // Above U+10FFFF.
  if (first >= 0xF1 && first <= 0xF3) return {4};
  return {};
}

// How many bytes at the start of `bytes` are as a character has them; fewer
// than its length: it is cut short there, or broken.
std::size_t MatchingBytes(const Character& character, absl::string_view bytes) {
  std::size_t i = 1;
  for (; i < character.length && i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i == 1 ? byte < character.lowest || byte > character.highest
               : !IsContinuation(byte)) {
      break;
    }
  }
  return i;
}

// The length of the character at the start of `bytes`, 0 when there is none.
std::size_t CharacterLength(absl::string_view bytes) {
  const Character character = CharacterOf(static_cast<unsigned char>(bytes[0]));
  if (bytes.size() < character.length) return 0;
  return MatchingBytes(character, bytes) == character.length ? character.length
                                                             : 0;
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

bool MayBecomeUtf8(absl::string_view bytes) {
  const Character character = CharacterOf(static_cast<unsigned char>(bytes[0]));
  return bytes.size() < character.length &&
         MatchingBytes(character, bytes) == bytes.size();
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

ControlCharacter ControlAt(absl::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned char>(text[at + i]);
  };
  const unsigned char first = byte(0);
  if (first < 0x20 || first == 0x7F) return {1, first};
  if (first == 0xC2 && byte(1) < 0xA0) return {2, byte(1)};
  if (first == 0xD8 && byte(1) == 0x9C) return {2, 0x061C};
  if (first != 0xE2) return {};
  const char32_t code =
      0x2000u | (static_cast<char32_t>(byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
  const bool is_control = code == 0x200E || code == 0x200F ||
                          (code >= 0x2028 && code <= 0x202E) ||
                          (code >= 0x2066 && code <= 0x2069);
  if (!is_control) return {};
  return {3, code};
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
