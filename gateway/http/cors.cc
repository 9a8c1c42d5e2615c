#include "gateway/http/cors.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"

namespace headgate {
namespace {

// How long a browser may cache the response to a preflight.
constexpr absl::string_view kMaxAgeSeconds = "600";
// A limit for the names that are echoed.
constexpr std::size_t kMaxRequestedHeaders = 64;

}  // namespace

bool IsPreflight(const HttpRequest& request) {
  return request.method == "OPTIONS" &&
         !request.headers.Value("Origin").empty() &&
         !request.headers.Value("Access-Control-Request-Method").empty();
}

HttpFields CorsFields(const HttpRequest& request, const OwnOrigin& own,
                      const std::vector<std::string>& allowed_origins) {
  // Also without an Origin: a cache must not serve that response to a script.
  HttpFields fields = {{"Vary", "Origin"}};
  const std::vector<absl::string_view> origins =
      request.headers.Values("Origin");
  if (origins.size() != 1) return fields;
  const OriginVerdict verdict = JudgeOrigin(origins[0], own, allowed_origins);
  if (verdict == OriginVerdict::kRefused) return fields;
  fields.emplace_back("Access-Control-Allow-Origin", origins[0]);
  // With "*" no page may use a visitor's cookies.
  if (verdict == OriginVerdict::kTrusted) {
    fields.emplace_back("Access-Control-Allow-Credentials", "true");
  }
  return fields;
}

HttpFields PreflightFields(const HttpRequest& request, const OwnOrigin& own,
                           const std::vector<std::string>& allowed_origins,
                           const std::vector<std::string>& verbs) {
  HttpFields fields = CorsFields(request, own, allowed_origins);
  std::vector<std::string> methods;
  for (const std::string& verb : verbs) {
    const absl::string_view asked =
        request.headers.Value("Access-Control-Request-Method");
    if (verb != "*") {
      methods.push_back(verb);
    } else if (IsToken(asked)) {
      methods.emplace_back(asked);
    }
  }
  std::vector<absl::string_view> headers =
      request.headers.Elements("Access-Control-Request-Headers");
  headers.erase(
      std::remove_if(headers.begin(), headers.end(),
                     [](absl::string_view name) { return !IsToken(name); }),
      headers.end());
  if (headers.size() > kMaxRequestedHeaders) {
    headers.resize(kMaxRequestedHeaders);
  }
  fields.emplace_back("Access-Control-Allow-Methods",
                      absl::StrJoin(methods, ", "));
  if (!headers.empty()) {
    fields.emplace_back("Access-Control-Allow-Headers",
                        absl::StrJoin(headers, ", "));
  }
  fields.emplace_back("Access-Control-Max-Age", kMaxAgeSeconds);
  return fields;
}

}  // namespace headgate
