#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <string>

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

std::string WithGroups(const std::string& nats, const std::string& groups) {
  return absl::StrCat("{engine: nats, nats: {servers: [\"nats://a:1\"]", nats,
                      "}, groups: [", groups, "]}");
}

constexpr absl::string_view kStored = ", history: jetstream";

TEST(HubEngineTest, HistoriesAreRead) {
  const auto settings = Parse(absl::StrCat(
      "hub: ",
      WithGroups(", history: jetstream, storage: memory, replicas: 3, "
                 "max_bytes: 8MiB, duplicate_window: 30s, manage_stream: false",
                 "{pattern: \"live:*\"}, "
                 "{pattern: \"*\", history: 100, history_age: 5m}")));
  ASSERT_TRUE(settings.ok()) << settings.status();
  const NatsSettings& nats = *settings->hub.nats;
  EXPECT_EQ(nats.history, NatsSettings::History::kJetStream);
  EXPECT_EQ(nats.storage, NatsSettings::Storage::kMemory);
  EXPECT_EQ(nats.replicas, 3);
  EXPECT_EQ(nats.max_bytes, 8u << 20);
  EXPECT_EQ(nats.duplicate_window, absl::Seconds(30));
  EXPECT_FALSE(nats.manage_stream);
  ASSERT_EQ(settings->hub.groups.size(), 2u);
  EXPECT_EQ(settings->hub.groups[0].pattern, "live:*");
  EXPECT_EQ(settings->hub.groups[0].history, 0);
  EXPECT_EQ(settings->hub.groups[1].history, 100);
  EXPECT_EQ(settings->hub.groups[1].history_age, absl::Minutes(5));
}

TEST(HubEngineTest, AHistoryNeedsAnAgeAndAStream) {
  EXPECT_THAT(
      FaultOfHub(WithGroups(std::string(kStored), "{pattern: a, history: 1}")),
      HasSubstr("hub.groups[0].history_age"));
  EXPECT_THAT(
      FaultOfHub(WithGroups("", "{pattern: a, history: 1, history_age: 5m}")),
      HasSubstr("needs hub.nats.history: jetstream"));
  EXPECT_THAT(
      FaultOfHub("{groups: [{pattern: a, history: 1, history_age: 5m}]}"),
      HasSubstr("needs hub.nats.history: jetstream"));
  EXPECT_THAT(FaultOfHub(WithGroups(std::string(kStored),
                                    "{pattern: a, history_age: 5m}")),
              HasSubstr("has no effect without history"));
  EXPECT_THAT(FaultOfHub(WithGroups(std::string(kStored), "")),
              HasSubstr("hub.nats.history: has no effect"));
  EXPECT_THAT(
      FaultOfHub(WithGroups(std::string(kStored),
                            "{pattern: a, history: 1, history_age: 1m}")),
      HasSubstr("hub.nats.duplicate_window: must not be longer"));
}

TEST(HubEngineTest, APatternThatNoNameReachesIsAFault) {
  const auto fault_of = [](const std::string& first,
                           const std::string& second) {
    return FaultOfHub(absl::StrCat("{groups: [{pattern: \"", first,
                                   "\"}, {pattern: \"", second, "\"}]}"));
  };
  for (const auto& [first, second] :
       {std::pair("*", "a"), std::pair("room:*", "room:5"),
        std::pair("room:*", "room:x*"), std::pair("a", "a")}) {
    EXPECT_THAT(fault_of(first, second),
                HasSubstr("hub.groups[1].pattern: no name reaches it"))
        << first << " " << second;
  }
  EXPECT_EQ(fault_of("room:5", "room:*"), "");
  EXPECT_EQ(fault_of("a", "a*"), "");
  EXPECT_EQ(fault_of("room:*", "roo*"), "");
  EXPECT_THAT(fault_of("a*b", "c"), HasSubstr("hub.groups[0].pattern"));
}

TEST(HubEngineTest, GroupsHaveAPolicyOfTheirOwn) {
  using Policy = SlowClientSettings::Policy;
  const auto settings = Parse(
      "hub: {groups: [{pattern: a}, {pattern: b, slow: disconnect}, "
      "{pattern: c, slow: drop-oldest}, {pattern: d, slow: keep-latest}]}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const std::vector<HubGroupSettings>& groups = settings->hub.groups;
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].slow, std::nullopt);
  EXPECT_EQ(groups[1].slow, Policy::kDisconnect);
  EXPECT_EQ(groups[2].slow, Policy::kDropOldest);
  EXPECT_EQ(groups[3].slow, Policy::kKeepLatest);
}

TEST(HubEngineTest, KeepLatestGoesWithAHistoryOfOne) {
  const auto fault_of = [](int history) {
    return FaultOfHub(WithGroups(std::string(kStored),
                                 absl::StrCat("{pattern: a, history_age: 5m, "
                                              "slow: keep-latest, history: ",
                                              history, "}")));
  };
  EXPECT_EQ(fault_of(1), "");
  EXPECT_THAT(fault_of(2), HasSubstr("hub.groups[0].slow: keep-latest drops "
                                     "what history keeps: history must be at "
                                     "most 1, is 2"));
}

TEST(HubEngineTest, BlockIsNotForGroups) {
  EXPECT_THAT(FaultOfHub("{groups: [{pattern: a, slow: block}]}"),
              HasSubstr("hub.groups[0].slow: block is not for groups"));
  const auto fault_of = [](const std::string& route,
                           const std::string& groups) {
    const auto settings =
        Parse(absl::StrCat("hub: {groups: [", groups,
                           "]}\nroutes:\n  - template: /{room}\n    hub: {",
                           route, ", slow: {policy: block}}"));
    return std::string(settings.status().message());
  };
  constexpr absl::string_view kAny = "{pattern: \"*\", slow: drop-oldest}";
  for (const absl::string_view route :
       {"groups: [\"room:{room}\"]", "client_join: [\"room:*\"]",
        "client_join_ask: [\"room:*\"]", "client_publish: [\"room:*\"]"}) {
    const std::string text(route);
    for (const absl::string_view groups :
         {"", "{pattern: \"room:*\"}",
          "{pattern: \"room:5\", slow: disconnect}"}) {
      EXPECT_THAT(fault_of(text, std::string(groups)),
                  HasSubstr("routes[0].hub.slow.policy: block is not for "
                            "groups: hub.groups needs a pattern with slow for "
                            "\"room:*\""))
          << route << " " << groups;
    }
    EXPECT_EQ(fault_of(text, "{pattern: \"room:*\", slow: disconnect}"), "");
    EXPECT_EQ(fault_of(text, std::string(kAny)), "");
  }
  EXPECT_EQ(fault_of("admission: open", ""), "");
}

TEST(HubEngineTest, LimitsAreReadAndWithinReason) {
  const auto settings = Parse("hub: {limits: {max_pinned_bytes: 8MiB}}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->hub.limits.max_pinned_bytes, 8u << 20);
  EXPECT_EQ(Parse("threads: 1")->hub.limits.max_pinned_bytes, 64u << 20);
  EXPECT_EQ(Parse("hub: {limits: {max_history_bytes: 0}}")
                ->hub.limits.max_history_bytes,
            0u);
  EXPECT_THAT(FaultOfHub("{limits: {max_history_bytes: 1025GiB}}"),
              HasSubstr("hub.limits.max_history_bytes: must be at most"));
  EXPECT_THAT(FaultOfHub("{limits: {max_pinned_bytes: 1023KiB}}"),
              HasSubstr("hub.limits.max_pinned_bytes: must be at least"));
  EXPECT_THAT(FaultOfHub("{limits: {max_pinned_bytes: 1025GiB}}"),
              HasSubstr("hub.limits.max_pinned_bytes: must be at most"));
}

TEST(HubEngineTest, ResumeTakesFilesWithKeys) {
  const std::string key = ::testing::TempDir() + "resume_test.key";
  std::ofstream(key) << std::string(32, 'k');
  const auto settings =
      Parse(absl::StrCat("hub: {resume: {key_files: [\"", key, "\"]}}"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->hub.resume->key_files, ElementsAre(key));
  EXPECT_EQ(settings->hub.resume->ttl, absl::Minutes(2));

  EXPECT_THAT(FaultOfHub("{resume: {}}"),
              HasSubstr("hub.resume.key_files: needs one"));
  EXPECT_THAT(FaultOfHub("{resume: {key_files: [/nowhere]}}"),
              HasSubstr("hub.resume.key_files[0]: /nowhere cannot be read"));
  for (const std::size_t size : {0u, 31u, 33u, 100u}) {
    std::ofstream(key) << std::string(size, 'k');
    EXPECT_THAT(
        FaultOfHub(absl::StrCat("{resume: {key_files: [\"", key, "\"]}}")),
        HasSubstr("must have 32 bytes"));
  }
  EXPECT_THAT(FaultOfHub("{resume: {key_files: [x], ttl: 1s}}"),
              HasSubstr("hub.resume.ttl: must be at least 2s"));
  EXPECT_THAT(FaultOfHub("{resume: {key_files: [x], ttl: 25h}}"),
              HasSubstr("hub.resume.ttl: must be at most 24h"));
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
