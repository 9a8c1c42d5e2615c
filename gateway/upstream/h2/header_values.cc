#include "gateway/upstream/h2/header_values.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace headgate {
namespace {

constexpr std::int64_t kMaxTimeoutValue = 99'999'999;
constexpr absl::string_view kBinarySuffix = "-bin";

// -1 for what is no hexadecimal digit.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string EncodeTimeout(absl::Duration timeout) {
  static const std::array<std::pair<absl::Duration, char>, 6> kUnits = {{
      {absl::Nanoseconds(1), 'n'},
      {absl::Microseconds(1), 'u'},
      {absl::Milliseconds(1), 'm'},
      {absl::Seconds(1), 'S'},
      {absl::Minutes(1), 'M'},
      {absl::Hours(1), 'H'},
  }};
  for (const auto& [unit, letter] : kUnits) {
    if (timeout > kMaxTimeoutValue * unit) continue;
    const absl::Duration up = absl::Ceil(timeout, unit);
    const std::int64_t value = std::max<std::int64_t>(1, up / unit);
    return absl::StrCat(value, std::string(1, letter));
  }
  return absl::StrCat(kMaxTimeoutValue, "H");
}

std::string DecodeStatusMessage(absl::string_view value) {
  std::string decoded;
  decoded.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '%' && i + 2 < value.size()) {
      const int high = HexDigit(value[i + 1]);
      const int low = HexDigit(value[i + 2]);
      if (high >= 0 && low >= 0) {
        decoded.push_back(static_cast<char>(high << 4 | low));
        i += 2;
        continue;
      }
    }
    decoded.push_back(value[i]);
  }
  return decoded;
}

std::string EncodeBinaryValue(absl::string_view bytes) {
  std::string encoded = absl::Base64Escape(bytes);
  encoded.resize(encoded.find_last_not_of('=') + 1);
  return encoded;
}

bool IsReservedHeader(absl::string_view name) {
  static constexpr std::array<absl::string_view, 10> kNames = {
      "te",         "content-type", "content-length",   "user-agent",
      "connection", "keep-alive",   "proxy-connection", "transfer-encoding",
      "upgrade",    "host"};
  return name.empty() || name[0] == ':' || absl::StartsWith(name, "grpc-") ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void AppendMetadata(absl::string_view name, absl::string_view value,
                    Metadata& metadata) {
  if (!absl::EndsWith(name, kBinarySuffix)) {
    metadata.emplace_back(name, value);
    return;
  }
  for (const absl::string_view one : absl::StrSplit(value, ',')) {
    std::string bytes;
    if (absl::Base64Unescape(absl::StripAsciiWhitespace(one), &bytes)) {
      metadata.emplace_back(name, std::move(bytes));
    }
  }
}

}  // namespace headgate
