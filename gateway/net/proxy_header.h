#ifndef GATEWAY_NET_PROXY_HEADER_H_
#define GATEWAY_NET_PROXY_HEADER_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The header by which a load balancer tells, in front of everything else on a
// connection, whom it speaks for (haproxy/haproxy doc/proxy-protocol.txt,
// versions 1 and 2). Pure.
struct ProxyHeader {
  // Bytes that belong to the header and have not come yet, so that reading them
  // takes nothing of what follows; 0: it is complete.
  std::size_t missing = 0;
  // The client's IP address; empty: the connection is the balancer's own (a
  // health check), or it does not tell.
  std::string source;
};

// Longer ones, which version 2 would allow, are refused.
inline constexpr std::size_t kMaxProxyHeaderBytes = 4096;

// `bytes`: what has come so far, and no more than was missing. INVALID_ARGUMENT
// as soon as it cannot become a header.
absl::StatusOr<ProxyHeader> ParseProxyHeader(absl::string_view bytes);

}  // namespace headgate

#endif  // GATEWAY_NET_PROXY_HEADER_H_
