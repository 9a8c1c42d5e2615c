#include "gateway/tls/identity.h"

#include <openssl/ocsp.h>

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/testing/certificates.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Authority& Issuer() {
  static const Authority authority("test");
  return authority;
}

TlsIdentity Make(const std::string& common_name,
                 const std::string& alternatives) {
  const Identity made = Issuer().Issue(common_name, alternatives);
  return {ParseCertificates(made.certificate), ParseKey(made.key), {}};
}

// A response, signed by nobody who matters, that the certificate is good for so
// many seconds.
std::string Respond(X509* certificate, long seconds) {
  const TlsIdentity signer = Make("responder", "DNS:ocsp.example");
  OCSP_BASICRESP* const basic = OCSP_BASICRESP_new();
  // Any key will do for the issuer's.
  OCSP_CERTID* const id =
      OCSP_cert_id_new(EVP_sha1(), X509_get_issuer_name(certificate),
                       X509_get0_pubkey_bitstr(certificate),
                       X509_get0_serialNumber(certificate));
  ASN1_TIME* const from = X509_gmtime_adj(nullptr, -100);
  ASN1_TIME* const to = X509_gmtime_adj(nullptr, seconds);
  OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, nullptr, from,
                         to);
  EXPECT_EQ(OCSP_basic_sign(basic, signer.chain[0].get(), signer.key.get(),
                            EVP_sha256(), nullptr, OCSP_NOCERTS),
            1);
  OCSP_RESPONSE* const response =
      OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
  unsigned char* bytes = nullptr;
  const int size = i2d_OCSP_RESPONSE(response, &bytes);
  std::string der(reinterpret_cast<char*>(bytes),
                  static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  OCSP_RESPONSE_free(response);
  OCSP_BASICRESP_free(basic);
  OCSP_CERTID_free(id);
  ASN1_TIME_free(from);
  ASN1_TIME_free(to);
  return der;
}

TEST(NamesOfCertificateTest, AreDnsNamesInLowerCase) {
  EXPECT_THAT(NamesOfCertificate(
                  Make("cn", "DNS:A.example,DNS:*.b.example,IP:127.0.0.1")
                      .chain[0]
                      .get()),
              ElementsAre("a.example", "*.b.example"));
  EXPECT_THAT(NamesOfCertificate(Make("cn", "IP:127.0.0.1").chain[0].get()),
              IsEmpty());
}

// RFC 6066 section 3, RFC 6125 section 6.4.3.
TEST(TlsIdentitiesTest, AreChosenByTheName) {
  std::vector<TlsIdentity> made;
  made.push_back(Make("first", "DNS:first.example,DNS:both.example"));
  made.push_back(Make("second", "DNS:second.example,DNS:first.example"));
  made.push_back(Make("wild", "DNS:*.example"));
  const TlsIdentities identities(std::move(made));
  const TlsIdentity* const first = &identities.all()[0];
  const TlsIdentity* const second = &identities.all()[1];
  const TlsIdentity* const wild = &identities.all()[2];
  EXPECT_THAT(identities.For("second.example"), ElementsAre(second));
  EXPECT_THAT(identities.For("SECOND.example"), ElementsAre(second));
  EXPECT_THAT(identities.For("first.example"), ElementsAre(first, second));
  EXPECT_THAT(identities.For("other.example"), ElementsAre(wild));
  EXPECT_THAT(identities.For("a.other.example"), ElementsAre(first, second))
      << "a wildcard stands for one label";
  EXPECT_THAT(identities.For("example"), ElementsAre(first, second));
  EXPECT_THAT(identities.For(""), ElementsAre(first, second));
  EXPECT_EQ(identities.Of(second->chain[0].get()), second);
  EXPECT_EQ(identities.Of(nullptr), nullptr);
}

TEST(OcspTest, ResponseIsForItsCertificateAndItsTime) {
  const TlsIdentity own = Make("own", "DNS:own.example");
  const TlsIdentity other = Make("other", "DNS:other.example");
  const std::int64_t now = std::time(nullptr);
  const std::string response = Respond(own.chain[0].get(), 1000);
  const auto staple = ParseOcsp(response, own.chain[0].get(), now);
  ASSERT_TRUE(staple.ok()) << staple.status();
  EXPECT_EQ(staple->bytes, response);
  EXPECT_NEAR(static_cast<double>(staple->end), static_cast<double>(now + 1000),
              100);
  EXPECT_EQ(ParseOcsp(response, other.chain[0].get(), now).status().message(),
            "is for another certificate");
  EXPECT_EQ(
      ParseOcsp(response, own.chain[0].get(), now + 2000).status().message(),
      "is too old, its nextUpdate has passed");
}

TEST(OcspTest, WhatIsNoSuccessfulResponseIsRefused) {
  const TlsIdentity own = Make("own", "DNS:own.example");
  OCSP_RESPONSE* const later =
      OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, nullptr);
  unsigned char* bytes = nullptr;
  const int size = i2d_OCSP_RESPONSE(later, &bytes);
  const std::string try_later(reinterpret_cast<char*>(bytes),
                              static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  OCSP_RESPONSE_free(later);
  std::string cut = Respond(own.chain[0].get(), 1000);
  cut.pop_back();
  for (const std::string& response :
       {std::string(), std::string("no DER"), try_later, cut}) {
    EXPECT_EQ(ParseOcsp(response, own.chain[0].get(), 0).status().message(),
              "is no successful OCSP response (DER)");
  }
}

}  // namespace
}  // namespace headgate
