#include "gateway/schema/json_base64.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace headgate {
namespace {

constexpr std::uint8_t kNoDigit = 0xFF;

// base64 and base64url (RFC 4648), which protobuf takes both.
constexpr std::array<std::uint8_t, 256> MakeBase64Digits() {
  std::array<std::uint8_t, 256> digits{};
  for (std::uint8_t& digit : digits) digit = kNoDigit;
  for (std::uint8_t i = 0; i < 26; ++i) {
    digits['A' + i] = i;
    digits['a' + i] = static_cast<std::uint8_t>(26 + i);
  }
  for (std::uint8_t i = 0; i < 10; ++i) {
    digits['0' + i] = static_cast<std::uint8_t>(52 + i);
  }
  digits['+'] = digits['-'] = 62;
  digits['/'] = digits['_'] = 63;
  return digits;
}
constexpr std::array<std::uint8_t, 256> kBase64Digits = MakeBase64Digits();

}  // namespace

bool AppendFromBase64(absl::string_view text, std::string& bytes) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) {
      text.remove_suffix(1);
    }
  }
  if (text.size() % 4 == 1) return false;
  const auto has = [&](char c) {
    return std::memchr(text.data(), c, text.size()) != nullptr;
  };
  const bool is_url = has('-') || has('_');
  if (is_url && (has('+') || has('/'))) return false;

  const std::size_t start = bytes.size();
  bytes.resize(start + text.size() / 4 * 3 + (text.size() % 4 * 3) / 4);
  char* out = bytes.data() + start;
  const char* in = text.data();
  const auto digit = [](char c) -> std::uint32_t {
    return kBase64Digits[static_cast<std::uint8_t>(c)];
  };
  std::uint32_t seen = 0;  // A digit that is none has its highest bit set.
  for (std::size_t groups = text.size() / 4; groups > 0; --groups, in += 4) {
    const std::uint32_t a = digit(in[0]), b = digit(in[1]), c = digit(in[2]),
                        d = digit(in[3]);
    seen |= a | b | c | d;
    const std::uint32_t group = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<char>(group >> 16);
    *out++ = static_cast<char>(group >> 8);
    *out++ = static_cast<char>(group);
  }
  if (text.size() % 4 != 0) {
    const std::uint32_t a = digit(in[0]), b = digit(in[1]);
    seen |= a | b;
    *out++ = static_cast<char>(a << 2 | b >> 4);
    if (text.size() % 4 == 3) {
      const std::uint32_t c = digit(in[2]);
      seen |= c;
      *out++ = static_cast<char>(b << 4 | c >> 2);
    }
  }
  return (seen & 0x80) == 0;
}

void AppendJsonBase64(absl::string_view bytes, std::string& json) {
  constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t start = json.size();
  json.resize(start + (bytes.size() + 2) / 3 * 4 + 2, '=');
  char* out = json.data() + start;
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return static_cast<std::uint8_t>(bytes[i]);
  };
  *out++ = '"';
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    *out++ = kDigits[group >> 18];
    *out++ = kDigits[group >> 12 & 63];
    *out++ = kDigits[group >> 6 & 63];
    *out++ = kDigits[group & 63];
  }
  if (i < bytes.size()) {
    const bool two = i + 2 == bytes.size();
    const std::uint32_t group = byte(i) << 16 | (two ? byte(i + 1) << 8 : 0);
    *out++ = kDigits[group >> 18];
    *out++ = kDigits[group >> 12 & 63];
    if (two) *out = kDigits[group >> 6 & 63];
  }
  json.back() = '"';
}

}  // namespace headgate
