#include "gateway/upstream/h2/target.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/config/address.h"

namespace headgate {
namespace {

using boost::asio::ip::tcp;

absl::Status Fault(absl::string_view target) {
  return absl::InvalidArgumentError(
      absl::StrCat("not a target: \"", target, "\""));
}

// "host:port", "[v6]:port", either without its port.
struct HostAndPort {
  std::string host;
  std::string port;
};
absl::StatusOr<HostAndPort> SplitHostAndPort(absl::string_view text) {
  HostAndPort parts;
  absl::string_view rest;
  if (absl::StartsWith(text, "[")) {
    const std::size_t end = text.find(']');
    if (end == absl::string_view::npos) return Fault(text);
    parts.host = std::string(text.substr(1, end - 1));
    rest = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    parts.host = std::string(text.substr(0, colon));
    if (colon != absl::string_view::npos) rest = text.substr(colon);
  }
  if (parts.host.empty()) return Fault(text);
  if (!std::all_of(parts.host.begin(), parts.host.end(), [](char c) {
        return absl::ascii_isalnum(c) || absl::StrContains("-._:%", c);
      })) {
    return Fault(text);
  }
  parts.port = "443";  // gRPC's default.
  if (!rest.empty()) {
    std::uint32_t port = 0;
    if (!absl::ConsumePrefix(&rest, ":") || !absl::SimpleAtoi(rest, &port) ||
        port == 0 || port > 65535) {
      return Fault(text);
    }
    parts.port = absl::StrCat(port);
  }
  return parts;
}

absl::StatusOr<H2Endpoint> IpEndpoint(const HostAndPort& parts) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(parts.host, error);
  if (error) return Fault(parts.host);
  int port = 0;
  (void)absl::SimpleAtoi(parts.port, &port);
  return tcp::endpoint(address, static_cast<std::uint16_t>(port));
}

absl::StatusOr<H2Target> UnixTarget(std::string path) {
  if (path.size() < 2 || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Fault(path);
  }
  H2Target target;
  target.endpoints.push_back(
      boost::asio::local::stream_protocol::endpoint(path));
  target.authority = "localhost";
  return target;
}

absl::StatusOr<H2Target> AddressesTarget(absl::string_view list) {
  H2Target target;
  for (const absl::string_view one : absl::StrSplit(list, ',')) {
    const auto parts = SplitHostAndPort(one);
    if (!parts.ok()) return parts.status();
    const auto endpoint = IpEndpoint(*parts);
    if (!endpoint.ok()) return endpoint.status();
    target.endpoints.push_back(*endpoint);
    if (target.authority.empty()) target.authority = std::string(one);
  }
  return target;
}

absl::StatusOr<H2Target> NameTarget(absl::string_view name) {
  const auto parts = SplitHostAndPort(name);
  if (!parts.ok()) return parts.status();
  H2Target target;
  target.authority = std::string(name);
  const auto endpoint = IpEndpoint(*parts);
  if (endpoint.ok()) {
    target.endpoints.push_back(*endpoint);
    return target;
  }
  target.host = parts->host;
  target.port = parts->port;
  return target;
}

}  // namespace

absl::StatusOr<H2Target> ParseH2Target(absl::string_view text) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix-abstract:")) {
    return UnixTarget(absl::StrCat(std::string(1, '\0'), rest));
  }
  if (absl::ConsumePrefix(&rest, "unix:")) {
    absl::ConsumePrefix(&rest, "//");  // "unix:///path" is always absolute.
    return UnixTarget(std::string(rest));
  }
  if (absl::ConsumePrefix(&rest, "ipv4:") ||
      absl::ConsumePrefix(&rest, "ipv6:")) {
    return AddressesTarget(rest);
  }
  if (absl::ConsumePrefix(&rest, "dns:")) absl::ConsumePrefix(&rest, "///");
  return NameTarget(rest);
}

std::string FormatEndpoint(const H2Endpoint& endpoint) {
  if (endpoint.protocol().family() == AF_UNIX) {
    const auto* address = reinterpret_cast<const sockaddr_un*>(endpoint.data());
    const std::size_t offset = offsetof(sockaddr_un, sun_path);
    std::string path(address->sun_path,
                     endpoint.size() > offset ? endpoint.size() - offset : 0);
    if (!path.empty() && path[0] == '\0') {
      return absl::StrCat("unix-abstract:", path.substr(1));
    }
    return absl::StrCat("unix:", path.c_str());
  }
  tcp::endpoint tcp_endpoint;
  if (endpoint.size() > tcp_endpoint.capacity()) return "";
  std::memcpy(tcp_endpoint.data(), endpoint.data(), endpoint.size());
  return FormatAddress(tcp_endpoint.address().to_string(), tcp_endpoint.port());
}

}  // namespace headgate
