#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string FaultOfHub(const std::string& hub) {
  return std::string(Parse(absl::StrCat("hub: ", hub)).status().message());
}

std::string FaultOfNats(const std::string& nats) {
  return FaultOfHub(absl::StrCat("{engine: nats, nats: ", nats, "}"));
}

TEST(HubEngineTest, AGatewayIsAloneUnlessItIsToldOtherwise) {
  const auto settings = Parse("threads: 1");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->hub, HubSettings());
  EXPECT_EQ(FaultOfHub("{engine: memory, gateway: gw-1}"), "");
}

TEST(HubEngineTest, NatsIsRead) {
  const auto settings = Parse(
      "hub:\n"
      "  gateway: gw-1\n"
      "  engine: nats\n"
      "  nats:\n"
      "    servers: [\"nats://a:4222\", \"tls://[::1]:4222\"]\n"
      "    prefix: shop.hubs\n"
      "    user: gateway\n"
      "    password_file: /etc/hostname\n"
      "    tls: {}\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->hub.gateway, "gw-1");
  EXPECT_EQ(settings->hub.engine, HubSettings::Engine::kNats);
  const NatsSettings& nats = *settings->hub.nats;
  EXPECT_THAT(nats.servers, ElementsAre("nats://a:4222", "tls://[::1]:4222"));
  EXPECT_EQ(nats.prefix, "shop.hubs");
  EXPECT_EQ(nats.user, "gateway");
  EXPECT_EQ(nats.password_file, "/etc/hostname");
  EXPECT_EQ(nats.tls->ca, "");
  EXPECT_EQ(Parse("hub: {engine: nats, nats: {servers: [\"nats://a:1\"]}}")
                ->hub.nats->prefix,
            "headgate");
}

TEST(HubEngineTest, LimitsAreReadAndWithinReason) {
  const auto settings = Parse("hub: {limits: {max_pinned_bytes: 8MiB}}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->hub.limits.max_pinned_bytes, 8u << 20);
  EXPECT_EQ(Parse("threads: 1")->hub.limits.max_pinned_bytes, 64u << 20);
  EXPECT_THAT(FaultOfHub("{limits: {max_pinned_bytes: 1023KiB}}"),
              HasSubstr("hub.limits.max_pinned_bytes: must be at least"));
  EXPECT_THAT(FaultOfHub("{limits: {max_pinned_bytes: 1025GiB}}"),
              HasSubstr("hub.limits.max_pinned_bytes: must be at most"));
}

TEST(HubEngineTest, EngineAndSettingsGoTogether) {
  EXPECT_THAT(FaultOfHub("{engine: nats}"), HasSubstr("engine: nats needs it"));
  EXPECT_THAT(FaultOfHub("{nats: {servers: [\"nats://a:1\"]}}"),
              HasSubstr("has no effect without engine: nats"));
  EXPECT_THAT(FaultOfNats("{}"), HasSubstr("needs one"));
}

TEST(HubEngineTest, ServersAreUrlsWithoutCredentials) {
  for (const char* url :
       {"a:4222", "http://a:4222", "nats://", "nats://a", "nats://:1",
        "nats://a:0", "nats://a:65536", "nats://a:x", "nats://a b:1",
        "nats://[::1:1", "nats://[x]:1", "nats://u:secret@a:4222"}) {
    const std::string fault =
        FaultOfNats(absl::StrCat("{servers: [\"", url, "\"]}"));
    EXPECT_THAT(fault, HasSubstr("hub.nats.servers[0]")) << url;
    EXPECT_THAT(fault, Not(HasSubstr("secret")));
  }
}

TEST(HubEngineTest, NoPrefixIsAWildcard) {
  for (const char* prefix : {"*", ">", "a.>", "a..b", ".a", "a.", "a b", "$JS",
                             "a\\r\\nSUB x 1", "\xc3\xa9"}) {
    EXPECT_THAT(FaultOfNats(absl::StrCat(
                    "{servers: [\"nats://a:1\"], prefix: \"", prefix, "\"}")),
                HasSubstr("hub.nats.prefix"))
        << prefix;
  }
  EXPECT_THAT(FaultOfNats(absl::StrCat("{servers: [\"nats://a:1\"], prefix: ",
                                       std::string(65, 'a'), "}")),
              HasSubstr("at most 64 bytes"));
}

TEST(HubEngineTest, UserAndPasswordGoTogether) {
  EXPECT_THAT(FaultOfNats("{servers: [\"nats://a:1\"], user: u}"),
              HasSubstr("user and password_file go together"));
  EXPECT_THAT(
      FaultOfNats("{servers: [\"nats://a:1\"], password_file: /etc/hostname}"),
      HasSubstr("user and password_file go together"));
  EXPECT_THAT(FaultOfNats("{servers: [\"nats://a:1\"], user: u, "
                          "password_file: /no/such/file}"),
              HasSubstr("/no/such/file"));
}

TEST(HubEngineTest, ANameHasABound) {
  EXPECT_THAT(
      FaultOfHub(absl::StrCat("{gateway: ", std::string(129, 'a'), "}")),
      HasSubstr("must have at most 128 bytes, has 129"));
}

}  // namespace
}  // namespace headgate
