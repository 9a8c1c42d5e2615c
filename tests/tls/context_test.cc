#include "gateway/tls/context.h"

#include <string>

#include <gmock/gmock.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/testing/certificates.h"

namespace headgate {
namespace {

using ::testing::StartsWith;

class TlsContextTest : public ::testing::Test {
 protected:
  TlsMaterial Material() const {
    return {authority_.certificate(), own_.certificate, own_.key};
  }
  static std::string Fault(
      const absl::StatusOr<std::shared_ptr<const TlsContext>>& context) {
    EXPECT_EQ(context.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(context.status().message());
  }

  const Authority authority_{"test"};
  const Identity own_ = authority_.Issue("own");
};

TEST_F(TlsContextTest, PartsThatCannotBeUsedAreNamed) {
  const auto faults = [&](const TlsMaterial& material) {
    TlsServerOptions server;
    server.client_certificates =
        TlsServerOptions::ClientCertificates::kRequired;
    return std::pair(Fault(TlsContext::ForServer(server, material)),
                     Fault(TlsContext::ForClient({}, material)));
  };
  TlsMaterial material = Material();
  material.ca = "nothing";
  EXPECT_EQ(faults(material), std::pair(std::string("client_ca cannot be used"),
                                        std::string("ca cannot be used")));
  material = Material();
  material.certificate = "nothing";
  EXPECT_EQ(faults(material).first, "the certificate cannot be used");
  EXPECT_EQ(faults(material).second, "the certificate cannot be used");
  material = Material();
  material.key = "nothing";
  EXPECT_EQ(faults(material).first, "the key cannot be used");
  EXPECT_EQ(faults(material).second, "the key cannot be used");
  material.key = authority_.Issue("other").key;
  EXPECT_THAT(faults(material).first, StartsWith("the key cannot be used"));
  EXPECT_THAT(faults(material).second, StartsWith("the key cannot be used"));
}

TEST_F(TlsContextTest, ClientsAuthoritiesMatterWhereClientsAreVerified) {
  TlsMaterial material = Material();
  material.ca = "nothing";
  EXPECT_TRUE(TlsContext::ForServer({}, material).ok());
}

TEST_F(TlsContextTest, RootsFileThatCannotBeReadIsNamed) {
  TlsClientOptions options;
  options.roots_file = "/nowhere.crt";
  EXPECT_THAT(Fault(TlsContext::ForClient(options, {})),
              StartsWith("/nowhere.crt cannot be used"));
  options.verifies_server = false;
  EXPECT_TRUE(TlsContext::ForClient(options, {}).ok());
}

TEST_F(TlsContextTest, ExpiryIsTheCertificates) {
  const auto context = TlsContext::ForServer({}, Material());
  ASSERT_TRUE(context.ok());
  const absl::Time end =
      absl::FromUnixSeconds((*context)->certificate_expiry());
  EXPECT_GT(end, absl::Now());
  EXPECT_LT(end, absl::Now() + absl::Hours(24 * 4000));
  const auto without =
      TlsContext::ForClient({}, {authority_.certificate(), "", ""});
  ASSERT_TRUE(without.ok());
  EXPECT_EQ((*without)->certificate_expiry(), 0);
}

}  // namespace
}  // namespace headgate
