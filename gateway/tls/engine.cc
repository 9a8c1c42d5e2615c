#include "gateway/tls/engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/tls/pem.h"

namespace headgate {
namespace {

// Of the peer's text, in a message.
constexpr std::size_t kMaxQuotedBytes = 128;
// What a record adds to its content, and how long that is at most (RFC 8446
// section 5.2; less in practice).
constexpr std::size_t kRecordOverheadBytes = 64;
constexpr std::size_t kMaxRecordBytes = 16 * 1024;
// See TlsEngine::is_flooded. No implementation changes its keys more often than
// once for some MiB.
constexpr std::uint64_t kFreeRequests = 64;
constexpr std::uint64_t kBytesPerRequest = 1024;

absl::Status Failed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("TLS: ", what));
}

std::string Quoted(absl::string_view text) {
  return absl::CHexEscape(text.substr(0, kMaxQuotedBytes));
}

struct FreeMemoryBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using MemoryBio = std::unique_ptr<BIO, FreeMemoryBio>;

std::string TextIn(const MemoryBio& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(std::max(size, 0L)));
}

// The names that the server's certificate is for.
std::string NamesOf(SSL* tls) {
  const STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(tls);
  if (chain == nullptr || sk_X509_num(chain) == 0) return "";
  const X509* const certificate = sk_X509_value(chain, 0);
  const int index =
      X509_get_ext_by_NID(certificate, NID_subject_alt_name, /*lastpos=*/-1);
  const MemoryBio out(BIO_new(BIO_s_mem()));
  if (index >= 0) {
    X509V3_EXT_print(out.get(), X509_get_ext(certificate, index), 0, 0);
  } else {
    X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0,
                       XN_FLAG_RFC2253);
  }
  return Quoted(TextIn(out));
}

}  // namespace

// OpenSSL reads from what was fed and writes to output_: neither is copied once
// more on the way.
struct TlsEngine::Bio {
  static TlsEngine& Self(BIO* bio) {
    return *static_cast<TlsEngine*>(BIO_get_data(bio));
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

  static BIO* New(TlsEngine* engine) {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "headgate");
      BIO_meth_set_read_ex(made, &Read);
      BIO_meth_set_write_ex(made, &Write);
      BIO_meth_set_ctrl(made, &Control);
      return made;
    }();
    BIO* const bio = BIO_new(method);
    BIO_set_data(bio, engine);
    BIO_set_init(bio, 1);
    return bio;
  }
};

TlsEngine::TlsEngine(std::shared_ptr<const TlsContext> context, Role role)
    : context_(std::move(context)),
      tls_(SSL_new(context_->handle_)),
      role_(role) {
  BIO* const bio = Bio::New(this);
  SSL_set_bio(tls_, bio, bio);
}

// RFC 8446 section 4.6, RFC 5246 section 7.2.2: OpenSSL responds to the wish to
// renegotiate with a warning.
void TlsEngine::OnProtocolMessage(int is_sent, int /*version*/, int type,
                                  const void* bytes, std::size_t size, ssl_st*,
                                  void* engine) noexcept {
  TlsEngine& self = *static_cast<TlsEngine*>(engine);
  const auto* const message = static_cast<const unsigned char*>(bytes);
  const bool asks = is_sent == 0 ? type == SSL3_RT_HANDSHAKE && size >= 1 &&
                                       (message[0] == SSL3_MT_KEY_UPDATE ||
                                        message[0] == SSL3_MT_NEWSESSION_TICKET)
                                 : type == SSL3_RT_ALERT && size == 2 &&
                                       message[1] == SSL_AD_NO_RENEGOTIATION;
  if (!asks) return;
  ++self.requests_;
  if (self.requests_ <=
      kFreeRequests + self.plaintext_bytes_ / kBytesPerRequest) {
    return;
  }
  self.is_flooded_ = true;
  self.input_ = {};  // OpenSSL returns before the next record.
}

TlsEngine::TlsEngine(std::shared_ptr<const TlsContext> context)
    : TlsEngine(std::move(context), Role::kServer) {
  SSL_set_accept_state(tls_);
}

TlsEngine::TlsEngine(std::shared_ptr<const TlsContext> context,
                     const std::string& server)
    : TlsEngine(std::move(context), Role::kClient) {
  server_ = server;
  SSL_set_connect_state(tls_);

  // To OpenSSL no name would be any name.
  if (server_.empty() || server_.find('\0') != std::string::npos) return;
  X509_VERIFY_PARAM* const rules = SSL_get0_param(tls_);
  name_is_set_ = X509_VERIFY_PARAM_set1_ip_asc(rules, server_.c_str()) == 1;
  if (!name_is_set_) {
    X509_VERIFY_PARAM_set_hostflags(rules,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    name_is_set_ = X509_VERIFY_PARAM_set1_host(rules, server_.data(),
                                               server_.size()) == 1 &&
                   SSL_set_tlsext_host_name(tls_, server_.c_str()) == 1;
  }
  ERR_clear_error();
}

TlsEngine::~TlsEngine() { SSL_free(tls_); }

absl::string_view TlsEngine::peer() const {
  return role_ == Role::kServer ? "the client" : "the server";
}

absl::Status TlsEngine::Handshake() {
  if (role_ == Role::kClient && !name_is_set_) {
    return Failed(absl::StrCat("no certificate can be for \"", Quoted(server_),
                               "\": it is no name"));
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_);
  if (result == 1) {
    const absl::Status status = CheckProtocol();
    established_ = status.ok();
    SSL_set_msg_callback(tls_, OnProtocolMessage);
    SSL_set_msg_callback_arg(tls_, this);
    return status;
  }
  if (SSL_get_error(tls_, result) == SSL_ERROR_WANT_READ) {
    return absl::OkStatus();
  }
  const long verified = SSL_get_verify_result(tls_);
  if (context_->verifies_peer_ && verified != X509_V_OK) {
    return VerifyFailure(verified);
  }
  return Failure();
}

absl::Status TlsEngine::VerifyFailure(long result) const {
  ERR_clear_error();
  std::string what = absl::StrCat("certificate verify failed: ",
                                  X509_verify_cert_error_string(result));
  if (result == X509_V_ERR_HOSTNAME_MISMATCH ||
      result == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    absl::StrAppend(&what, ": it must be for ", server_, ", and is for ",
                    NamesOf(tls_));
  }
  return Failed(what);
}

absl::string_view TlsEngine::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(tls_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

absl::Status TlsEngine::CheckProtocol() const {
  if (!context_->requires_protocol_) return absl::OkStatus();
  const absl::string_view selected = protocol();
  if (selected == context_->protocol_) return absl::OkStatus();
  return Failed(absl::StrCat("the server must select the protocol ",
                             context_->protocol_, " (ALPN), and has selected ",
                             selected.empty() ? "none" : Quoted(selected)));
}

absl::Status TlsEngine::Failure() const {
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  const char* const text = ERR_reason_error_string(code);
  ERR_clear_error();
  std::string what = text != nullptr ? text : "it has failed";
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    what = absl::StrCat(peer(), " has refused: ", what);
  } else if (reason == SSL_R_WRONG_VERSION_NUMBER) {
    absl::StrAppend(&what, ": ", peer(), " does not speak TLS");
  } else if (reason == SSL_R_BAD_EXTENSION && role_ == Role::kClient) {
    absl::StrAppend(&what,
                    ": perhaps the server has selected another protocol "
                    "than ",
                    context_->protocol_, " (ALPN)");
  }
  return Failed(what);
}

absl::StatusOr<std::size_t> TlsEngine::Read(char* to, std::size_t max) {
  assert(established_);
  ERR_clear_error();
  std::size_t size = 0;
  const bool has_read = SSL_read_ex(tls_, to, max, &size) == 1;
  if (is_flooded_) {
    return Failed(absl::StrCat(peer(), " asks for new keys too often"));
  }
  plaintext_bytes_ += size;
  if (has_read) return size;
  switch (SSL_get_error(tls_, 0)) {
    case SSL_ERROR_WANT_READ:
      return std::size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      peer_ended_ = true;
      return Failed(absl::StrCat(peer(), " has ended the connection"));
    default:
      return Failure();
  }
}

bool TlsEngine::has_plaintext() const { return SSL_pending(tls_) > 0; }

absl::Status TlsEngine::Write(absl::string_view bytes) {
  assert(established_);
  if (bytes.empty()) return absl::OkStatus();
  output_.reserve(output_.size() + bytes.size() +
                  (bytes.size() / kMaxRecordBytes + 1) * kRecordOverheadBytes);
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(tls_, bytes.data(), bytes.size(), &written) != 1) {
    return Failure();
  }
  return absl::OkStatus();
}

void TlsEngine::Shutdown() {
  if (!established_) return;
  ERR_clear_error();
  SSL_shutdown(tls_);
  ERR_clear_error();
}

std::string TlsEngine::peer_subject() const {
  const X509Ptr certificate(SSL_get1_peer_certificate(tls_));
  if (certificate == nullptr) return "";
  const MemoryBio out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate.get()), 0,
                     XN_FLAG_RFC2253);
  std::string subject = TextIn(out);
  for (char& c : subject) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return subject;
}

absl::string_view TlsEngine::version() const { return SSL_get_version(tls_); }

bool TlsEngine::is_resumed() const { return SSL_session_reused(tls_) == 1; }

}  // namespace headgate
