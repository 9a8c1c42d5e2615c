#include "gateway/http/request.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace headgate {

bool HeaderList::Has(absl::string_view name) const {
  return std::any_of(begin(), end(), [&](const HeaderField& field) {
    return absl::EqualsIgnoreCase(field.name, name);
  });
}

std::vector<absl::string_view> HeaderList::Values(
    absl::string_view name) const {
  std::vector<absl::string_view> values;
  for (const HeaderField& field : fields_) {
    if (absl::EqualsIgnoreCase(field.name, name)) values.push_back(field.value);
  }
  return values;
}

absl::string_view HeaderList::Value(absl::string_view name) const {
  for (const HeaderField& field : fields_) {
    if (absl::EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return "";
}

std::vector<absl::string_view> HeaderList::Elements(
    absl::string_view name) const {
  std::vector<absl::string_view> elements;
  for (const absl::string_view value : Values(name)) {
    for (absl::string_view element : absl::StrSplit(value, ',')) {
      element = absl::StripAsciiWhitespace(element);
      if (!element.empty()) elements.push_back(element);
    }
  }
  return elements;
}

bool HeaderList::HasElement(absl::string_view name,
                            absl::string_view element) const {
  for (absl::string_view found : Elements(name)) {
    found = absl::StripAsciiWhitespace(found.substr(0, found.find(';')));
    if (absl::EqualsIgnoreCase(found, element)) return true;
  }
  return false;
}

std::optional<int> HeaderList::AcceptedWeight(
    absl::string_view media_type) const {
  std::optional<int> weight;
  for (const absl::string_view range : Elements("Accept")) {
    const std::vector<absl::string_view> parts = absl::StrSplit(range, ';');
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]),
                                media_type)) {
      continue;
    }
    double q = 1;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const absl::string_view part = absl::StripAsciiWhitespace(parts[i]);
      if (!absl::StartsWithIgnoreCase(part, "q=")) continue;
      // An invalid weight counts as 1.
      if (!absl::SimpleAtod(part.substr(2), &q) || !(q >= 0 && q <= 1)) q = 1;
    }
    weight = std::max(weight.value_or(0), static_cast<int>(q * 1000));
  }
  return weight;
}

absl::string_view HostOf(const HeaderList& headers) {
  return headers.Value(headers.Has(":authority") ? ":authority" : "Host");
}

bool IsToken(absl::string_view text) {
  static constexpr absl::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           kMarks.find(c) != absl::string_view::npos;
  });
}

}  // namespace headgate
