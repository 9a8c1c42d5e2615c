#include "gateway/hub/stream_waits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StreamWaitsTest : public ::testing::Test {
 protected:
  void Begin(Who who) { waits_.Take(who, HubWait::kBegins, now_); }
  void Taken(Who who) { waits_.Take(who, HubWait::kTaken, now_); }
  void End(Who who) { waits_.Take(who, HubWait::kEnded, now_); }
  // In ticks; returns those that were late.
  std::vector<Who> Pass(absl::Duration time) {
    constexpr absl::Duration kTick = absl::Milliseconds(50);
    std::vector<Who> late;
    for (const absl::Time until = now_ + time; now_ < until;) {
      now_ = std::min(until, now_ + kTick);
      if (waits_.holds()) held_ += kTick;
      for (const Who who : waits_.TakeLate(now_)) late.push_back(who);
    }
    return late;
  }

  absl::Time now_ = absl::UnixEpoch();
  absl::Duration held_;  // For how long the stream has waited.
  StreamWaits waits_;
};

TEST_F(StreamWaitsTest, TheStreamWaitsUntilTheClientHasTakenEnough) {
  EXPECT_FALSE(waits_.holds());
  Begin(1);
  EXPECT_TRUE(waits_.holds());
  EXPECT_THAT(Pass(absl::Milliseconds(900)), IsEmpty());
  Taken(1);
  EXPECT_FALSE(waits_.holds());
  EXPECT_EQ(waits_.patience(now_), StreamWaits::kPatience);
}

TEST_F(StreamWaitsTest, AfterFiveSecondsTheClientIsTooSlow) {
  Begin(1);
  EXPECT_THAT(Pass(absl::Milliseconds(4950)), IsEmpty());
  EXPECT_TRUE(waits_.holds());
  EXPECT_THAT(Pass(absl::Milliseconds(50)), ElementsAre(1));
  EXPECT_FALSE(waits_.holds());
  Taken(1);  // Said before it was closed.
  EXPECT_FALSE(waits_.holds());
}

TEST_F(StreamWaitsTest, ManyAtOnceAreWaitedForTogether) {
  for (Who who = 1; who <= 50; ++who) {
    Begin(who);
    now_ += absl::Milliseconds(1);
  }
  EXPECT_EQ(Pass(absl::Seconds(6)).size(), 50u);
  EXPECT_LT(held_, absl::Seconds(6));
}

// The issue of a policy that waits for one client after the other.
TEST_F(StreamWaitsTest, ManyInARowHoldTheStreamLittleLongerThanOne) {
  std::size_t late = 0;
  for (Who who = 1; who <= 50; ++who) {
    Begin(who);
    while (late < who) {
      late += Pass(absl::Milliseconds(50)).size();
      ASSERT_LT(now_ - absl::UnixEpoch(), absl::Minutes(5));
    }
  }
  EXPECT_LT(held_, absl::Seconds(8));
  EXPECT_LT(now_ - absl::UnixEpoch(), absl::Seconds(25));
}

TEST_F(StreamWaitsTest, WhoLeavesWhileItIsWaitedForHasUsedThePatienceUp) {
  Begin(1);
  EXPECT_THAT(Pass(absl::Seconds(4)), IsEmpty());
  End(1);
  Begin(2);
  EXPECT_THAT(Pass(absl::Seconds(2)), ElementsAre(2));
}

TEST_F(StreamWaitsTest, OneThatTakesJustEnoughIsNotWaitedForForever) {
  std::vector<Who> late;
  while (late.empty()) {
    Begin(1);
    late = Pass(absl::Milliseconds(4900));
    Taken(1);
    ASSERT_LT(now_ - absl::UnixEpoch(), absl::Minutes(1));
  }
  EXPECT_LT(held_, absl::Seconds(10));
}

TEST_F(StreamWaitsTest, OneThatTakesHalfOfItsQueueInASecondPacesTheStream) {
  for (int i = 0; i < 1000; ++i) {
    Begin(1);
    ASSERT_THAT(Pass(absl::Milliseconds(950)), IsEmpty());
    ASSERT_TRUE(waits_.holds());
    Taken(1);
    ASSERT_FALSE(waits_.holds());
  }
}

// It is as with `disconnect` then.
TEST_F(StreamWaitsTest, WithoutPatienceTheStreamGoesOn) {
  Begin(1);
  EXPECT_THAT(Pass(absl::Seconds(5)), ElementsAre(1));
  Begin(2);
  EXPECT_FALSE(waits_.holds());
  EXPECT_THAT(Pass(absl::Milliseconds(200)), IsEmpty());
  EXPECT_THAT(Pass(absl::Milliseconds(50)), ElementsAre(2));
}

TEST_F(StreamWaitsTest, PatienceComesBack) {
  Begin(1);
  Pass(absl::Seconds(5));
  EXPECT_LE(waits_.patience(now_), absl::ZeroDuration());
  Pass(absl::Seconds(20));
  Begin(2);
  EXPECT_TRUE(waits_.holds());
  EXPECT_THAT(Pass(absl::Milliseconds(1500)), IsEmpty());
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre(2));
  Pass(absl::Minutes(2));
  EXPECT_EQ(waits_.patience(now_), StreamWaits::kPatience);
}

TEST_F(StreamWaitsTest, TheStreamsClockStandsStillMeanwhile) {
  const absl::Time before = waits_.StreamTime(now_);
  Pass(absl::Seconds(1));
  Begin(1);
  Pass(absl::Seconds(3));
  EXPECT_EQ(waits_.StreamTime(now_), before + absl::Seconds(1));
  Taken(1);
  Pass(absl::Seconds(2));
  EXPECT_EQ(waits_.StreamTime(now_), before + absl::Seconds(3));
}

TEST_F(StreamWaitsTest, ForgetsAll) {
  Begin(1);
  Begin(2);
  waits_.Clear(now_);
  EXPECT_FALSE(waits_.holds());
  EXPECT_THAT(Pass(absl::Seconds(10)), IsEmpty());
}

}  // namespace
}  // namespace headgate
