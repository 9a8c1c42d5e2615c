#include "tests/testing/tls_server.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <cstddef>
#include <utility>

#include <gtest/gtest.h>

namespace headgate {
namespace {

X509* CertificateOf(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

void UseIdentity(SSL_CTX* context, const Identity& identity) {
  X509* certificate = CertificateOf(identity.certificate);
  EXPECT_EQ(SSL_CTX_use_certificate(context, certificate), 1);
  X509_free(certificate);
  BIO* bio = BIO_new_mem_buf(identity.key.data(),
                             static_cast<int>(identity.key.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context, key), 1);
  EVP_PKEY_free(key);
}

int Select(SSL*, const unsigned char** chosen, unsigned char* size,
           const unsigned char*, unsigned, void* protocol) {
  const auto& name = *static_cast<const std::string*>(protocol);
  if (name.empty()) return SSL_TLSEXT_ERR_NOACK;
  *chosen = reinterpret_cast<const unsigned char*>(name.data());
  *size = static_cast<unsigned char>(name.size());
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsServer::TlsServer(const TlsTestServerOptions& options)
    : protocol_(options.protocol),
      context_(SSL_CTX_new(TLS_server_method())),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())) {
  SSL_CTX* const context = context_.get();
  UseIdentity(context, options.identity);
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, options.min_version);
  SSL_CTX_set_max_proto_version(context, options.max_version);
  if (!options.ciphers.empty()) {
    EXPECT_EQ(SSL_CTX_set_cipher_list(context, options.ciphers.c_str()), 1);
  }
  SSL_CTX_set_alpn_select_cb(context, Select,
                             const_cast<std::string*>(&protocol_));
  if (!options.client_ca.empty()) {
    X509* ca = CertificateOf(options.client_ca);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca);
    X509_free(ca);
    SSL_CTX_set_verify(
        context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  tls_.reset(SSL_new(context));
  SSL_set_bio(tls_.get(), in_, out_);
  SSL_set_accept_state(tls_.get());
  SSL_set_msg_callback_arg(tls_.get(), &records_);
  SSL_set_msg_callback(tls_.get(), [](int sent, int, int type, const void*,
                                      std::size_t, SSL*, void* records) {
    if (sent == 0 && type == SSL3_RT_HEADER) ++*static_cast<int*>(records);
  });
}

void TlsServer::Feed(const std::string& bytes) {
  if (!fault_.empty()) return;
  BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  ERR_clear_error();
  if (!established_) {
    const int result = SSL_do_handshake(tls_.get());
    established_ = result == 1;
    if (!established_) return TakeFault(result);
  }
  std::array<char, 16 * 1024> buffer;
  int size = 0;
  while ((size = SSL_read(tls_.get(), buffer.data(), buffer.size())) > 0) {
    received_.append(buffer.data(), static_cast<std::size_t>(size));
  }
  TakeFault(size);
}

void TlsServer::TakeFault(int result) {
  const int error = SSL_get_error(tls_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return;
  if (error == SSL_ERROR_ZERO_RETURN) {
    ended_ = true;
    return;
  }
  const char* const text = ERR_reason_error_string(ERR_peek_error());
  fault_ = text != nullptr ? text : "unknown";
}

void TlsServer::Write(const std::string& bytes) {
  if (!bytes.empty()) {
    SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
}

void TlsServer::Shutdown() { SSL_shutdown(tls_.get()); }

void TlsServer::AskToRenegotiate() {
  SSL_renegotiate(tls_.get());
  SSL_do_handshake(tls_.get());
}

void TlsServer::UpdateKeys() {
  EXPECT_EQ(SSL_key_update(tls_.get(), SSL_KEY_UPDATE_REQUESTED), 1);
  SSL_do_handshake(tls_.get());
}

std::string TlsServer::TakeOutput() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  std::string output(bytes, static_cast<std::size_t>(size));
  (void)BIO_reset(out_);
  return output;
}

std::string TlsServer::TakeReceived() {
  return std::exchange(received_, std::string());
}

std::string TlsServer::server_name() const {
  const char* const name =
      SSL_get_servername(tls_.get(), TLSEXT_NAMETYPE_host_name);
  return name != nullptr ? name : "";
}

}  // namespace headgate
