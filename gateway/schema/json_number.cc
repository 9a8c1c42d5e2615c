#include "gateway/schema/json_number.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <limits>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/charconv.h"

namespace headgate {
namespace {

struct Decimal {
  bool negative = false;
  absl::string_view whole;
  absl::string_view fraction;
  int exponent = 0;  // Cut to what still makes a difference.
};

absl::string_view TakeDigits(absl::string_view& text) {
  std::size_t size = 0;
  while (size < text.size() && absl::ascii_isdigit(text[size])) ++size;
  const absl::string_view digits = text.substr(0, size);
  text.remove_prefix(size);
  return digits;
}

bool TakeChar(char c, absl::string_view& text) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

bool ParseDecimal(absl::string_view text, Decimal& decimal) {
  constexpr int kEnough = 1'000'000'000;
  decimal.negative = TakeChar('-', text);
  decimal.whole = TakeDigits(text);
  if (decimal.whole.empty()) return false;
  if (decimal.whole[0] == '0' && decimal.whole.size() > 1) return false;
  if (TakeChar('.', text)) {
    decimal.fraction = TakeDigits(text);
    if (decimal.fraction.empty()) return false;
  }
  if (TakeChar('e', text) || TakeChar('E', text)) {
    const bool down = TakeChar('-', text);
    if (!down) TakeChar('+', text);
    const absl::string_view digits = TakeDigits(text);
    if (digits.empty()) return false;
    for (const char c : digits) {
      decimal.exponent = decimal.exponent * 10 + (c - '0');
      if (decimal.exponent > kEnough / 10) decimal.exponent = kEnough / 10;
    }
    if (down) decimal.exponent = -decimal.exponent;
  }
  return text.empty();
}

template <typename Real>
bool ParseAs(absl::string_view text, Real& value) {
  Decimal ignored;
  if (!ParseDecimal(text, ignored)) return false;
  const auto result =
      absl::from_chars(text.data(), text.data() + text.size(), value);
  // What is too small is 0.
  return result.ec != std::errc::result_out_of_range || std::abs(value) < 1;
}

template <typename Real>
void AppendShortest(Real value, std::string& json) {
  char digits[32];
  const Real magnitude = std::abs(value);
  const auto format = value == 0 || (magnitude >= static_cast<Real>(1e-6) &&
                                     magnitude < static_cast<Real>(1e21))
                          ? std::chars_format::fixed
                          : std::chars_format::scientific;
  const auto result =
      std::to_chars(digits, digits + sizeof digits, value, format);
  json.append(digits, static_cast<std::size_t>(result.ptr - digits));
}

}  // namespace

bool ParseWhole(absl::string_view text, bool& negative,
                std::uint64_t& magnitude) {
  Decimal decimal;
  if (!ParseDecimal(text, decimal)) return false;
  // The digits without leading and trailing zeros, and the power of ten of what
  // follows them.
  const std::size_t size = decimal.whole.size() + decimal.fraction.size();
  const auto digit = [&](std::size_t i) {
    return i < decimal.whole.size()
               ? decimal.whole[i]
               : decimal.fraction[i - decimal.whole.size()];
  };
  std::size_t first = 0;
  while (first < size && digit(first) == '0') ++first;
  std::size_t last = size;
  while (last > first && digit(last - 1) == '0') --last;
  magnitude = 0;
  negative = decimal.negative && first != last;
  if (first == last) return true;
  const std::int64_t zeros = std::int64_t{decimal.exponent} +
                             static_cast<std::int64_t>(decimal.whole.size()) -
                             static_cast<std::int64_t>(last);
  constexpr std::int64_t kMaxDigits = 20;
  if (zeros < 0 ||
      static_cast<std::int64_t>(last - first) + zeros > kMaxDigits) {
    return false;
  }
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  const std::size_t end = last + static_cast<std::size_t>(zeros);
  for (std::size_t i = first; i < end; ++i) {
    const auto next = i < last ? static_cast<std::uint64_t>(digit(i) - '0') : 0;
    if (magnitude > kMax / 10 || magnitude * 10 > kMax - next) return false;
    magnitude = magnitude * 10 + next;
  }
  return true;
}

bool ParseReal(absl::string_view text, double& value) {
  return ParseAs(text, value);
}

bool ParseReal(absl::string_view text, float& value) {
  return ParseAs(text, value);
}

void AppendReal(double value, std::string& json) {
  AppendShortest(value, json);
}

void AppendReal(float value, std::string& json) { AppendShortest(value, json); }

}  // namespace headgate
