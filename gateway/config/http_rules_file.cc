#include "gateway/config/http_rules_file.h"

#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/base/file.h"
#include "gateway/config/yaml_document.h"
#include "gateway/config/yaml_reader.h"
#include "google/api/http.pb.h"

namespace headgate {
namespace {

constexpr std::size_t kMostRulesBytes = 4 * 1024 * 1024;

absl::Status FaultAt(const std::string& name, const TextPosition& position,
                     absl::string_view text) {
  std::string place = name;
  if (position.line > 0) {
    absl::StrAppend(&place, ":", position.line, ":", position.column);
  }
  return absl::InvalidArgumentError(absl::StrCat(place, ": ", text));
}

// What is wrong with a rule by itself; empty when nothing is.
std::string FaultOf(const google::api::HttpRule& rule) {
  if (rule.selector().empty()) return "selector is missing";
  const std::size_t star = rule.selector().find('*');
  const bool at_end = star + 1 == rule.selector().size() &&
                      (star == 0 || rule.selector()[star - 1] == '.');
  if (star != std::string::npos && !at_end) {
    return "selector: * may only be its last word";
  }
  if (rule.pattern_case() == google::api::HttpRule::PATTERN_NOT_SET) {
    return "has none of get, put, post, delete, patch and custom";
  }
  return "";
}

}  // namespace

absl::StatusOr<std::vector<SelectedHttpRule>> ReadHttpRulesFile(
    const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMostRulesBytes);
  if (!text.ok()) {
    return absl::Status(text.status().code(),
                        absl::StrCat(path, " ", text.status().message()));
  }
  return ParseHttpRules(*text, path);
}

absl::StatusOr<std::vector<SelectedHttpRule>> ParseHttpRules(
    const std::string& text, const std::string& name) {
  YamlError error;
  const absl::StatusOr<YamlDocument> document =
      YamlDocument::Parse(text, error);
  if (!document.ok()) return FaultAt(name, error.position, error.text);
  google::api::Http http;
  const std::vector<YamlFault> faults = ReadYamlMember(*document, "http", http);
  if (!faults.empty()) {
    const YamlFault& first = faults.front();
    return FaultAt(
        name, first.position,
        absl::StrCat(first.path, first.path.empty() ? "" : ": ", first.text));
  }
  std::vector<SelectedHttpRule> rules;
  for (int i = 0; i < http.rules_size(); ++i) {
    const std::string fault = FaultOf(http.rules(i));
    if (fault.empty()) {
      rules.push_back({http.rules(i).selector(), BindingsOf(http.rules(i))});
      continue;
    }
    bool whole = false;
    const std::string field = absl::StrCat("http.rules[", i, "]");
    return FaultAt(name, PositionOf(document->Find(field, whole).Mark()),
                   absl::StrCat(field, ": ", fault));
  }
  return rules;
}

}  // namespace headgate
