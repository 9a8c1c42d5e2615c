#ifndef TESTS_TESTING_RAW_TLS_CLIENT_H_
#define TESTS_TESTING_RAW_TLS_CLIENT_H_

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

namespace headgate {

// The client's side of one connection's TLS by OpenSSL itself, without a
// socket, which does what a TlsEngine never would. It trusts any server.
class RawTlsClient {
 public:
  // `version`: TLS1_2_VERSION, ...
  explicit RawTlsClient(int version) {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    tls_.reset(SSL_new(context_.get()));
    SSL_set_bio(tls_.get(), in_, out_);
    SSL_set_connect_state(tls_.get());
  }

  SSL* tls() { return tls_.get(); }

  void Feed(const std::string& bytes) {
    BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  }
  // Goes on with the handshake, and reads what has come.
  void Read() {
    std::array<char, 1000> buffer;
    int size = 0;
    while ((size = SSL_read(tls_.get(), buffer.data(), buffer.size())) > 0) {
      received_.append(buffer.data(), static_cast<std::size_t>(size));
    }
    ERR_clear_error();
  }
  std::string TakeOutput() {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(out_, &bytes);
    std::string output(bytes, static_cast<std::size_t>(size));
    (void)BIO_reset(out_);
    return output;
  }
  // The session that the handshake began, or the server's last ticket tells.
  SSL_SESSION* TakeSession() { return SSL_get1_session(tls_.get()); }

  const std::string& received() const { return received_; }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* tls) const { SSL_free(tls); }
  };

  const std::unique_ptr<SSL_CTX, Free> context_{
      SSL_CTX_new(TLS_client_method())};
  std::unique_ptr<SSL, Free> tls_;
  BIO* const in_ = BIO_new(BIO_s_mem());
  BIO* const out_ = BIO_new(BIO_s_mem());
  std::string received_;
};

}  // namespace headgate

#endif  // TESTS_TESTING_RAW_TLS_CLIENT_H_
