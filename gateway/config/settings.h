#ifndef GATEWAY_CONFIG_SETTINGS_H_
#define GATEWAY_CONFIG_SETTINGS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/route/route.h"

namespace headgate {

// All that can be set of a gateway, with its defaults. Sizes in bytes. The
// member names are the names that errors use and that users type.

struct ListenerSettings {
  // "HOST:PORT"; an IPv6 host in brackets, port 0 takes a free one. A host of
  // "" or "*" listens on every address, IPv4 and IPv6.
  std::string address = "127.0.0.1:8080";
  // Origins, besides the listener's own, whose scripts may connect: exact
  // ("https://example.com"), "https://*.example.com", or "*".
  std::vector<std::string> allowed_origins;
  // Networks ("10.0.0.0/8", "::1/128") whose X-Forwarded-* headers are true.
  std::vector<std::string> trusted_proxies;
  // For requests that no route was found for.
  Refusals refusals = Refusals::kHttp;
};

struct UpstreamSettings {
  // A gRPC name: "host:port", "dns:///host:port", "unix:/path", ...
  std::string target = "127.0.0.1:50051";
};

struct LimitSettings {
  int max_sessions = 100000;
  std::size_t max_answer_bytes = 4 * 1024 * 1024;  // From a backend.
  std::size_t max_header_bytes = 16 * 1024;        // Of a handshake.
  // What may wait in one session, each way; reading stops above it.
  std::size_t max_buffered_bytes = 64 * 1024;
};

struct TimeoutSettings {
  // From accept to the end of the request's headers.
  absl::Duration handshake = absl::Seconds(5);
  // The longest that the client may take nothing of a message.
  absl::Duration send = absl::Seconds(30);
  // The longest that the backend may take nothing of what the client sent.
  absl::Duration stall = absl::Seconds(30);
  // From our Close frame to the end of the connection.
  absl::Duration close = absl::Seconds(5);
  // From the signal to stop until the last session is cut off.
  absl::Duration drain = absl::Seconds(15);
  // For the upstream's answer to a question for its descriptors.
  absl::Duration reflection = absl::Seconds(5);
};

struct Settings {
  std::vector<ListenerSettings> listeners = {ListenerSettings{}};
  UpstreamSettings upstream;
  std::vector<Route> routes = {Route{}};
  LimitSettings limits;
  TimeoutSettings timeouts;
  int threads = 0;  // 0: as many as the machine has cores.
};

// All faults at once, a line each, named by their fields:
// "limits.max_sessions: must be at least 1, is 0". OK when there are none.
absl::Status Validate(const Settings& settings);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_SETTINGS_H_
