#include "gateway/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include <boost/asio/buffer.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headgate {
namespace {

namespace ssl = boost::asio::ssl;
using Error = boost::system::error_code;

constexpr char kCiphers12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr unsigned char kHttp11[] = "\x08http/1.1";

// RFC 7301 section 3.2.
int ChooseProtocol(SSL* /*connection*/, const unsigned char** chosen,
                   unsigned char* chosen_size, const unsigned char* offered,
                   unsigned offered_size, void* /*context*/) {
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, chosen_size, kHttp11, sizeof(kHttp11) - 1,
                            offered, offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

absl::Status Unusable(absl::string_view what, const Error& error) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.message()));
}

int VerifyMode(ListenerTlsSettings::ClientCertificates certificates) {
  switch (certificates) {
    case ListenerTlsSettings::ClientCertificates::kNone:
      return ssl::verify_none;
    case ListenerTlsSettings::ClientCertificates::kOptional:
      return ssl::verify_peer;
    case ListenerTlsSettings::ClientCertificates::kRequired:
      break;
  }
  return ssl::verify_peer | ssl::verify_fail_if_no_peer_cert;
}

}  // namespace

absl::StatusOr<std::shared_ptr<ssl::context>> MakeListenerTls(
    const ListenerTlsSettings& settings, const ListenerPem& pem) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const handle = context->native_handle();
  const bool is_13 =
      settings.min_version == ListenerTlsSettings::MinVersion::k13;
  SSL_CTX_set_min_proto_version(handle,
                                is_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                  SSL_OP_CIPHER_SERVER_PREFERENCE |
                                  SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(handle, kCiphers12);
  SSL_CTX_set_alpn_select_cb(handle, ChooseProtocol, nullptr);
  // A session that is resumed must be one of this listener's (SSL_CTX_new(3)).
  constexpr unsigned char kSessionContext[] = "headgate";
  SSL_CTX_set_session_id_context(handle, kSessionContext,
                                 sizeof(kSessionContext) - 1);

  Error error;
  context->set_password_callback(
      [](std::size_t, ssl::context::password_purpose) { return ""; }, error);
  context->use_certificate_chain(boost::asio::buffer(pem.certificate), error);
  if (error) return Unusable("the certificate cannot be used", error);
  context->use_private_key(boost::asio::buffer(pem.key), ssl::context::pem,
                           error);
  if (error) return Unusable("the key cannot be used", error);
  if (SSL_CTX_check_private_key(handle) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the key is not the certificate's");
  }
  if (settings.client_certificates !=
      ListenerTlsSettings::ClientCertificates::kNone) {
    context->add_certificate_authority(boost::asio::buffer(pem.client_ca),
                                       error);
    if (error) return Unusable("client_ca cannot be used", error);
    context->set_verify_mode(VerifyMode(settings.client_certificates), error);
  }
  return context;
}

std::int64_t CertificateExpiry(ssl::context& context) {
  const X509* certificate = SSL_CTX_get0_certificate(context.native_handle());
  std::tm end = {};
  if (certificate == nullptr ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
    return 0;
  }
  return timegm(&end);
}

std::string PeerSubject(SSL* connection) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      SSL_get1_peer_certificate(connection), X509_free);
  if (certificate == nullptr) return "";
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()),
                                                      BIO_free);
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate.get()), 0,
                     XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  std::string subject(text, static_cast<std::size_t>(size));
  for (char& c : subject) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return subject;
}

}  // namespace headgate
