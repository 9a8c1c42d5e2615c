#include "gateway/base/metadata.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace headgate {

namespace {

constexpr absl::string_view kBinarySuffix = "-bin";

}  // namespace

bool IsMetadataKey(absl::string_view key) {
  return !key.empty() && key != kBinarySuffix &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) ||
                  c == '_' || c == '-' || c == '.';
         });
}

bool IsBinaryKey(absl::string_view key) {
  return absl::EndsWith(key, kBinarySuffix);
}

bool IsMetadataValue(absl::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::size_t HeaderListBytes(const Metadata& metadata) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    bytes += key.size() + kHeaderFieldBytes +
             (IsBinaryKey(key) ? (value.size() + 2) / 3 * 4 : value.size());
  }
  return bytes;
}

}  // namespace headgate
