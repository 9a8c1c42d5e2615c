#ifndef GATEWAY_TLS_PEM_H_
#define GATEWAY_TLS_PEM_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

namespace headgate {

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using X509Ptr = std::unique_ptr<X509, FreeX509>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;

// All certificates in `pem`, in their order; none when one of them is broken.
std::vector<X509Ptr> ParseCertificates(const std::string& pem);

// The private key in `pem`; null when there is none, or it has a pass phrase.
KeyPtr ParseKey(const std::string& pem);

}  // namespace headgate

#endif  // GATEWAY_TLS_PEM_H_
