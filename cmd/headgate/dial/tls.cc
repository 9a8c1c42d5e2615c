#include "cmd/headgate/dial/tls.h"

#include <array>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

absl::Status Unusable(absl::string_view flag, absl::string_view file,
                      const error_code& error) {
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " '", file, "': ", error.message()));
}

// A WebSocket begins as HTTP/1.1 (RFC 7301 section 3.1: length, then name).
constexpr std::array<unsigned char, 9> kAlpn = {8,   'h', 't', 't', 'p',
                                                '/', '1', '.', '1'};

}  // namespace

absl::StatusOr<std::shared_ptr<ssl::context>> MakeDialTls(
    const DialTlsOptions& options) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  error_code error;
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_alpn_protos(context->native_handle(), kAlpn.data(), kAlpn.size());
  if (!options.ca.empty()) {
    context->load_verify_file(options.ca, error);
    if (error) return Unusable("--ca", options.ca, error);
  } else {
    context->set_default_verify_paths(error);
    if (error) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the system's authorities cannot be read: ", error.message()));
    }
  }
  if (options.certificate.empty()) return context;
  context->use_certificate_chain_file(options.certificate, error);
  if (error) return Unusable("--cert", options.certificate, error);
  context->use_private_key_file(options.key, ssl::context::pem, error);
  // Also when it is another certificate's.
  if (error) return Unusable("--key", options.key, error);
  return context;
}

absl::Status ExpectHost(DialStream::Tls& stream, const std::string& host,
                        DialTlsOptions::Peer peer) {
  SSL* const handle = stream.native_handle();
  const bool verified = peer == DialTlsOptions::Peer::kVerified;
  error_code error;
  asio::ip::make_address(host, error);
  const bool is_address = !error;
  bool ok = true;
  if (is_address) {
    // RFC 6066 section 3: the server is asked for names only.
    ok = !verified || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle),
                                                    host.c_str()) == 1;
  } else {
    SSL_set_hostflags(handle, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ok = SSL_set_tlsext_host_name(handle, host.c_str()) == 1 &&
         (!verified || SSL_set1_host(handle, host.c_str()) == 1);
  }
  if (ok) {
    stream.set_verify_mode(verified ? ssl::verify_peer : ssl::verify_none,
                           error);
    if (!error) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("TLS: no certificate can be for '", host, "'"));
}

std::string WhyNoTls(DialStream::Tls& stream, const error_code& error) {
  const long verdict = SSL_get_verify_result(stream.native_handle());
  if (verdict != X509_V_OK) {
    return absl::StrCat("the certificate cannot be trusted: ",
                        X509_verify_cert_error_string(verdict));
  }
  if (error == asio::error::eof || error == ssl::error::stream_truncated) {
    return "the other side hung up";
  }
  return error.message();
}

}  // namespace headgate
