#ifndef CMD_HEADGATE_BENCH_ENDPOINTS_H_
#define CMD_HEADGATE_BENCH_ENDPOINTS_H_

#include <sys/socket.h>

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "cmd/headgate/dial/url.h"

namespace headgate {

// An address of a socket.
struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = 0;
};

// The addresses of the URL's host, best first; at least one. UNAVAILABLE when
// it has none. Blocks.
absl::StatusOr<std::vector<Endpoint>> Resolve(const DialUrl& url);

// A socket that is connecting to `to`, without blocking and without delay of
// small writes. To one port of one address there are only so many local ports;
// where `to` is on IPv4's loopback, connection number `number` begins at
// another local address for each 20,000. The status names what failed.
absl::StatusOr<int> StartConnecting(const Endpoint& to, std::size_t number);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_ENDPOINTS_H_
