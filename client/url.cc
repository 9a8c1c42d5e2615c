#include "client/url.h"

#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

absl::Status Invalid(absl::string_view url, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("'", url, "': ", why));
}

struct Scheme {
  absl::string_view prefix;
  WsUrl::Security security;
};
constexpr Scheme kNetworkSchemes[] = {{"ws://", WsUrl::Security::kPlain},
                                      {"wss://", WsUrl::Security::kTls}};
constexpr Scheme kSocketSchemes[] = {{"ws+unix:", WsUrl::Security::kPlain},
                                     {"wss+unix:", WsUrl::Security::kTls}};

// `url` is SCHEME/run/headgate.sock:/chat?x=1.
absl::StatusOr<WsUrl> ParseSocketUrl(absl::string_view url,
                                     const Scheme& scheme) {
  const absl::string_view rest = url.substr(scheme.prefix.size());
  const std::size_t colon = rest.find(":/");
  WsUrl result;
  result.security = scheme.security;
  result.socket = std::string(rest.substr(0, colon));
  result.host = result.authority = "localhost";
  result.target = colon == absl::string_view::npos
                      ? "/"
                      : std::string(rest.substr(colon + 1));
  if (!absl::StartsWith(result.socket, "/")) {
    return Invalid(url,
                   absl::StrCat("must be ", scheme.prefix, "/SOCKET:/PATH"));
  }
  // One byte of sockaddr_un is for the terminating zero.
  if (result.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return Invalid(url, "the socket's path is too long");
  }
  if (!boost::urls::parse_origin_form(result.target).has_value()) {
    return Invalid(url, "is not a URL");
  }
  return result;
}

}  // namespace

absl::StatusOr<WsUrl> ParseWsUrl(absl::string_view url) {
  for (const Scheme& scheme : kSocketSchemes) {
    if (absl::StartsWithIgnoreCase(url, scheme.prefix)) {
      return ParseSocketUrl(url, scheme);
    }
  }
  const auto scheme =
      std::find_if(std::begin(kNetworkSchemes), std::end(kNetworkSchemes),
                   [url](const Scheme& known) {
                     return absl::StartsWithIgnoreCase(url, known.prefix);
                   });
  if (scheme == std::end(kNetworkSchemes)) {
    return Invalid(url, "must start with ws://, wss:// or ws+unix:");
  }
  const auto parsed =
      boost::urls::parse_uri(boost::urls::string_view(url.data(), url.size()));
  if (!parsed.has_value()) return Invalid(url, "is not a URL");
  if (parsed->has_userinfo()) {
    return Invalid(url, "must not name a user; use --bearer or --header");
  }
  if (parsed->has_fragment()) return Invalid(url, "must not have a '#'");

  // A path is empty or begins with '/' (RFC 3986 section 3.3); Boost parses
  // "a:b/" as an empty port and the path "b/".
  const std::string path(parsed->encoded_path());
  if (!path.empty() && path.front() != '/') {
    return Invalid(url, "the port is not a number");
  }

  WsUrl result;
  result.security = scheme->security;
  result.host = parsed->host_address();
  if (result.host.empty()) return Invalid(url, "names no host");
  result.authority = std::string(parsed->encoded_host());
  result.port = std::string(parsed->port());
  if (result.port.empty()) {
    result.port = result.security == WsUrl::Security::kTls ? "443" : "80";
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
