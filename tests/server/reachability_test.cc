#include "gateway/server/reachability.h"

#include <optional>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace headgate {
namespace {

using ConnectionState = Reachability::ConnectionState;
using ProbeResult = Reachability::ProbeResult;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'000'000);

TEST(Reachability, IsUnknownUntilItWasTried) {
  Reachability upstream;
  EXPECT_EQ(upstream.reachable(), std::nullopt);
  upstream.OnConnectionState(ConnectionState::kNone, kNow);
  EXPECT_EQ(upstream.reachable(), std::nullopt);
  EXPECT_FALSE(upstream.wants_probe());
}

TEST(Reachability, ConnectionDecides) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kFailing, kNow);
  EXPECT_EQ(upstream.reachable(), false);
  upstream.OnConnectionState(ConnectionState::kNone,
                             kNow);  // It is tried again.
  EXPECT_EQ(upstream.reachable(), false);
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  EXPECT_EQ(upstream.reachable(), true);
  upstream.OnConnectionState(ConnectionState::kNone, kNow);  // GOAWAY.
  EXPECT_EQ(upstream.reachable(), true);
  upstream.OnConnectionState(ConnectionState::kFailing, kNow);
  EXPECT_EQ(upstream.reachable(), false);
}

// Another worker has a connection, before the one that looks has.
TEST(Reachability, CallThatSucceedsIsEnough) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kFailing, kNow);
  upstream.OnServed(kNow);
  EXPECT_EQ(upstream.reachable(), true);
  upstream.OnConnectionState(ConnectionState::kFailing,
                             kNow + absl::Seconds(1));
  EXPECT_EQ(upstream.reachable(), true);
  // By now it should have its own.
  upstream.OnConnectionState(ConnectionState::kFailing,
                             kNow + absl::Seconds(2));
  EXPECT_EQ(upstream.reachable(), false);
}

// It has succeeded before the connection was lost.
TEST(Reachability, EarlierSuccessDoesNotHideALoss) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  upstream.OnServed(kNow);
  upstream.OnConnectionState(ConnectionState::kFailing, kNow);
  EXPECT_EQ(upstream.reachable(), false);
}

TEST(Reachability, UnavailableAsksForAProbe) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  EXPECT_FALSE(upstream.wants_probe());
  upstream.OnUnavailable();
  EXPECT_TRUE(upstream.wants_probe());
  EXPECT_EQ(upstream.reachable(), true);
  upstream.OnProbed(ProbeResult::kAnswered);
  EXPECT_FALSE(upstream.wants_probe());
  EXPECT_EQ(upstream.reachable(), true);
}

TEST(Reachability, ProbeThatIsUnavailableMakesItUnreachable) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  upstream.OnUnavailable();
  upstream.OnProbed(ProbeResult::kUnavailable);
  EXPECT_EQ(upstream.reachable(), false);
  EXPECT_TRUE(upstream.wants_probe());
  upstream.OnConnectionState(ConnectionState::kUp, kNow);  // To the proxy.
  EXPECT_EQ(upstream.reachable(), false);
  upstream.OnProbed(ProbeResult::kAnswered);
  EXPECT_EQ(upstream.reachable(), true);
}

TEST(Reachability, CallThatSucceedsEndsTheDoubt) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  upstream.OnUnavailable();
  upstream.OnProbed(ProbeResult::kUnavailable);
  upstream.OnServed(kNow);
  EXPECT_EQ(upstream.reachable(), true);
  // A probe that was under way has been overtaken.
  upstream.OnProbed(ProbeResult::kUnavailable);
  EXPECT_EQ(upstream.reachable(), true);
}

TEST(Reachability, SilenceProvesNothing) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  upstream.OnUnavailable();
  upstream.OnProbed(ProbeResult::kSilent);
  EXPECT_EQ(upstream.reachable(), true);
  EXPECT_TRUE(upstream.wants_probe());
  upstream.OnProbed(ProbeResult::kUnavailable);
  upstream.OnProbed(ProbeResult::kSilent);
  EXPECT_EQ(upstream.reachable(), false);
}

// The proxy goes away and comes back: that is another connection.
TEST(Reachability, NewConnectionEndsARefusal) {
  Reachability upstream;
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  upstream.OnUnavailable();
  upstream.OnProbed(ProbeResult::kUnavailable);
  upstream.OnConnectionState(ConnectionState::kFailing, kNow);
  EXPECT_FALSE(upstream.wants_probe());
  upstream.OnConnectionState(ConnectionState::kUp, kNow);
  EXPECT_EQ(upstream.reachable(), true);
}

TEST(Reachability, UnavailableSaysNothingNewOfWhatIsNotReachable) {
  Reachability upstream;
  upstream.OnUnavailable();
  EXPECT_EQ(upstream.reachable(), std::nullopt);
  upstream.OnConnectionState(ConnectionState::kFailing, kNow);
  upstream.OnUnavailable();
  EXPECT_FALSE(upstream.wants_probe());
  EXPECT_EQ(upstream.reachable(), false);
}

}  // namespace
}  // namespace headgate
