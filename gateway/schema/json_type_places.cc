#include "gateway/schema/json_type_places.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace headgate {
namespace {

struct Level {
  std::size_t start;
  bool is_object;
};

// Whether the token of a JSON string writes "@type", with escapes or without.
bool WritesType(absl::string_view token) {
  constexpr absl::string_view kType = "\"@type\"";
  if (token == kType) return true;
  if (!absl::StrContains(token, '\\')) return false;
  std::size_t next = 0;
  for (std::size_t i = 0; i < token.size(); ++next) {
    char c = token[i++];
    if (c == '\\') {
      std::uint32_t number = 0;
      if (i + 5 > token.size() || token[i] != 'u' ||
          !absl::SimpleHexAtoi(token.substr(i + 1, 4), &number) ||
          number > 0x7F) {
        return false;
      }
      c = static_cast<char>(number);
      i += 5;
    }
    if (next >= kType.size() || c != kType[next]) return false;
  }
  return next == kType.size();
}

std::size_t SkipSpace(absl::string_view json, std::size_t at) {
  constexpr absl::string_view kSpace = " \t\n\r";
  return std::min(json.find_first_not_of(kSpace, at), json.size());
}

// Behind the quote that ends the string at `at`.
std::size_t EndOfString(absl::string_view json, std::size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return std::min(at + 1, json.size());
}

}  // namespace

JsonTypePlaces::JsonTypePlaces(absl::string_view json) {
  std::vector<Level> levels;
  for (std::size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '{':
      case '[':
        levels.push_back({i, json[i] == '{'});
        break;
      case '}':
      case ']':
        if (!levels.empty()) levels.pop_back();
        break;
      case '"': {
        const std::size_t end = EndOfString(json, i);
        const std::size_t colon = SkipSpace(json, end);
        if (!levels.empty() && levels.back().is_object && colon < json.size() &&
            json[colon] == ':' && WritesType(json.substr(i, end - i))) {
          value_of_.emplace(levels.back().start, SkipSpace(json, colon + 1));
        }
        i = end - 1;
        break;
      }
      default:
        break;
    }
  }
}

}  // namespace headgate
