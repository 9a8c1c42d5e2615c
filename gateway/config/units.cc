#include "gateway/config/units.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace headgate {

absl::StatusOr<std::size_t> ParseSize(absl::string_view text) {
  static constexpr std::pair<absl::string_view, int> kUnits[] = {
      {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
  absl::string_view digits = text;
  int shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (absl::ConsumeSuffix(&digits, unit)) {
      shift = bits;
      break;
    }
  }
  std::uint64_t number = 0;
  if (digits.empty() ||
      digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &number) ||
      number > (std::numeric_limits<std::size_t>::max() >> shift)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "must be a size such as 512, 64KiB or 1MiB, is \"", text, "\""));
  }
  return static_cast<std::size_t>(number << shift);
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) ||
      duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "must be a duration such as 500ms, 30s or 5m, is \"", text, "\""));
  }
  return duration;
}

std::optional<std::uint32_t> ParseUint32(absl::string_view text) {
  std::uint32_t number = 0;
  if (absl::StartsWith(text, "0x")) {
    const absl::string_view digits = text.substr(2);
    if (!digits.empty() &&
        std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit) &&
        absl::SimpleHexAtoi(digits, &number)) {
      return number;
    }
    return std::nullopt;
  }
  if (std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
      absl::SimpleAtoi(text, &number)) {
    return number;
  }
  return std::nullopt;
}

}  // namespace headgate
