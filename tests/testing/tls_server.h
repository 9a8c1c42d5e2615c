#ifndef TESTS_TESTING_TLS_SERVER_H_
#define TESTS_TESTING_TLS_SERVER_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "tests/testing/certificates.h"

namespace headgate {

// How a TlsServer is set up.
struct TlsTestServerOptions {
  Identity identity;
  std::string client_ca;        // Clients must have a certificate by it.
  std::string protocol = "h2";  // Selected by ALPN, whatever is offered.
  int min_version = 0;          // TLS1_2_VERSION, ...; 0: any.
  int max_version = 0;
  std::string ciphers;  // Of versions before 1.3.
};

// The server's side of one connection's TLS, without a socket: by OpenSSL, as
// any server has it.
class TlsServer {
 public:
  explicit TlsServer(const TlsTestServerOptions& options);

  // Takes what came from the client, and answers it.
  void Feed(const std::string& bytes);
  void Write(const std::string& bytes);
  // Announces the end.
  void Shutdown();
  // Asks for another handshake, which TLS 1.3 does no longer.
  void AskToRenegotiate();
  // Changes the keys, and asks the client to do so (RFC 8446 section 4.6.3).
  void UpdateKeys();

  // What is to be sent, and what the client has said.
  std::string TakeOutput();
  std::string TakeReceived();

  bool established() const { return established_; }
  // The client has announced the end.
  bool ended() const { return ended_; }
  // Why there is no connection, such as the client's alert.
  const std::string& fault() const { return fault_; }
  // Of the client's hello; "" when it has named none.
  std::string server_name() const;
  // Records that have come, of any kind.
  int records() const { return records_; }
  std::string version() const { return SSL_get_version(tls_.get()); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* tls) const { SSL_free(tls); }
  };

  void TakeFault(int result);

  const std::string protocol_;
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> tls_;
  BIO* in_;
  BIO* out_;
  std::string received_;
  int records_ = 0;
  bool established_ = false;
  bool ended_ = false;
  std::string fault_;
};

}  // namespace headgate

#endif  // TESTS_TESTING_TLS_SERVER_H_
