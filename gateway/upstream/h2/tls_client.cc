#include "gateway/upstream/h2/tls_client.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <boost/asio/buffer.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

namespace ssl = boost::asio::ssl;
using Error = boost::system::error_code;

// RFC 9113 section 9.2.2 forbids what else there is of 1.2.
constexpr char kCiphers12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr unsigned char kH2[] = "\x02h2";
constexpr char kRootsVariable[] = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

// Of what a server says, in a message.
constexpr std::size_t kMaxToldTextBytes = 128;
// What a record of TLS adds to its content, and how long that is at most (RFC
// 8446 section 5.2; less in practice).
constexpr std::size_t kRecordOverheadBytes = 64;
constexpr std::size_t kMaxRecordBytes = 16 * 1024;

absl::Status Unusable(absl::string_view what, const Error& error) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.message()));
}

absl::Status Failed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("TLS: ", what));
}

std::string Told(absl::string_view text) {
  return absl::CHexEscape(text.substr(0, kMaxToldTextBytes));
}

absl::Status TrustRoots(const TlsMaterial& material, ssl::context& context) {
  Error error;
  if (!material.ca.empty()) {
    context.add_certificate_authority(boost::asio::buffer(material.ca), error);
    if (error) return Unusable("ca cannot be used", error);
    // An authority need not be a root.
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context.native_handle()),
                         X509_V_FLAG_PARTIAL_CHAIN);
    return absl::OkStatus();
  }
  const char* const file = std::getenv(kRootsVariable);
  if (file != nullptr && file[0] != '\0') {
    context.load_verify_file(file, error);
    if (error) return Unusable(absl::StrCat(file, " cannot be used"), error);
    return absl::OkStatus();
  }
  context.set_default_verify_paths(error);
  if (error) return Unusable("the system's roots cannot be used", error);
  return absl::OkStatus();
}

// What the certificate that the server has shown is for.
std::string NamesOf(SSL* tls) {
  const STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(tls);
  if (chain == nullptr || sk_X509_num(chain) == 0) return "";
  const X509* const certificate = sk_X509_value(chain, 0);
  const int place =
      X509_get_ext_by_NID(certificate, NID_subject_alt_name, /*lastpos=*/-1);
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()),
                                                      BIO_free);
  if (place >= 0) {
    X509V3_EXT_print(out.get(), X509_get_ext(certificate, place), 0, 0);
  } else {
    X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0,
                       XN_FLAG_RFC2253);
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return Told({text, static_cast<std::size_t>(std::max(size, 0L))});
}

}  // namespace

absl::StatusOr<std::unique_ptr<ssl::context>> MakeTlsClientContext(
    const TlsMaterial& material) {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
  SSL_CTX* const handle = context->native_handle();
  SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
  SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_cipher_list(handle, kCiphers12);
  SSL_CTX_set_alpn_protos(handle, kH2, sizeof(kH2) - 1);
  SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nullptr);

  if (absl::Status status = TrustRoots(material, *context); !status.ok()) {
    return status;
  }
  if (material.certificate.empty()) return context;
  Error error;
  context->set_password_callback(
      [](std::size_t, ssl::context::password_purpose) { return ""; }, error);
  context->use_certificate_chain(boost::asio::buffer(material.certificate),
                                 error);
  if (error) return Unusable("the certificate cannot be used", error);
  context->use_private_key(boost::asio::buffer(material.key), ssl::context::pem,
                           error);
  if (error) return Unusable("the key cannot be used", error);
  return context;
}

std::string TlsNameOf(absl::string_view authority) {
  absl::string_view name = authority;
  if (absl::ConsumePrefix(&name, "[")) {
    name = name.substr(0, name.find(']'));
  } else if (std::count(name.begin(), name.end(), ':') == 1) {
    name = name.substr(0, name.find(':'));
  }
  name = name.substr(0, name.find('%'));
  absl::ConsumeSuffix(&name, ".");
  return std::string(name);
}

// What OpenSSL reads is what came, what it writes is to be sent: neither is
// copied once more on the way.
struct TlsClient::Bio {
  static TlsClient& Self(BIO* bio) {
    return *static_cast<TlsClient*>(BIO_get_data(bio));
  }

  static int Read(BIO* bio, char* to, std::size_t max,
                  std::size_t* taken) noexcept {
    absl::string_view& input = Self(bio).input_;
    BIO_clear_retry_flags(bio);
    *taken = std::min(max, input.size());
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(to, input.data(), *taken);
    input.remove_prefix(*taken);
    return 1;
  }

  static int Write(BIO* bio, const char* bytes, std::size_t size,
                   std::size_t* taken) noexcept {
    BIO_clear_retry_flags(bio);
    Self(bio).output_.append(bytes, size);
    *taken = size;
    return 1;
  }

  static long Control(BIO*, int command, long, void*) noexcept {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static BIO* New(TlsClient* client) {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "headgate");
      BIO_meth_set_read_ex(made, &Read);
      BIO_meth_set_write_ex(made, &Write);
      BIO_meth_set_ctrl(made, &Control);
      return made;
    }();
    BIO* const bio = BIO_new(method);
    BIO_set_data(bio, client);
    BIO_set_init(bio, 1);
    return bio;
  }
};

TlsClient::TlsClient(ssl::context& context, const std::string& name)
    : name_(name), tls_(SSL_new(context.native_handle())) {
  BIO* const bio = Bio::New(this);
  SSL_set_bio(tls_.get(), bio, bio);
  SSL_set_connect_state(tls_.get());

  // To OpenSSL no name would be any name.
  if (name_.empty() || name_.find('\0') != std::string::npos) return;
  X509_VERIFY_PARAM* const rules = SSL_get0_param(tls_.get());
  name_is_set_ = X509_VERIFY_PARAM_set1_ip_asc(rules, name_.c_str()) == 1;
  if (!name_is_set_) {
    X509_VERIFY_PARAM_set_hostflags(rules,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    name_is_set_ =
        X509_VERIFY_PARAM_set1_host(rules, name_.data(), name_.size()) == 1 &&
        SSL_set_tlsext_host_name(tls_.get(), name_.c_str()) == 1;
  }
  ERR_clear_error();
}

absl::Status TlsClient::Handshake() {
  if (!name_is_set_) {
    return Failed(absl::StrCat("no certificate can be for \"", Told(name_),
                               "\": it is no name"));
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_.get());
  if (result == 1) {
    const absl::Status status = CheckProtocol();
    established_ = status.ok();
    return status;
  }
  if (SSL_get_error(tls_.get(), result) == SSL_ERROR_WANT_READ) {
    return absl::OkStatus();
  }
  const long verified = SSL_get_verify_result(tls_.get());
  return verified == X509_V_OK ? Failure() : VerifyFailure(verified);
}

absl::Status TlsClient::VerifyFailure(long result) const {
  ERR_clear_error();
  std::string what = absl::StrCat("certificate verify failed: ",
                                  X509_verify_cert_error_string(result));
  if (result == X509_V_ERR_HOSTNAME_MISMATCH ||
      result == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    absl::StrAppend(&what, ": it must be for ", name_, ", and is for ",
                    NamesOf(tls_.get()));
  }
  return Failed(what);
}

absl::Status TlsClient::CheckProtocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(tls_.get(), &name, &size);
  const absl::string_view selected(reinterpret_cast<const char*>(name), size);
  if (selected == "h2") return absl::OkStatus();
  return Failed(absl::StrCat(
      "the server must select the protocol h2 (ALPN), and has selected ",
      selected.empty() ? "none" : Told(selected)));
}

absl::Status TlsClient::Failure() const {
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  const char* const text = ERR_reason_error_string(code);
  ERR_clear_error();
  std::string what = text != nullptr ? text : "it has failed";
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    what = absl::StrCat("the server has refused: ", what);
  } else if (reason == SSL_R_WRONG_VERSION_NUMBER) {
    absl::StrAppend(&what, ": the server does not speak TLS");
  } else if (reason == SSL_R_BAD_EXTENSION) {
    absl::StrAppend(&what,
                    ": perhaps the server has selected another protocol "
                    "than h2 (ALPN)");
  }
  return Failed(what);
}

absl::StatusOr<std::size_t> TlsClient::Read(char* to, std::size_t max) {
  assert(established_);
  ERR_clear_error();
  std::size_t size = 0;
  if (SSL_read_ex(tls_.get(), to, max, &size) == 1) return size;
  switch (SSL_get_error(tls_.get(), 0)) {
    case SSL_ERROR_WANT_READ:
      return std::size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      return Failed("the server has ended the connection");
    default:
      return Failure();
  }
}

absl::Status TlsClient::Write(absl::string_view bytes) {
  assert(established_);
  if (bytes.empty()) return absl::OkStatus();
  output_.reserve(output_.size() + bytes.size() +
                  (bytes.size() / kMaxRecordBytes + 1) * kRecordOverheadBytes);
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &written) != 1) {
    return Failure();
  }
  return absl::OkStatus();
}

void TlsClient::Shutdown() {
  if (!established_) return;
  ERR_clear_error();
  SSL_shutdown(tls_.get());
  ERR_clear_error();
}

}  // namespace headgate
