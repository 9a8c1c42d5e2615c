#include "gateway/config/substitution.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// IEEE Std 1003.1, "Environment Variable Definition": letters, digits and
// underscores, not a digit first.
bool IsVariableName(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

// What stands between the braces -> what it stands for.
absl::StatusOr<std::string> Value(absl::string_view expression,
                                  const Environment& environment) {
  const std::size_t separator = expression.find(":-");
  const bool has_default = separator != absl::string_view::npos;
  const std::string name(expression.substr(0, separator));
  if (!IsVariableName(name)) {
    return absl::InvalidArgumentError(
        "between ${ and } must stand the name of an environment variable, with "
        "or without :- and a default; $${ stands for ${ itself");
  }
  std::optional<std::string> value = environment(name);
  if (has_default && (!value || value->empty())) {
    const absl::string_view text = expression.substr(separator + 2);
    if (absl::StrContains(text, "${")) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the default of ${", name, "} cannot be a variable itself"));
    }
    return std::string(text);
  }
  if (!value) {
    return absl::InvalidArgumentError(
        absl::StrCat("the environment variable ", name, " is not set"));
  }
  return *std::move(value);
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

absl::StatusOr<std::string> Substitute(absl::string_view text,
                                       const Environment& environment) {
  std::string result;
  while (!text.empty()) {
    const std::size_t dollar = text.find('$');
    result.append(text.data(), std::min(dollar, text.size()));
    if (dollar == absl::string_view::npos) break;
    text.remove_prefix(dollar);
    if (absl::StartsWith(text, "$${")) {
      result += "${";
      text.remove_prefix(3);
    } else if (absl::StartsWith(text, "${")) {
      const std::size_t end = text.find('}');
      if (end == absl::string_view::npos) {
        return absl::InvalidArgumentError("a ${ has no } after it");
      }
      absl::StatusOr<std::string> value =
          Value(text.substr(2, end - 2), environment);
      if (!value.ok()) return value;
      result += *value;
      text.remove_prefix(end + 1);
    } else {
      result += '$';
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace headgate
