#ifndef GATEWAY_CONFIG_HTTP_RULES_FILE_H_
#define GATEWAY_CONFIG_HTTP_RULES_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/schema/http_rule.h"

namespace headgate {

// The `http` part of a service configuration in YAML (google.api.Service,
// google/api/service.proto), as grpc-gateway and Envoy take it; the other parts
// are ignored:
//
//   type: google.api.Service
//   http:
//     rules:
//       - selector: library.v1.Library.GetBook
//         get: /v1/{name=shelves/*/books/*}
//         additional_bindings: [{get: "/v1/books/{name}"}]
//
// The errors begin with the file's name, and with line and column where these
// are known. What a rule says of its method's fields is not looked at.
absl::StatusOr<std::vector<SelectedHttpRule>> ReadHttpRulesFile(
    const std::string& path);

// The same of a text. `name`: the file's, for the errors.
absl::StatusOr<std::vector<SelectedHttpRule>> ParseHttpRules(
    const std::string& text, const std::string& name);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_HTTP_RULES_FILE_H_
