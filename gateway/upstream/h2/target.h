#ifndef GATEWAY_UPSTREAM_H2_TARGET_H_
#define GATEWAY_UPSTREAM_H2_TARGET_H_

#include <string>
#include <vector>

#include <boost/asio/generic/stream_protocol.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Where one connection goes.
using H2Endpoint = boost::asio::generic::stream_protocol::endpoint;

// What a gRPC name says (grpc/grpc doc/naming.md).
struct H2Target {
  std::vector<H2Endpoint> endpoints;  // Empty: `host` is to be looked up.
  std::string host;
  std::string port;       // A number; 443 unless named.
  std::string authority;  // The :authority of its calls.
};

// "host:port", "dns:host:port", "dns:///host:port", "ipv4:a:p,b:p",
// "ipv6:[a]:p,...", "unix:path", "unix:///path", "unix-abstract:name".
// INVALID_ARGUMENT for anything else.
absl::StatusOr<H2Target> ParseH2Target(absl::string_view target);

// For the log: "127.0.0.1:80", "[::1]:80", "unix:/path".
std::string FormatEndpoint(const H2Endpoint& endpoint);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_TARGET_H_
