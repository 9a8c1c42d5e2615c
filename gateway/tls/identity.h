#ifndef GATEWAY_TLS_IDENTITY_H_
#define GATEWAY_TLS_IDENTITY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/tls/pem.h"

namespace headgate {

// An OCSP response (RFC 6960) that a server sends with its certificate (RFC
// 6066 section 8).
struct OcspStaple {
  std::string bytes;     // DER; empty: there is none.
  std::int64_t end = 0;  // Its nextUpdate, Unix seconds; 0: none.
};

// `bytes` for that certificate. INVALID_ARGUMENT for what is no successful
// response, is for other certificates only, or is too old at `now`, Unix
// seconds. Its signature is for the client to verify.
absl::StatusOr<OcspStaple> ParseOcsp(const std::string& bytes,
                                     X509* certificate, std::int64_t now);

// What a server may show that it is.
struct TlsIdentity {
  std::vector<X509Ptr> chain;  // Its certificate first.
  KeyPtr key;
  OcspStaple ocsp;
};

// The DNS names that the certificate is for, in lower case: those of its
// subjectAltName, "*.example.com" among them; without any, its common name.
std::vector<std::string> NamesOfCertificate(X509* certificate);

// The identities of a server, chosen by the name that the client wants to speak
// to (SNI, RFC 6066 section 3). Several may be for one name, with keys of
// different kinds.
//
// Immutable, and safe for several threads.
class TlsIdentities {
 public:
  // Requires: there is at least one, each with a certificate and its key.
  explicit TlsIdentities(std::vector<TlsIdentity> identities);

  using Group = std::vector<const TlsIdentity*>;
  // Those for exactly that name; else those whose wildcard stands for its first
  // label (RFC 6125 section 6.4.3); else, and for "", the first one and those
  // for the first of its names.
  const Group& For(absl::string_view name) const;
  // The one that has this certificate; null if there is none.
  const TlsIdentity* Of(const X509* certificate) const;

  const std::vector<TlsIdentity>& all() const { return identities_; }

 private:
  const std::vector<TlsIdentity> identities_;
  absl::flat_hash_map<std::string, Group> by_name_;
  Group otherwise_;
};

}  // namespace headgate

#endif  // GATEWAY_TLS_IDENTITY_H_
