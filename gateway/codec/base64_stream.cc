#include "gateway/codec/base64_stream.h"

namespace headgate {
namespace {

// The six bits of a character; -1 for one that is not of the alphabet.
int DigitOf(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

absl::Status Base64Stream::Feed(absl::string_view text, std::string& bytes) {
  for (const char c : text) {
    const bool is_padding = c == '=';
    const int digit = is_padding ? 0 : DigitOf(c);
    // Two characters at least, and nothing behind the padding.
    if (digit < 0 || (is_padding ? digits_ < 2 : padding_ > 0)) {
      return absl::InvalidArgumentError("the body is not base64");
    }
    group_ = group_ << 6 | static_cast<std::uint32_t>(digit);
    padding_ += is_padding ? 1 : 0;
    if (++digits_ < 4) continue;
    for (int i = 0; i < 3 - padding_; ++i) {
      bytes.push_back(static_cast<char>(group_ >> (16 - 8 * i) & 0xFF));
    }
    group_ = 0;
    digits_ = padding_ = 0;
  }
  return absl::OkStatus();
}

}  // namespace headgate
