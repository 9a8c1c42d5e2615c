#ifndef GATEWAY_UPSTREAM_H2_TLS_CLIENT_H_
#define GATEWAY_UPSTREAM_H2_TLS_CLIENT_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/tls/files.h"

namespace headgate {

// TLS towards a server, as HTTP/2 asks for it (RFC 9113 section 9.2): versions
// 1.2 and 1.3, of 1.2 only what has forward secrecy and authenticated
// encryption, no compression, no renegotiation; the server must select "h2" by
// ALPN (RFC 7301).

// What the connections to one upstream have in common. An empty `ca` stands for
// the file that GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names in the environment, as
// it does for gRPC's own client, else for the roots that OpenSSL finds:
// SSL_CERT_FILE, SSL_CERT_DIR, the system's. Each certificate in `ca` is
// trusted, be it an authority's or the server's own.
//
// INVALID_ARGUMENT when something cannot be used. The context is immutable; a
// TlsClient keeps what it needs of it.
absl::StatusOr<std::unique_ptr<boost::asio::ssl::context>> MakeTlsClientContext(
    const TlsMaterial& material);

// The name in an :authority, without brackets, port, zone and the last dot:
// what the server's certificate must be for.
std::string TlsNameOf(absl::string_view authority);

// One connection's TLS, between the bytes of its socket and those of HTTP/2. It
// has no socket: it takes what came, and has what is to be sent.
//
//   Handshake(), then what is in output() is sent; Feed, and again, until it is
//   established(). From then on Feed and Read until there is nothing more,
//   Write, and send what is in output().
//
// Errors are UNAVAILABLE and begin with "TLS: "; after one there is nothing to
// do but to send what is in output(), the alert that tells the server.
//
// Thread: one at a time. Memory: a record each way, and output().
class TlsClient {
 public:
  // `name` is a host's or an IP address; a host's is told to the server (SNI,
  // RFC 6066 section 3). `context` may go once this is made.
  TlsClient(boost::asio::ssl::context& context, const std::string& name);
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // What came from the socket; it must stay until the next Feed. Requires: what
  // came before has been taken, by Handshake or Read.
  void Feed(absl::string_view bytes) { input_ = bytes; }

  // A step of the handshake, as far as what came goes.
  absl::Status Handshake();
  // The server is who it should be, and speaks HTTP/2.
  bool established() const { return established_; }

  // Puts the next bytes, at most `max`, to `to`; how many, 0 when there are no
  // more for now. The end that the server has announced (close_notify) is an
  // error. Requires: established().
  absl::StatusOr<std::size_t> Read(char* to, std::size_t max);
  // All of them. Requires: established().
  absl::Status Write(absl::string_view bytes);
  // Announces the end; what is in output() is the last. Not before it is
  // established.
  void Shutdown();

  // To be sent, and to be emptied by who does.
  std::string& output() { return output_; }

 private:
  struct Bio;  // OpenSSL's way to input_ and output_.
  struct Free {
    void operator()(SSL* tls) const { SSL_free(tls); }
  };

  absl::Status Failure() const;
  absl::Status VerifyFailure(long result) const;
  absl::Status CheckProtocol() const;

  const std::string name_;
  const std::unique_ptr<SSL, Free> tls_;
  bool name_is_set_ = false;
  bool established_ = false;
  absl::string_view input_;
  std::string output_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_TLS_CLIENT_H_
