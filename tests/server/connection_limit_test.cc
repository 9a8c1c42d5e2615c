#include "gateway/server/connection_limit.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

constexpr DescriptorUse kPlenty = {1 << 20, 30};

TEST(ConnectionLimitTest, WithEnoughDescriptorsItIsWhatIsConfigured) {
  Settings settings;
  settings.limits.max_connections = 5000;
  const ConnectionLimit limit = ConnectionLimitFor(settings, kPlenty, 2);
  EXPECT_EQ(limit.most, 5000);
  EXPECT_FALSE(limit.by_descriptors);
  EXPECT_EQ(limit.overflow, 32);
}

TEST(ConnectionLimitTest, ByDefaultItIsTwiceTheSessions) {
  Settings settings;
  settings.limits.max_sessions = 300;
  EXPECT_EQ(ConnectionLimitFor(settings, kPlenty, 2).most, 600);
}

// 64 for the admin listener, 32 for files, 32 for those to be refused, 2 for
// each worker's connections to the upstream.
TEST(ConnectionLimitTest, DescriptorsAreKeptForAllElse) {
  Settings settings;
  settings.upstreams[0].max_streams_per_channel = 1 << 20;
  const ConnectionLimit limit = ConnectionLimitFor(settings, {1024, 24}, 4);
  EXPECT_TRUE(limit.by_descriptors);
  constexpr int kLeft = 1000 - 64 - 32 - 32 - 8;
  EXPECT_EQ(limit.most, kLeft / 4 * 3);
  EXPECT_EQ(limit.upstream_connections, 1u + kLeft / 4 / 4);
}

// A server may allow fewer calls on a connection than the settings.
TEST(ConnectionLimitTest, UpstreamsShareAQuarterOfWhatIsLeft) {
  Settings settings;
  settings.upstreams.resize(3);
  const ConnectionLimit limit = ConnectionLimitFor(settings, kPlenty, 2);
  EXPECT_NEAR(limit.upstream_connections, (1 << 20) / 4 / 6, 100);
}

// Its event loops, signals and files; then for each listener, admin listener,
// worker, and upstream of a worker.
TEST(LeastDescriptorsTest, GrowWithWhatIsServed) {
  Settings settings;
  EXPECT_EQ(LeastDescriptorsFor(settings, 2), 11u + 1 + 3 + 2 * 3 + 2);
  settings.admin[0].enabled = false;
  settings.listeners.resize(3);
  settings.upstreams.resize(2);
  EXPECT_EQ(LeastDescriptorsFor(settings, 4), 11u + 3 + 4 * 3 + 4 * 2);
}

TEST(AdminConnectionsTest, AreSharedByTheAdminListeners) {
  EXPECT_EQ(AdminConnectionsFor(1 << 20, 1), 64u);
  EXPECT_EQ(AdminConnectionsFor(1 << 20, 4), 16u);
  EXPECT_EQ(AdminConnectionsFor(1 << 20, 0), 64u);
}

// What is kept for them is half of the descriptors at most.
TEST(AdminConnectionsTest, AreFewerWhereDescriptorsAreFew) {
  EXPECT_EQ(AdminConnectionsFor(128, 1), 16u);
  EXPECT_EQ(AdminConnectionsFor(128, 4), 4u);
  EXPECT_EQ(AdminConnectionsFor(16, 4), 2u);
}

TEST(ConnectionLimitTest, EachSessionMayNeedItsShareOfAnUpstreamConnection) {
  Settings settings;
  settings.upstreams[0].max_streams_per_channel = 1;
  EXPECT_EQ(ConnectionLimitFor(settings, {1024, 24}, 4).most,
            (1000 - 64 - 32 - 32 - 8) / 2);
}

TEST(ConnectionLimitTest, OfFewDescriptorsHalfAreKept) {
  Settings settings;
  settings.upstreams[0].max_streams_per_channel = 1 << 20;
  const ConnectionLimit limit = ConnectionLimitFor(settings, {64, 24}, 2);
  EXPECT_EQ(limit.most, 15);
  EXPECT_EQ(limit.overflow, 5);
}

TEST(ConnectionLimitTest, WithoutADescriptorLeftThereIsStillOneConnection) {
  const ConnectionLimit limit = ConnectionLimitFor(Settings(), {20, 24}, 2);
  EXPECT_EQ(limit.most, 1);
  EXPECT_EQ(limit.overflow, 1);
}

}  // namespace
}  // namespace headgate
