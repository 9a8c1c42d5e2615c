#ifndef GATEWAY_SCHEMA_HTTP_RULE_H_
#define GATEWAY_SCHEMA_HTTP_RULE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace google::api {
class HttpRule;
}

namespace headgate {

// One binding of a google.api.http rule (google/api/http.proto): the HTTP
// requests that mean a call of the method.
struct HttpRule {
  std::string verb;           // "GET", "POST", a custom kind; "*": any.
  std::string path_template;  // "/v1/{name=shelves/*}:move"
  std::string body;           // "": no body; "*": the message; or a field.
  std::string response_body;  // "": the message; or a field.
};

// The rule's own binding, then its additional_bindings; those without a pattern
// are left out.
std::vector<HttpRule> BindingsOf(const google::api::HttpRule& rule);

// A rule of a service configuration: its selector is "package.Service.Method",
// or "package.Service.*" for all that begin so (google/api/service.proto).
struct SelectedHttpRule {
  std::string selector;
  std::vector<HttpRule> bindings;
};

// Rules from service configurations, which replace the annotations of the
// methods that their selectors name. Of several that name a method the last
// counts.
class HttpRuleOverrides {
 public:
  void Add(const SelectedHttpRule& rule);

  bool empty() const { return exact_.empty() && prefixes_.empty(); }

  // Null when no selector names the method.
  const std::vector<HttpRule>* Find(absl::string_view method) const;

  // The selectors that name none of `methods` ("package.Service.Method"),
  // sorted.
  std::vector<std::string> Unmatched(
      const std::vector<std::string>& methods) const;

 private:
  struct Entry {
    std::size_t order;
    std::vector<HttpRule> bindings;
  };

  absl::flat_hash_map<std::string, Entry> exact_;
  absl::flat_hash_map<std::string, Entry> prefixes_;  // "package.Service."
  std::size_t count_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_HTTP_RULE_H_
