#include "gateway/tls/context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gateway/tls/pem.h"

namespace headgate {
namespace {

constexpr std::size_t kTicketNameBytes = 16;
constexpr int kTicketIvBytes = 16;
constexpr char kCiphers12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

absl::Status UnusablePart(absl::string_view what) {
  const char* const reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " cannot be used", reason == nullptr ? "" : ": ",
                   reason == nullptr ? "" : reason));
}

void SetCommonOptions(SSL_CTX* handle) {
  SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
  SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_cipher_list(handle, kCiphers12);
}

absl::Status UseCertificate(const TlsMaterial& material, SSL_CTX* handle) {
  std::vector<X509Ptr> chain = ParseCertificates(material.certificate);
  if (chain.empty()) return UnusablePart("the certificate");
  const KeyPtr key = ParseKey(material.key);
  if (key == nullptr) return UnusablePart("the key");
  if (SSL_CTX_use_certificate(handle, chain[0].get()) != 1) {
    return UnusablePart("the certificate");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(handle, chain[i].get()) != 1) {
      return UnusablePart("the certificate");
    }
  }
  // Fails as well when it is another certificate's.
  if (SSL_CTX_use_PrivateKey(handle, key.get()) != 1) {
    return UnusablePart("the key");
  }
  return absl::OkStatus();
}

absl::Status Trust(const std::string& pem, absl::string_view what,
                   SSL_CTX* handle) {
  const std::vector<X509Ptr> authorities = ParseCertificates(pem);
  if (authorities.empty()) return UnusablePart(what);
  X509_STORE* const store = SSL_CTX_get_cert_store(handle);
  for (const X509Ptr& authority : authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) {
      return UnusablePart(what);
    }
  }
  return absl::OkStatus();
}

absl::Status TrustRoots(const TlsClientOptions& options,
                        const TlsMaterial& material, SSL_CTX* handle) {
  if (!material.ca.empty()) {
    // An authority need not be a root.
    X509_STORE_set_flags(SSL_CTX_get_cert_store(handle),
                         X509_V_FLAG_PARTIAL_CHAIN);
    return Trust(material.ca, "ca", handle);
  }
  if (!options.roots_file.empty()) {
    if (SSL_CTX_load_verify_file(handle, options.roots_file.c_str()) != 1) {
      return UnusablePart(options.roots_file);
    }
    return absl::OkStatus();
  }
  if (SSL_CTX_set_default_verify_paths(handle) != 1) {
    return UnusablePart("the system's roots");
  }
  return absl::OkStatus();
}

int VerifyMode(TlsServerOptions::ClientCertificates certificates) {
  switch (certificates) {
    case TlsServerOptions::ClientCertificates::kNone:
      return SSL_VERIFY_NONE;
    case TlsServerOptions::ClientCertificates::kOptional:
      return SSL_VERIFY_PEER;
    case TlsServerOptions::ClientCertificates::kRequired:
      break;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

// As RFC 7301 section 3.1 writes a list of one protocol.
std::string ProtocolList(const std::string& protocol) {
  return absl::StrCat(std::string(1, static_cast<char>(protocol.size())),
                      protocol);
}

std::int64_t EndOf(const X509* certificate) {
  std::tm end = {};
  if (certificate == nullptr ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
    return 0;
  }
  return timegm(&end);
}

// Requires: each fits together; see ReadTlsMaterial.
absl::StatusOr<TlsIdentity> IdentityOf(const std::string& certificate,
                                       const std::string& key,
                                       const std::string& ocsp) {
  TlsIdentity identity{ParseCertificates(certificate), ParseKey(key), {}};
  if (identity.chain.empty()) return UnusablePart("the certificate");
  if (identity.key == nullptr) return UnusablePart("the key");
  if (!ocsp.empty()) {
    absl::StatusOr<OcspStaple> staple =
        ParseOcsp(ocsp, identity.chain[0].get(), std::time(nullptr));
    if (staple.ok()) identity.ocsp = *std::move(staple);
  }
  return identity;
}

absl::StatusOr<std::unique_ptr<const TlsIdentities>> IdentitiesOf(
    const TlsMaterial& material) {
  std::vector<TlsIdentity> identities;
  absl::StatusOr<TlsIdentity> first =
      IdentityOf(material.certificate, material.key, material.ocsp);
  if (!first.ok()) return first.status();
  identities.push_back(*std::move(first));
  for (const TlsIdentityMaterial& more : material.more) {
    absl::StatusOr<TlsIdentity> next =
        IdentityOf(more.certificate, more.key, more.ocsp);
    if (!next.ok()) return next.status();
    identities.push_back(*std::move(next));
  }
  return std::make_unique<const TlsIdentities>(std::move(identities));
}

const unsigned char* Bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string Sha256(absl::string_view text) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(),
             reinterpret_cast<unsigned char*>(&digest[0]), &size, EVP_sha256(),
             nullptr);
  digest.resize(size);
  return digest;
}

// The server_name extension of the ClientHello that is being read, empty
// without one. Only within SSL_CTX_set_client_hello_cb(3)'s callback.
absl::string_view ServerNameExtension(SSL* tls) {
  const unsigned char* bytes = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(tls, TLSEXT_TYPE_server_name, &bytes, &size) !=
      1) {
    return "";
  }
  return absl::string_view(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace

struct TlsContext::Callbacks {
  // Sessions are resumed where they may be: see `session_scope_`. For the same
  // name only, as RFC 6066 section 3 demands, so that the certificate of each
  // is shown.
  static int LimitResumption(SSL* tls, int* /*alert*/, void* context) {
    const std::string id_context = Sha256(
        absl::StrCat(static_cast<const TlsContext*>(context)->session_scope_,
                     absl::AsciiStrToLower(ServerNameExtension(tls))));
    SSL_set_session_id_context(tls, Bytes(id_context),
                               static_cast<unsigned>(id_context.size()));
    return SSL_CLIENT_HELLO_SUCCESS;
  }

  // RFC 7301 section 3.2.
  static int ChooseProtocol(SSL*, const unsigned char** chosen,
                            unsigned char* chosen_size,
                            const unsigned char* offered, unsigned offered_size,
                            void* context) {
    for (const std::string& own :
         static_cast<const TlsContext*>(context)->protocols_) {
      const unsigned char* next = offered;
      unsigned left = offered_size;
      while (left > 0 && next[0] + 1u <= left) {
        const unsigned size = next[0];
        if (absl::string_view(reinterpret_cast<const char*>(next) + 1, size) ==
            own) {
          *chosen = next + 1;
          *chosen_size = static_cast<unsigned char>(size);
          return SSL_TLSEXT_ERR_OK;
        }
        next += size + 1;
        left -= size + 1;
      }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }

  // See SSL_CTX_set_cert_cb(3): 1 for success. Not for a resumed session.
  static int ChooseCertificate(SSL* tls, void* context) {
    const TlsIdentities& identities =
        *static_cast<const TlsContext*>(context)->identities_;
    const char* const name = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);
    SSL_certs_clear(tls);
    bool is_set = false;
    for (const TlsIdentity* identity :
         identities.For(name == nullptr ? "" : name)) {
      STACK_OF(X509)* const chain = sk_X509_new_null();
      for (std::size_t i = 1; i < identity->chain.size(); ++i) {
        sk_X509_push(chain, identity->chain[i].get());
      }
      is_set |= SSL_use_cert_and_key(tls, identity->chain[0].get(),
                                     identity->key.get(), chain,
                                     /*override=*/0) == 1;
      sk_X509_free(chain);
    }
    ERR_clear_error();  // Of a second one of the same kind, which is left out.
    return is_set ? 1 : 0;
  }

  // See SSL_CTX_set_tlsext_status_cb(3).
  static int Staple(SSL* tls, void* context) {
    const TlsIdentity* const identity =
        static_cast<const TlsContext*>(context)->identities_->Of(
            SSL_get_certificate(tls));
    if (identity == nullptr || identity->ocsp.bytes.empty()) {
      return SSL_TLSEXT_ERR_NOACK;
    }
    const OcspStaple& ocsp = identity->ocsp;
    if (ocsp.end != 0 && ocsp.end <= std::time(nullptr)) {
      return SSL_TLSEXT_ERR_NOACK;
    }
    void* const copy = OPENSSL_memdup(ocsp.bytes.data(), ocsp.bytes.size());
    if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(tls, static_cast<unsigned char*>(copy),
                                    static_cast<long>(ocsp.bytes.size()));
    return SSL_TLSEXT_ERR_OK;
  }

  // Sets up the encryption of a ticket, or the decryption of one whose key
  // `name` tells. See SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 0 means that the
  // ticket is of no known key, 2 that a new one is due.
  static int UseTicketKey(SSL* tls, unsigned char* name, unsigned char* iv,
                          EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                          int encrypts) {
    const std::vector<std::string>& keys =
        static_cast<const TlsContext*>(
            SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls)))
            ->ticket_keys_;
    std::size_t index = 0;
    if (encrypts == 1) {
      if (RAND_bytes(iv, kTicketIvBytes) != 1) return -1;
      std::memcpy(name, keys[0].data(), kTicketNameBytes);
    } else {
      while (index < keys.size() &&
             std::memcmp(name, keys[index].data(), kTicketNameBytes) != 0) {
        ++index;
      }
      if (index == keys.size()) return 0;
    }
    unsigned char* const key =
        reinterpret_cast<unsigned char*>(const_cast<char*>(keys[index].data()));
    char digest[] = "sha256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
                                          key + kTicketNameBytes, 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    const unsigned char* const aes = key + kTicketNameBytes + 32;
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, aes, iv,
                          encrypts) != 1 ||
        EVP_MAC_CTX_set_params(mac, parameters) != 1) {
      return -1;
    }
    return encrypts == 1 || index == 0 ? 1 : 2;
  }
};

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::ForServer(
    const TlsServerOptions& options, const TlsMaterial& material) {
  SSL_CTX* const handle = SSL_CTX_new(TLS_server_method());
  const std::shared_ptr<TlsContext> context(new TlsContext(handle));
  context->protocols_ = options.protocols;
  SetCommonOptions(handle);
  if (options.min_version == TlsServerOptions::MinVersion::k13) {
    SSL_CTX_set_min_proto_version(handle, TLS1_3_VERSION);
  }
  SSL_CTX_set_options(
      handle, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // A connection at rest holds no record buffers. A client, which has few
  // connections, keeps them.
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(handle, Callbacks::ChooseProtocol, context.get());
  // Tickets alone resume sessions: a cache would take memory, and a lock.
  SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
  // A session that is resumed must have begun where clients were verified alike
  // (SSL_CTX_set_session_id_context(3)).
  context->session_scope_ = Sha256(absl::StrCat(
      "headgate", static_cast<int>(options.client_certificates), material.ca));
  SSL_CTX_set_client_hello_cb(handle, Callbacks::LimitResumption,
                              context.get());
  if (!material.ticket_keys.empty()) {
    context->ticket_keys_ = material.ticket_keys;
    SSL_CTX_set_app_data(handle, context.get());
    SSL_CTX_set_tlsext_ticket_key_evp_cb(handle, Callbacks::UseTicketKey);
  }
  if (absl::Status status = UseCertificate(material, handle); !status.ok()) {
    return status;
  }
  if (!material.more.empty() || !material.ocsp.empty()) {
    auto identities = IdentitiesOf(material);
    if (!identities.ok()) return identities.status();
    context->identities_ = *std::move(identities);
    SSL_CTX_set_cert_cb(handle, Callbacks::ChooseCertificate, context.get());
    SSL_CTX_set_tlsext_status_cb(handle, Callbacks::Staple);
    SSL_CTX_set_tlsext_status_arg(handle, context.get());
  }
  if (options.client_certificates !=
      TlsServerOptions::ClientCertificates::kNone) {
    absl::Status status = Trust(material.ca, "client_ca", handle);
    if (!status.ok()) return status;
    SSL_CTX_set_verify(handle, VerifyMode(options.client_certificates),
                       nullptr);
    context->verifies_peer_ = true;
  }
  return context;
}

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::ForClient(
    const TlsClientOptions& options, const TlsMaterial& material) {
  SSL_CTX* const handle = SSL_CTX_new(TLS_client_method());
  const std::shared_ptr<TlsContext> context(new TlsContext(handle));
  context->protocol_ = options.protocol;
  context->requires_protocol_ = options.requires_protocol;
  context->verifies_peer_ = options.verifies_server;
  SetCommonOptions(handle);
  if (!options.protocol.empty()) {
    const std::string protocols = ProtocolList(options.protocol);
    SSL_CTX_set_alpn_protos(handle, Bytes(protocols),
                            static_cast<unsigned>(protocols.size()));
  }
  if (options.verifies_server) {
    SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nullptr);
    absl::Status status = TrustRoots(options, material, handle);
    if (!status.ok()) return status;
  }
  if (material.certificate.empty()) return context;
  if (absl::Status status = UseCertificate(material, handle); !status.ok()) {
    return status;
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(handle_); }

std::int64_t TlsContext::certificate_expiry() const {
  std::int64_t first = EndOf(SSL_CTX_get0_certificate(handle_));
  if (identities_ == nullptr) return first;
  for (const TlsIdentity& identity : identities_->all()) {
    first = std::min(first, EndOf(identity.chain[0].get()));
  }
  return first;
}

}  // namespace headgate
