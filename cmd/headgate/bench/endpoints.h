#ifndef CMD_HEADGATE_BENCH_ENDPOINTS_H_
#define CMD_HEADGATE_BENCH_ENDPOINTS_H_

#include <sys/socket.h>

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "client/url.h"

namespace headgate {

// An address of a socket.
struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = 0;
};

// The addresses of the URL's host, best first, or that of its socket file; at
// least one. UNAVAILABLE when there is none. Blocks.
absl::StatusOr<std::vector<Endpoint>> Resolve(const WsUrl& url);

// A socket that is connecting to `to`, non-blocking and without delay of small
// writes. The number of local ports limits the connections to one address; if
// `to` is on IPv4's loopback, each 20,000 connections have another local
// address, chosen by `number`. The status says what failed.
absl::StatusOr<int> StartConnecting(const Endpoint& to, std::size_t number);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_ENDPOINTS_H_
