#include "gateway/server/configuration.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

absl::Duration RestWith(const Settings& settings) {
  return Configuration(settings, Configuration::Tls(settings.listeners.size()),
                       {SocketReach::kNetwork})
      .rest;
}

TEST(ConfigurationTest, ThoseAtRestAreLookedAtSixteenTimesInTheShortestTime) {
  Settings settings;
  settings.keepalive.interval = absl::Seconds(24);
  EXPECT_EQ(RestWith(settings), absl::Milliseconds(1500));
  settings.routes.resize(2);
  settings.routes[0].path = "/a";
  settings.routes[1].path = "/b";
  settings.routes[1].idle_timeout = absl::Seconds(16);
  EXPECT_EQ(RestWith(settings), absl::Seconds(1));
  settings.routes[0].max_age = absl::Seconds(8);
  EXPECT_EQ(RestWith(settings), absl::Milliseconds(500));
}

TEST(ConfigurationTest, ThoseAtRestAreLookedAtEveryTwoSecondsAtLeast) {
  Settings settings;
  settings.keepalive.interval = absl::InfiniteDuration();
  EXPECT_EQ(RestWith(settings), absl::Seconds(2));
}

TEST(ConfigurationTest, ThoseAtRestAreLookedAtNoMoreOftenThanTheOthers) {
  Settings settings;
  settings.keepalive.interval = absl::Seconds(1);
  const Configuration configuration(
      settings, Configuration::Tls(settings.listeners.size()),
      {SocketReach::kNetwork});
  EXPECT_EQ(configuration.tick, absl::Milliseconds(250));
  EXPECT_EQ(configuration.rest, configuration.tick);
}

// What the gateway adds to a call's headers depends on the upstream.
TEST(ConfigurationTest, RoutesKnowWhatTheirUpstreamAddsToHeaders) {
  Settings settings;
  settings.limits.max_metadata_bytes = 10'000;
  settings.upstreams.resize(2);
  settings.upstreams[1].name = "long";
  settings.upstreams[1].authority = std::string(200, 'a');
  settings.routes.resize(2);
  settings.routes[1].path = "/long";
  settings.routes[1].target = FixedMethod{"/p.S/M"};
  settings.routes[1].upstream = "long";
  const Configuration configuration(
      settings, Configuration::Tls(settings.listeners.size()),
      {SocketReach::kNetwork});
  const Router& router = *configuration.listeners[0]->policy.router;
  const auto route = [&](const char* path) {
    return router.Find("", path)->route;
  };
  EXPECT_EQ(route("/long")->max_metadata_bytes, 10'000u);
  EXPECT_EQ(route("/long")->own_metadata_bytes,
            route("/p.S/M")->own_metadata_bytes + 200 -
                settings.upstreams[0].target.size());
}

}  // namespace
}  // namespace headgate
