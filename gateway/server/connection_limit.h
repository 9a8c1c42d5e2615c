#ifndef GATEWAY_SERVER_CONNECTION_LIMIT_H_
#define GATEWAY_SERVER_CONNECTION_LIMIT_H_

#include <cstddef>
#include <cstdint>

#include "gateway/config/settings.h"

namespace headgate {

// What is known of the process's file descriptors when it begins to serve.
struct DescriptorUse {
  std::uint64_t limit = 0;   // RLIMIT_NOFILE
  std::uint64_t in_use = 0;  // Before the first client came.
};

// The maximum number of client connections at a time.
struct ConnectionLimit {
  int most = 0;
  // How many more may be accepted for the moment that it takes to refuse them,
  // or to close an idle one in their favour.
  int overflow = 1;
  // Whether it is what the descriptors allow, less than what is configured.
  bool by_descriptors = false;
  // UpstreamOptions::max_connections of each upstream of each worker.
  std::size_t upstream_connections = 0;
};

// The connections that each of `listeners` admin listeners serves at a time;
// one more takes the place of the one that has waited longest. All of them
// together have 64, or an eighth of the process's file descriptors where that
// is less.
std::size_t AdminConnectionsFor(std::uint64_t descriptor_limit,
                                std::size_t listeners);

// How many descriptors more than it has open the process needs to serve at all:
// what runs it, the listeners, the admin listeners with two connections each, a
// connection to each upstream of each of the `workers`, and a few clients.
std::uint64_t LeastDescriptorsFor(const Settings& settings,
                                  std::uint64_t workers);

// Of limits.max_connections and the descriptors that are left when enough are
// kept for the admin listeners, the connections to the upstreams, files that
// are read again, and `overflow`; where there are few, half of them are kept.
// Upstreams have as many as sessions need, a quarter at least: a server may
// allow fewer calls on a connection than max_streams_per_channel.
// `workers`: each has its own connections to the upstreams.
ConnectionLimit ConnectionLimitFor(const Settings& settings,
                                   const DescriptorUse& descriptors,
                                   std::uint64_t workers);

}  // namespace headgate

#endif  // GATEWAY_SERVER_CONNECTION_LIMIT_H_
