#include "gateway/upstream/http_rules_files.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/http_rules_file.h"
#include "gateway/upstream/descriptor_files.h"

namespace headgate {

HttpRulesFiles::HttpRulesFiles(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    files_.emplace_back().path = path;
    // The first look finds a change even where there is no file.
    files_.back().stamp.size = -1;
  }
}

bool HttpRulesFiles::Refresh() {
  bool changed = false;
  for (File& file : files_) {
    const FileStamp stamp = StampOf(file.path);
    if (stamp == file.stamp) continue;
    file.stamp = stamp;
    changed = true;
    absl::StatusOr<std::vector<SelectedHttpRule>> rules =
        ReadHttpRulesFile(file.path);
    if (rules.ok()) {
      file.rules = *std::move(rules);
      file.fault.clear();
    } else {
      file.fault = std::string(rules.status().message());
    }
  }
  return changed;
}

HttpRuleOverrides HttpRulesFiles::Rules() const {
  HttpRuleOverrides rules;
  for (const File& file : files_) {
    for (const SelectedHttpRule& rule : file.rules) rules.Add(rule);
  }
  return rules;
}

std::string HttpRulesFiles::Digests() const {
  std::string text;
  for (const File& file : files_) {
    for (const SelectedHttpRule& rule : file.rules) {
      absl::StrAppend(&text, rule.selector, "\n");
      for (const HttpRule& binding : rule.bindings) {
        absl::StrAppend(&text, binding.verb, " ", binding.path_template, "\n",
                        binding.body, "\n", binding.response_body, "\n");
      }
    }
  }
  return text.empty() ? "" : Digest(text);
}

std::vector<std::string> HttpRulesFiles::faults() const {
  std::vector<std::string> faults;
  for (const File& file : files_) {
    if (!file.fault.empty()) faults.push_back(file.fault);
  }
  return faults;
}

}  // namespace headgate
