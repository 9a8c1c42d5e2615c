#include <cstdlib>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(AdminTest, OneListenerServesAllByDefault) {
  const auto settings = Parse("threads: 1");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_THAT(settings->admin, SizeIs(1));
  EXPECT_TRUE(settings->admin[0].enabled);
  EXPECT_EQ(settings->admin[0].address, "127.0.0.1:9901");
  EXPECT_THAT(settings->admin[0].serve, SizeIs(5));
  EXPECT_EQ(settings->admin[0].token_file, "");
}

TEST(AdminTest, OneMayBeWrittenAsAMapping) {
  const auto settings = Parse("admin: {address: \"0.0.0.0:1\"}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_THAT(settings->admin, SizeIs(1));
  EXPECT_EQ(settings->admin[0].address, "0.0.0.0:1");
  EXPECT_FALSE(Parse("admin: {enabled: false}")->admin[0].enabled);
}

TEST(AdminTest, SeveralServeDifferentParts) {
  const auto settings = Parse(
      "admin:\n"
      "  - {address: \"0.0.0.0:1\", serve: [metrics, health]}\n"
      "  - {address: \"127.0.0.1:2\", serve: [log-level]}\n"
      "  - {address: unix:/run/admin.sock}\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_THAT(settings->admin, SizeIs(3));
  EXPECT_THAT(settings->admin[0].serve,
              ElementsAre(AdminPart::kHealth, AdminPart::kMetrics));
  EXPECT_THAT(settings->admin[1].serve, ElementsAre(AdminPart::kLogLevel));
  EXPECT_THAT(settings->admin[2].serve, SizeIs(5));
}

TEST(AdminTest, ATapIsServedToThisMachineOrForAToken) {
  EXPECT_TRUE(Parse("admin: {serve: [tap, tap-payloads]}").ok());
  EXPECT_THAT(FaultsOf("admin: {address: \"0.0.0.0:1\", serve: [tap]}"),
              HasSubstr("tap needs token_file, or a loopback address"));
  EXPECT_THAT(FaultsOf("admin: {serve: [tap-payloads]}"),
              HasSubstr("tap-payloads needs tap"));
}

TEST(AdminTest, FaultsHaveTheirPlaceInEitherForm) {
  EXPECT_EQ(FaultsOf("admin: {address: nowhere}"),
            "f:1:18: admin.address: must be HOST:PORT, such as "
            "127.0.0.1:8080 or [::1]:8080, is \"nowhere\"");
  EXPECT_EQ(FaultsOf("admin: [{address: \"systemd:x\"}]"),
            "f:1:19: admin.address: must be HOST:PORT or unix:/path");
  EXPECT_EQ(FaultsOf("admin:\n"
                     "  - {address: \"127.0.0.1:1\"}\n"
                     "  - {address: \"127.0.0.1:1\"}\n"),
            "f:3:15: admin[1].address: is that of admin[0] too");
  EXPECT_EQ(FaultsOf("listeners: [{address: \"127.0.0.1:1\"}]\n"
                     "admin: {address: \"127.0.0.1:1\"}\n"),
            "f:2:18: admin.address: is that of listeners[0] too");
  EXPECT_THAT(FaultsOf("admin: {serve: [sesions]}"),
              HasSubstr("admin.serve[0]: must be "
                        "health|metrics|routes|sessions|log-level"));
  EXPECT_THAT(FaultsOf("admin: 9901"), HasSubstr("admin: must be a list"));
}

// Ports 0 are different ports, and what is off listens nowhere.
TEST(AdminTest, AddressesThatAreNotTakenDoNotCollide) {
  EXPECT_EQ(FaultsOf("listeners: [{address: \"127.0.0.1:0\"}]\n"
                     "admin: [{address: \"127.0.0.1:0\"}, {address: "
                     "\"127.0.0.1:0\"}, {address: x, enabled: false}]\n"),
            "");
}

class AdminTokenFileTest : public ::testing::Test {
 protected:
  std::string FaultsWith(const std::string& token) {
    const std::string path = absl::StrCat(::testing::TempDir(), "/admin_token");
    std::ofstream(path, std::ios::binary) << token;
    return FaultsOf(absl::StrCat("admin: {token_file: ", path, "}"));
  }
};

TEST_F(AdminTokenFileTest, ATokenIsOneWord) {
  EXPECT_EQ(FaultsWith(" a.Token~1= \n"), "");
  EXPECT_THAT(FaultsWith("\n"), HasSubstr("has no token in it"));
  EXPECT_THAT(FaultsWith("two words"),
              HasSubstr("has more in it than a token"));
  EXPECT_THAT(FaultsWith("a\nb"), HasSubstr("has more in it than a token"));
  EXPECT_THAT(FaultsWith("\xC3\xA9"), HasSubstr("has more in it than a token"));
  EXPECT_THAT(FaultsWith(std::string(5000, 'x')), HasSubstr("is longer than"));
}

TEST_F(AdminTokenFileTest, AFileThatIsMissingIsAFault) {
  EXPECT_THAT(
      FaultsOf("admin: {token_file: /none/token}"),
      HasSubstr("f:1:21: admin.token_file: /none/token cannot be read"));
}

}  // namespace
}  // namespace headgate
