#include "gateway/schema/http_rule.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/strip.h"
#include "google/api/http.pb.h"

namespace headgate {
namespace {

// Appends one binding; one without a pattern is none.
void AppendBinding(const google::api::HttpRule& rule,
                   std::vector<HttpRule>& bindings) {
  HttpRule binding{"", "", rule.body(), rule.response_body()};
  using Rule = google::api::HttpRule;
  switch (rule.pattern_case()) {
    case Rule::kGet:
      binding.verb = "GET", binding.path_template = rule.get();
      break;
    case Rule::kPut:
      binding.verb = "PUT", binding.path_template = rule.put();
      break;
    case Rule::kPost:
      binding.verb = "POST", binding.path_template = rule.post();
      break;
    case Rule::kDelete:
      binding.verb = "DELETE", binding.path_template = rule.delete_();
      break;
    case Rule::kPatch:
      binding.verb = "PATCH", binding.path_template = rule.patch();
      break;
    case Rule::kCustom:
      binding.verb = rule.custom().kind();
      binding.path_template = rule.custom().path();
      break;
    case Rule::PATTERN_NOT_SET:
      return;
  }
  if (!binding.verb.empty()) bindings.push_back(std::move(binding));
}

// Calls `use` with each beginning of `method` that ends with a dot, and "".
template <typename Use>
void EachPrefix(absl::string_view method, Use use) {
  use(absl::string_view());
  for (std::size_t dot = method.find('.'); dot != absl::string_view::npos;
       dot = method.find('.', dot + 1)) {
    use(method.substr(0, dot + 1));
  }
}

}  // namespace

std::vector<HttpRule> BindingsOf(const google::api::HttpRule& rule) {
  std::vector<HttpRule> bindings;
  AppendBinding(rule, bindings);
  for (const google::api::HttpRule& more : rule.additional_bindings()) {
    AppendBinding(more, bindings);
  }
  return bindings;
}

void HttpRuleOverrides::Add(const SelectedHttpRule& rule) {
  absl::string_view selector = rule.selector;
  const bool is_prefix = absl::ConsumeSuffix(&selector, "*");
  (is_prefix ? prefixes_ : exact_)
      .insert_or_assign(std::string(selector), Entry{count_++, rule.bindings});
}

const std::vector<HttpRule>* HttpRuleOverrides::Find(
    absl::string_view method) const {
  const Entry* last = nullptr;
  const auto offer = [&last](const auto& entries, absl::string_view selector) {
    const auto found = entries.find(selector);
    if (found == entries.end()) return;
    if (last == nullptr || found->second.order > last->order) {
      last = &found->second;
    }
  };
  offer(exact_, method);
  if (!prefixes_.empty()) {
    EachPrefix(method,
               [&](absl::string_view prefix) { offer(prefixes_, prefix); });
  }
  return last == nullptr ? nullptr : &last->bindings;
}

std::vector<std::string> HttpRuleOverrides::Unmatched(
    const std::vector<std::string>& methods) const {
  absl::flat_hash_set<std::string> matched;
  for (const std::string& method : methods) {
    matched.insert(method);
    EachPrefix(method, [&](absl::string_view prefix) {
      matched.insert(std::string(prefix) + "*");
    });
  }
  std::vector<std::string> unmatched;
  for (const auto& [selector, entry] : exact_) {
    if (!matched.contains(selector)) unmatched.push_back(selector);
  }
  for (const auto& [prefix, entry] : prefixes_) {
    if (!matched.contains(prefix + "*")) unmatched.push_back(prefix + "*");
  }
  std::sort(unmatched.begin(), unmatched.end());
  return unmatched;
}

}  // namespace headgate
