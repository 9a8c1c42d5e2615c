#ifndef GATEWAY_NET_REQUEST_METADATA_H_
#define GATEWAY_NET_REQUEST_METADATA_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/config/address.h"
#include "gateway/net/http.h"
#include "gateway/route/route.h"

namespace headgate {

// Where a connection came from and what it gets for a name.
struct Peer {
  std::string address;     // The IP address alone.
  std::string session_id;  // Unique, printable.
};

// The metadata that a request's headers become (docs/protocol.md, "Metadata"),
// all but `authorization`. INVALID_ARGUMENT names the header that cannot be
// sent on. Names that gRPC reserves, that HTTP/2 forbids or that the gateway
// sets itself are not taken from a client.
absl::StatusOr<Metadata> MetadataFromHeaders(
    const HttpRequest& request, const Route& route, const Peer& peer,
    const std::vector<Network>& trusted_proxies);

// Header Grpc-Timeout: one to eight digits and a unit, H M S m u n (grpc/grpc
// doc/PROTOCOL-HTTP2.md). Infinite when absent.
absl::StatusOr<absl::Duration> TimeoutFromHeaders(const HttpRequest& request);

}  // namespace headgate

#endif  // GATEWAY_NET_REQUEST_METADATA_H_
