#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string FaultOf(const std::string& api) {
  return std::string(
      Parse(absl::StrCat("hub: {api: ", api, "}")).status().message());
}

TEST(HubApiTest, IsServedWhereItIsAskedFor) {
  EXPECT_FALSE(Parse("threads: 1")->hub_api);
  const auto settings = Parse("hub: {api: {}}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_TRUE(settings->hub_api);
  EXPECT_EQ(settings->hub_api->address, "127.0.0.1:9902");
  EXPECT_FALSE(settings->hub_api->tls);
  EXPECT_THAT(settings->hub_api->grants, SizeIs(0));
}

TEST(HubApiTest, GrantsAreRead) {
  const auto settings = Parse(
      "hub:\n"
      "  api:\n"
      "    address: unix:/run/hub.sock\n"
      "    grants:\n"
      "      - {token_file: /etc/hostname, methods: [Publish, Send],\n"
      "         groups: [\"room:*\", lobby]}\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->hub_api->address, "unix:/run/hub.sock");
  ASSERT_THAT(settings->hub_api->grants, SizeIs(1));
  const HubGrantSettings& grant = settings->hub_api->grants[0];
  EXPECT_EQ(grant.token_file, "/etc/hostname");
  EXPECT_THAT(grant.methods, ElementsAre("Publish", "Send"));
  EXPECT_THAT(grant.groups, ElementsAre("room:*", "lobby"));
}

TEST(HubApiTest, AnAddressThatOthersReachNeedsGrants) {
  for (const char* address : {"0.0.0.0:1", ":1", "192.0.2.1:1", "[::]:1"}) {
    EXPECT_THAT(FaultOf(absl::StrCat("{address: \"", address, "\"}")),
                HasSubstr("is not a loopback address"))
        << address;
  }
  for (const char* address :
       {"127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1", "unix:/s"}) {
    EXPECT_EQ(FaultOf(absl::StrCat("{address: \"", address, "\"}")), "")
        << address;
  }
  EXPECT_EQ(FaultOf("{address: \"0.0.0.0:1\", grants: [{token_file: "
                    "/etc/hostname}]}"),
            "");
  EXPECT_THAT(FaultOf("{address: \"systemd:hub\"}"),
              HasSubstr("must be HOST:PORT or unix:/path"));
}

TEST(HubApiTest, FaultsNameTheGrant) {
  EXPECT_THAT(FaultOf("{grants: [{}]}"),
              HasSubstr("hub.api.grants[0]: needs either subject or "
                        "token_file"));
  EXPECT_THAT(FaultOf("{grants: [{subject: CN=a, token_file: /etc/hostname}]}"),
              HasSubstr("needs either subject or token_file"));
  EXPECT_THAT(FaultOf("{grants: [{subject: CN=a}]}"),
              HasSubstr("hub.api.grants[0].subject: needs "
                        "hub.api.tls.client_ca"));
  EXPECT_THAT(FaultOf("{grants: [{token_file: /nowhere}]}"),
              HasSubstr("hub.api.grants[0].token_file: /nowhere "));
  EXPECT_THAT(
      FaultOf("{grants: [{token_file: /etc/hostname, methods: "
              "[Publish, publish]}]}"),
      HasSubstr("hub.api.grants[0].methods[1]: must be one of Publish"));
  for (const char* pattern : {"\"*room\"", "\"a*b*\"", "\"\""}) {
    EXPECT_THAT(FaultOf(absl::StrCat("{grants: [{token_file: /etc/hostname, "
                                     "groups: [",
                                     pattern, "]}]}")),
                HasSubstr("hub.api.grants[0].groups[0]: must be a name, or"))
        << pattern;
  }
}

TEST(HubApiTest, TlsNeedsACertificate) {
  EXPECT_THAT(FaultOf("{tls: {}}"),
              HasSubstr("hub.api.tls: needs certificate and key"));
  EXPECT_THAT(FaultOf("{tls: {certificate: /nowhere, key: /nowhere}}"),
              HasSubstr("hub.api.tls.certificate: /nowhere"));
}

}  // namespace
}  // namespace headgate
