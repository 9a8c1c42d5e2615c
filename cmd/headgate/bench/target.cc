#include "cmd/headgate/bench/target.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr absl::string_view kGrpcScheme = "grpc://";
constexpr absl::string_view kHttpScheme = "http://";
constexpr absl::string_view kHttpsScheme = "https://";

bool IsMethod(absl::string_view path) {
  const std::size_t slash = path.find('/', 1);
  return slash != absl::string_view::npos && slash > 1 &&
         slash + 1 < path.size() &&
         path.find_first_of("/?", slash + 1) == absl::string_view::npos;
}

// Of the same form as a WebSocket's but for the scheme.
absl::StatusOr<BenchTarget> ParseHttpUrl(absl::string_view url,
                                         absl::string_view ws_scheme,
                                         absl::string_view scheme) {
  auto parsed = ParseWsUrl(absl::StrCat(ws_scheme, url.substr(scheme.size())));
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "': must be ", scheme, "HOST[:PORT]/PATH"));
  }
  return HttpMethodTarget{*std::move(parsed)};
}

}  // namespace

absl::StatusOr<BenchTarget> ParseBenchTarget(absl::string_view url) {
  if (absl::StartsWithIgnoreCase(url, kHttpScheme)) {
    return ParseHttpUrl(url, "ws://", kHttpScheme);
  }
  if (absl::StartsWithIgnoreCase(url, kHttpsScheme)) {
    return ParseHttpUrl(url, "wss://", kHttpsScheme);
  }
  if (!absl::StartsWithIgnoreCase(url, kGrpcScheme)) {
    if (!absl::StartsWithIgnoreCase(url, "ws")) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", url,
                       "': must start with ws://, wss://, ws+unix:, http://, "
                       "https:// or grpc://"));
    }
    auto parsed = ParseWsUrl(url);
    if (!parsed.ok()) return parsed.status();
    return *std::move(parsed);
  }
  // Of the same form but for the scheme, and the port must be named.
  const absl::string_view rest = url.substr(kGrpcScheme.size());
  auto parsed = ParseWsUrl(absl::StrCat("ws://", rest));
  if (!parsed.ok() || !absl::EndsWith(parsed->authority, ":" + parsed->port) ||
      !IsMethod(parsed->target)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", url, "': must be grpc://HOST:PORT/package.Service/Method"));
  }
  return GrpcTarget{parsed->authority, parsed->target};
}

}  // namespace headgate
