#ifndef GATEWAY_HTTP_TARGET_H_
#define GATEWAY_HTTP_TARGET_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/http/request.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The target of a request: its request line and its Host header.
struct HttpTarget {
  std::string host;  // Of a target in absolute form, else HostOf.
  std::string encoded_path;
  std::string path;  // Percent-decoded; for messages.
  // Percent-decoded, '+' as a blank, in order.
  std::vector<Parameter> query;
};

// Takes the origin form (a path) and the absolute form, as a server has to (RFC
// 9112 section 3.2.2). Absent: the target is neither, or the address has
// userinfo or no host (RFC 9110 sections 4.2.1 and 4.2.4).
std::optional<HttpTarget> ParseTarget(const HttpRequest& request);

// The last value of the query parameter; absent also when `name` is empty.
std::optional<std::string> QueryValue(const HttpTarget& target,
                                      absl::string_view name);

// Whether `value` is HOST or HOST:PORT (RFC 9112 section 3.2).
bool IsHost(absl::string_view value);

}  // namespace headgate

#endif  // GATEWAY_HTTP_TARGET_H_
