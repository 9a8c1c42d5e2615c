#ifndef GATEWAY_NET_TLS_H_
#define GATEWAY_NET_TLS_H_

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "absl/status/statusor.h"
#include "gateway/config/settings.h"

namespace headgate {

// TLS on a listener: versions 1.2 and 1.3, of 1.2 only what has forward secrecy
// and authenticated encryption (RFC 9325), no renegotiation; a client that
// offers protocols (ALPN, RFC 7301) must offer "http/1.1".

// A certificate with its chain, its key and the authorities of clients, as PEM.
struct ListenerPem {
  std::string certificate;
  std::string key;
  std::string client_ca;
};

// INVALID_ARGUMENT when the parts are not what they should be, or do not fit
// together. The context is immutable, and safe for several threads.
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeListenerTls(
    const ListenerTlsSettings& settings, const ListenerPem& pem);

// The end of the validity of the context's certificate, Unix seconds.
std::int64_t CertificateExpiry(boost::asio::ssl::context& context);

// The subject of the client's certificate, as RFC 4514 writes it, printable
// ASCII; empty when it has shown none.
std::string PeerSubject(SSL* connection);

}  // namespace headgate

#endif  // GATEWAY_NET_TLS_H_
