#ifndef TESTS_TESTING_CERTIFICATES_H_
#define TESTS_TESTING_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>

namespace headgate {

// A certificate and its key, as PEM, made when a test runs.
struct Identity {
  std::string certificate;
  std::string key;
};

// A certificate authority for a test.
class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();

  // Its own certificate, as PEM.
  const std::string& certificate() const { return certificate_pem_; }

  // A certificate for `common_name`; `alternatives` as in openssl's
  // configuration: "DNS:chat.internal,IP:127.0.0.1".
  Identity Issue(const std::string& common_name,
                 const std::string& alternatives = "IP:127.0.0.1") const;

 private:
  EVP_PKEY* key_;
  X509* certificate_;
  std::string certificate_pem_;
};

}  // namespace headgate

#endif  // TESTS_TESTING_CERTIFICATES_H_
