#include "gateway/session/session_guard.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

class SessionGuardTest : public ::testing::Test {
 protected:
  void Start() {
    guard_.emplace(route_, "id", token_expiry_);
    guard_->Start(now_);
  }
  std::optional<SessionGuard::Violation> After(absl::Duration passed) {
    now_ += passed;
    return guard_->OnTick(now_, activity_);
  }

  Route route_;
  std::optional<SessionGuard> guard_;
  absl::Time now_ = absl::UnixEpoch();
  std::uint64_t activity_ = 0;
  absl::Time token_expiry_ = absl::InfiniteFuture();
};

TEST_F(SessionGuardTest, WithoutLimitsNothingIsAViolation) {
  Start();
  EXPECT_FALSE(guard_->OnReceived(1'000'000, 1'000'000'000));
  EXPECT_FALSE(After(absl::Hours(10'000)));
}

// RFC 6455 section 7.4.1: 1008, a policy.
TEST_F(SessionGuardTest, MoreMessagesThanTheRateAre1008) {
  route_.messages = {.per_second = 10, .burst = 0};
  Start();
  EXPECT_FALSE(guard_->OnReceived(10, 0)) << "a second's worth at once";
  EXPECT_FALSE(After(absl::Milliseconds(100)));
  EXPECT_FALSE(guard_->OnReceived(1, 0));
  const auto violation = guard_->OnReceived(1, 0);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->limit, Limit::kMessageRate);
  EXPECT_EQ(violation->ending.close, CloseCode::kPolicyViolation);
  EXPECT_EQ(violation->ending.end.status,
            absl::ResourceExhaustedError(
                "more than messages_per_second (10) came in"));
}

TEST_F(SessionGuardTest, TheBurstIsWhatMayComeAtOnce) {
  route_.messages = {.per_second = 10, .burst = 50};
  Start();
  EXPECT_FALSE(guard_->OnReceived(50, 0));
  EXPECT_TRUE(guard_->OnReceived(1, 0));
}

// A rate below the longest message would forbid what max_message_bytes allows.
TEST_F(SessionGuardTest, ALongMessageMayAlwaysComeAfterARest) {
  route_.max_message_bytes = 1000;
  route_.bytes = {.per_second = 10, .burst = 0};
  Start();
  EXPECT_FALSE(guard_->OnReceived(1, 1000 + SessionGuard::kFramingBytes));
  const auto violation = guard_->OnReceived(1, 1);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->limit, Limit::kByteRate);
}

TEST_F(SessionGuardTest, SilenceIsCountedFromTheLastMessage) {
  route_.idle_timeout = absl::Seconds(10);
  Start();
  EXPECT_FALSE(After(absl::Seconds(9)));
  activity_ = 1;
  EXPECT_FALSE(After(absl::Seconds(1)));
  EXPECT_FALSE(After(absl::Seconds(9)));
  const auto violation = After(absl::Seconds(1));
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->limit, Limit::kIdle);
  EXPECT_EQ(violation->ending.close, CloseCode::kGoingAway);
}

TEST_F(SessionGuardTest, AnAgeIsShortenedByUpToATenth) {
  route_.max_age = absl::Seconds(1000);
  bool differ = false;
  for (int i = 0; i < 20; ++i) {
    SessionGuard guard(route_, absl::StrCat("id", i), token_expiry_);
    guard.Start(now_);
    EXPECT_FALSE(guard.OnTick(now_ + absl::Seconds(899), 0));
    const auto violation = guard.OnTick(now_ + absl::Seconds(1000), 0);
    ASSERT_TRUE(violation);
    EXPECT_EQ(violation->limit, Limit::kMaxAge);
    EXPECT_EQ(violation->ending.close, CloseCode::kGoingAway);
    SessionGuard other(route_, absl::StrCat("id", i), token_expiry_);
    other.Start(now_);
    differ |=
        other.OnTick(now_ + absl::Seconds(950), 0).has_value() != (i % 2 == 0);
  }
  EXPECT_TRUE(differ) << "not all at the same time";
}

// docs/protocol.md: UNAUTHENTICATED, like a call with such a token.
TEST_F(SessionGuardTest, SessionEndsAfterItsTokenAndTheLeeway) {
  token_expiry_ = now_ + absl::Seconds(100);
  route_.token.leeway = absl::Seconds(20);
  bool differ = false;
  for (int i = 0; i < 20; ++i) {
    SessionGuard guard(route_, absl::StrCat("id", i), token_expiry_);
    guard.Start(now_);
    EXPECT_FALSE(guard.OnTick(now_ + absl::Seconds(119.9), 0));
    differ |=
        guard.OnTick(now_ + absl::Seconds(122), 0).has_value() != (i % 2 == 0);
    const auto violation = guard.OnTick(now_ + absl::Seconds(124), 0);
    ASSERT_TRUE(violation);
    EXPECT_EQ(violation->limit, Limit::kTokenExpiry);
    EXPECT_EQ(static_cast<int>(violation->ending.close), 4016);
    EXPECT_EQ(violation->ending.end.status,
              absl::UnauthenticatedError("the token has expired"));
  }
  EXPECT_TRUE(differ) << "not all at the same time";
}

TEST_F(SessionGuardTest, WithoutLeewayItEndsWithItsToken) {
  token_expiry_ = now_ + absl::Seconds(100);
  route_.token.leeway = absl::ZeroDuration();
  Start();
  EXPECT_FALSE(After(absl::Seconds(99)));
  EXPECT_TRUE(After(absl::Seconds(1)));
}

TEST(LimitTest, NamesAreThoseOfTheSettings) {
  EXPECT_EQ(LimitName(Limit::kMessageBytes), "max_message_bytes");
  EXPECT_EQ(LimitName(Limit::kKeepalive), "keepalive_timeout");
}

}  // namespace
}  // namespace headgate
