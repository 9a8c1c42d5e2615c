#include "cmd/headgate/dial/url.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr char kDefaultPort[] = "80";

absl::Status Invalid(absl::string_view url, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("'", url, "': ", why));
}

}  // namespace

absl::StatusOr<DialUrl> ParseDialUrl(absl::string_view url) {
  if (absl::StartsWithIgnoreCase(url, "wss://")) {
    return absl::UnimplementedError("wss is not supported yet");
  }
  if (!absl::StartsWithIgnoreCase(url, "ws://")) {
    return Invalid(url, "must start with ws://");
  }
  const auto parsed =
      boost::urls::parse_uri(boost::urls::string_view(url.data(), url.size()));
  if (!parsed.has_value()) return Invalid(url, "is not a URL");
  if (parsed->has_userinfo()) {
    return Invalid(url, "must not name a user; use --bearer or --header");
  }
  if (parsed->has_fragment()) return Invalid(url, "must not have a '#'");

  // After a host comes a '/' or nothing (RFC 3986 section 3.3); Boost takes
  // "a:b/" for a port that is empty and a path "b/".
  const std::string path(parsed->encoded_path());
  if (!path.empty() && path.front() != '/') {
    return Invalid(url, "the port is not a number");
  }

  DialUrl result;
  result.host = parsed->host_address();
  if (result.host.empty()) return Invalid(url, "names no host");
  result.authority = std::string(parsed->encoded_host());
  result.port = std::string(parsed->port());
  if (result.port.empty()) {
    result.port = kDefaultPort;
  } else {
    int port = 0;
    if (!absl::SimpleAtoi(result.port, &port) || port < 1 || port > 65535) {
      return Invalid(url, "the port must be 1 to 65535");
    }
    absl::StrAppend(&result.authority, ":", result.port);
  }
  result.target = std::string(parsed->encoded_target());
  if (!absl::StartsWith(result.target, "/")) result.target.insert(0, "/");
  return result;
}

}  // namespace headgate
