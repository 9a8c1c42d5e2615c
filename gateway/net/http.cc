#include "gateway/net/http.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace headgate {

std::vector<absl::string_view> HeaderValues(const HttpRequest& request,
                                            absl::string_view name) {
  std::vector<absl::string_view> values;
  const auto [begin, end] = request.equal_range({name.data(), name.size()});
  for (auto field = begin; field != end; ++field) {
    values.emplace_back(field->value().data(), field->value().size());
  }
  return values;
}

absl::string_view HeaderValue(const HttpRequest& request,
                              absl::string_view name) {
  const auto field = request.find({name.data(), name.size()});
  if (field == request.end()) return "";
  return {field->value().data(), field->value().size()};
}

std::vector<absl::string_view> HeaderElements(const HttpRequest& request,
                                              absl::string_view name) {
  std::vector<absl::string_view> elements;
  for (const absl::string_view value : HeaderValues(request, name)) {
    for (absl::string_view element : absl::StrSplit(value, ',')) {
      element = absl::StripAsciiWhitespace(element);
      if (!element.empty()) elements.push_back(element);
    }
  }
  return elements;
}

bool HasElement(const HttpRequest& request, absl::string_view name,
                absl::string_view element) {
  for (absl::string_view found : HeaderElements(request, name)) {
    found = absl::StripAsciiWhitespace(found.substr(0, found.find(';')));
    if (absl::EqualsIgnoreCase(found, element)) return true;
  }
  return false;
}

std::optional<int> AcceptedWeight(const HttpRequest& request,
                                  absl::string_view media_type) {
  std::optional<int> weight;
  for (const absl::string_view range : HeaderElements(request, "Accept")) {
    const std::vector<absl::string_view> parts = absl::StrSplit(range, ';');
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]),
                                media_type)) {
      continue;
    }
    double q = 1;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const absl::string_view part = absl::StripAsciiWhitespace(parts[i]);
      if (!absl::StartsWithIgnoreCase(part, "q=")) continue;
      // What is no weight takes nothing away.
      if (!absl::SimpleAtod(part.substr(2), &q) || !(q >= 0 && q <= 1)) q = 1;
    }
    weight = std::max(weight.value_or(0), static_cast<int>(q * 1000));
  }
  return weight;
}

bool IsToken(absl::string_view text) {
  static constexpr absl::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           kMarks.find(c) != absl::string_view::npos;
  });
}

std::string LowerName(absl::string_view name) {
  return absl::AsciiStrToLower(name);
}

}  // namespace headgate
