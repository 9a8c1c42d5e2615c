#ifndef CLIENT_URL_H_
#define CLIENT_URL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The parts of a WebSocket URL (RFC 6455 section 3).
struct WsUrl {
  enum class Security { kPlain, kTls };

  std::string host;       // To resolve; an IPv6 address without brackets.
  std::string port;       // In decimal.
  std::string authority;  // The Host header: the port only if the URL has one.
  std::string target;     // Path and query, as they are encoded in the URL.
  Security security = Security::kPlain;
  // The socket file to connect to; empty: host and port.
  std::string socket = {};
};

// ws://HOST[:PORT][/PATH], wss:// the same with TLS, ws+unix:/SOCKET[:/PATH]
// and wss+unix: over a socket file, whose host is "localhost". INVALID_ARGUMENT
// for anything else.
absl::StatusOr<WsUrl> ParseWsUrl(absl::string_view url);

}  // namespace headgate

#endif  // CLIENT_URL_H_
