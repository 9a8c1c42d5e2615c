#ifndef GATEWAY_HTTP_HEADER_RULES_H_
#define GATEWAY_HTTP_HEADER_RULES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/config/address.h"
#include "gateway/http/request.h"
#include "gateway/route/route.h"

namespace headgate {

// The peer of a connection.
struct Peer {
  // The IP address without a port, or "unix": the connection's, or the one in
  // its PROXY header.
  std::string address;
  bool is_tls = false;
  std::string client_subject;  // Of the client's certificate; empty: none.

  // Of the request at hand.
  std::string client;      // The client's address, see ClientAddress.
  std::string session_id;  // 32 hexadecimal digits, unique.

  const std::string& client_or_peer() const {
    return client.empty() ? address : client;
  }
};

// The address of the client that sent the request: `peer`, or, behind trusted
// proxies, the last address of X-Forwarded-For that is not one of theirs;
// "unknown" when that is not an address.
std::string ClientAddress(const HeaderList& headers, const std::string& peer,
                          const std::vector<Network>& trusted_proxies);

// Whether the peer's X-Forwarded-* headers are believed.
bool IsTrustedProxy(const Peer& peer,
                    const std::vector<Network>& trusted_proxies);

// The protocol that a trusted proxy says the client has used, the first of
// X-Forwarded-Proto; absent when none does.
std::optional<absl::string_view> ForwardedProtocol(
    const HeaderList& headers, const Peer& peer,
    const std::vector<Network>& trusted_proxies);

// The key under which sessions per address are counted: an IPv4 address or an
// IPv6 /64 network. Empty for what is not counted: a loopback address, a
// trusted proxy, a Unix socket.
std::string CountedAddress(const std::string& client,
                           const std::vector<Network>& trusted_proxies);

// Which of a client's headers become metadata under their own names.
enum class MetadataRule {
  kForwarded,    // Those that the route forwards.
  kEveryHeader,  // All that do not concern HTTP: the dialect has no other place
                 // for metadata.
};

// The metadata that a client's headers become, those of a request or of a
// message that carries headers in-band (docs/protocol.md, "Metadata"):
// Grpc-Metadata-NAME as NAME, and others by `rule`. Names that gRPC reserves,
// that HTTP/2 forbids or that the gateway sets itself are not taken from a
// client, and `authorization` is FindAuthorization's. INVALID_ARGUMENT names
// the header that cannot be sent on.
absl::StatusOr<Metadata> ClientMetadata(const HeaderList& headers,
                                        const Route& route, MetadataRule rule);

// The metadata of a request: the client's, and the gateway's own (tracing,
// request ID, x-forwarded-*, x-headgate-*).
absl::StatusOr<Metadata> MetadataFromHeaders(
    const HeaderList& headers, const Route& route, const Peer& peer,
    const std::vector<Network>& trusted_proxies,
    MetadataRule rule = MetadataRule::kForwarded);

// The metadata of a call whose headers come in-band: what `request`, the
// metadata of the session's request, has, and what the call's own headers are.
// Of tracing and of the request's ID the call's own count, where it has them.
absl::StatusOr<Metadata> MetadataFromCallHeaders(const HeaderList& headers,
                                                 const Route& route,
                                                 Metadata request);

// The `traceparent` of a session whose client sends none that is valid.
std::string OwnTraceparent(absl::string_view session_id);

// The trace of MetadataFromHeaders' `traceparent`, 32 hexadecimal digits.
std::string TraceIdOf(const Metadata& metadata);

// Header Grpc-Timeout: one to eight digits and a unit, H M S m u n (grpc/grpc
// doc/PROTOCOL-HTTP2.md); else Connect-Timeout-Ms. Infinite when absent.
absl::StatusOr<absl::Duration> TimeoutFromHeaders(const HeaderList& headers);

}  // namespace headgate

#endif  // GATEWAY_HTTP_HEADER_RULES_H_
