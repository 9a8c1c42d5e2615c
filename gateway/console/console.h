#ifndef GATEWAY_CONSOLE_CONSOLE_H_
#define GATEWAY_CONSOLE_CONSOLE_H_

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/config/settings.h"
#include "gateway/schema/schema.h"

namespace headgate {

// The console: pages for developers that a listener serves at kConsolePath, to
// call methods from a browser (web/console). The pages are embedded files; what
// they show comes from two resources below them:
//
//   api/index                 the names of the upstreams, and the routes
//   api/schema?upstream=NAME  the services of one upstream, and their types
//
// Calls are ordinary sessions of the listener. All of this is pure.

inline constexpr absl::string_view kConsolePath = "/_headgate";

// Whether a request for `path` (of the target, without the query) is for the
// console.
bool IsConsolePath(absl::string_view path);

// What the console shows of the configuration.
struct ConsoleIndex {
  std::vector<std::string> upstreams;
  std::string json;  // The body of api/index.
};
std::shared_ptr<const ConsoleIndex> MakeConsoleIndex(const Settings& settings);

struct ConsoleResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
};

// The response needs the schema of an upstream; see SchemaResponse and
// SchemaUnknownResponse.
struct NeedsSchema {
  std::string upstream;
};

struct ConsoleRequest {
  absl::string_view verb;
  absl::string_view path;  // IsConsolePath.
  std::vector<Parameter> query;
  absl::string_view fetch_site;  // Sec-Fetch-Site; empty: none.
};
std::variant<ConsoleResponse, NeedsSchema> AnswerConsole(
    const ConsoleRequest& request, const ConsoleIndex& index);

// What NeedsSchema asked for, or why it is not known.
ConsoleResponse SchemaResponse(const Schema& schema);
ConsoleResponse SchemaUnknownResponse(const absl::Status& status);

// The services of `schema` and the types that they use as one JSON object.
// Services, then types, are left out once it is longer than `max_bytes`; it
// then has "truncated": true.
std::string SchemaJson(const Schema& schema, std::size_t max_bytes);

}  // namespace headgate

#endif  // GATEWAY_CONSOLE_CONSOLE_H_
