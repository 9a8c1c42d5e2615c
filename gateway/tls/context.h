#ifndef GATEWAY_TLS_CONTEXT_H_
#define GATEWAY_TLS_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/tls/files.h"
#include "gateway/tls/identity.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace headgate {

struct TlsServerOptions {
  enum class MinVersion { k12, k13 };
  enum class ClientCertificates { kNone, kOptional, kRequired };

  MinVersion min_version = MinVersion::k12;
  ClientCertificates client_certificates = ClientCertificates::kNone;
  // The application protocols, the preferred one first. A client that offers
  // protocols (ALPN, RFC 7301) must offer one of these.
  std::vector<std::string> protocols = {"http/1.1"};
};

struct TlsClientOptions {
  // The application protocol that is offered; empty: none is.
  std::string protocol;
  // Whether the server must select it.
  bool requires_protocol = false;
  // Whether the server's certificate is verified.
  bool verifies_server = true;
  // The file of trusted authorities where TlsMaterial::ca is empty. Empty: the
  // ones that OpenSSL finds: SSL_CERT_FILE, SSL_CERT_DIR, the system's.
  std::string roots_file;
};

// What the TLS connections of one listener, or to one server, have in common:
// versions 1.2 and 1.3, of 1.2 only cipher suites with forward secrecy and
// authenticated encryption (RFC 9325, RFC 9113 section 9.2), no compression, no
// renegotiation; and the certificates.
//
// Immutable, and safe for several threads. A TlsEngine keeps what it needs of
// its context.
class TlsContext {
 public:
  // INVALID_ARGUMENT names the part of `material` that cannot be used.
  // `material.ca`: the authorities of clients' certificates.
  //
  // `material.ticket_keys`: sessions are resumed (RFC 5077, RFC 8446 section
  // 2.2) by tickets that the first key encrypts and any of them decrypts; where
  // there is none, by tickets of a key that this context alone has.
  //
  // Of several certificates one for the name that the client tells is shown
  // (see TlsIdentities), of a kind of key that it takes; with the OCSP
  // response, until that is too old, if the client asks for one.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> ForServer(
      const TlsServerOptions& options, const TlsMaterial& material);
  // The same. Each certificate in `material.ca` is trusted, be it an
  // authority's or the server's own.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> ForClient(
      const TlsClientOptions& options, const TlsMaterial& material);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // When the own certificate's validity ends, of several the first to end, Unix
  // seconds; 0 without one.
  std::int64_t certificate_expiry() const;

 private:
  friend class TlsEngine;
  struct Callbacks;

  explicit TlsContext(ssl_ctx_st* handle) : handle_(handle) {}

  ssl_ctx_st* const handle_;
  std::string protocol_;                // A client's,
  std::vector<std::string> protocols_;  // and a server's.
  bool requires_protocol_ = false;
  bool verifies_peer_ = false;
  std::vector<std::string> ticket_keys_;
  std::string session_scope_;  // Of a server: where sessions may be resumed.
  // Null for a server with one certificate and no OCSP response.
  std::unique_ptr<const TlsIdentities> identities_;
};

}  // namespace headgate

#endif  // GATEWAY_TLS_CONTEXT_H_
