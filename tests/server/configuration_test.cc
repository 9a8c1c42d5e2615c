#include "gateway/server/configuration.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

absl::Duration RestWith(const Settings& settings) {
  return Configuration(settings, Configuration::Tls(settings.listeners.size()))
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
      settings, Configuration::Tls(settings.listeners.size()));
  EXPECT_EQ(configuration.tick, absl::Milliseconds(250));
  EXPECT_EQ(configuration.rest, configuration.tick);
}

}  // namespace
}  // namespace headgate
