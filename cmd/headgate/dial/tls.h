#ifndef CMD_HEADGATE_DIAL_TLS_H_
#define CMD_HEADGATE_DIAL_TLS_H_

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cmd/headgate/dial/stream.h"

namespace headgate {

// How `headgate dial` speaks TLS. Files are PEM.
struct DialTlsOptions {
  enum class Peer { kVerified, kAnybody };

  std::string ca;           // Authorities of the server; empty: the system's.
  std::string certificate;  // The client's own, with `key`; empty: none.
  std::string key;
  Peer peer = Peer::kVerified;
};

// TLS 1.2 or newer. INVALID_ARGUMENT names the flag whose file cannot be used.
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeDialTls(
    const DialTlsOptions& options);

// Has the handshake of `stream` ask for `host`, and take a certificate that is
// for it, a name or an IP address, and for nothing else.
absl::Status ExpectHost(DialStream::Tls& stream, const std::string& host,
                        DialTlsOptions::Peer peer);

// Why the handshake of `stream` failed, in one line.
std::string WhyNoTls(DialStream::Tls& stream,
                     const boost::system::error_code& error);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_TLS_H_
