#include "gateway/server/loop_watch.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace headgate {
namespace {

class LoopWatchTest : public ::testing::Test {
 protected:
  void After(absl::Duration passed, std::vector<std::uint64_t> iterations) {
    now_ += passed;
    watch_.Observe(now_, iterations);
  }

  absl::Time now_ = absl::UnixEpoch();
  LoopWatch watch_;
};

TEST_F(LoopWatchTest, ALoopThatGoesOnIsFine) {
  for (std::uint64_t i = 0; i < 20; ++i) After(absl::Seconds(1), {i});
  EXPECT_EQ(watch_.loops()[0].silence, absl::ZeroDuration());
  EXPECT_FALSE(watch_.loops()[0].stalled());
}

TEST_F(LoopWatchTest, ALoopThatStandsStillHasStalledAfterFiveSeconds) {
  After(absl::Seconds(1), {7, 7});
  for (std::uint64_t i = 0; i < 4; ++i) After(absl::Seconds(1), {7, 8 + i});
  EXPECT_FALSE(watch_.loops()[0].stalled());
  After(absl::Seconds(1), {7, 20});
  EXPECT_TRUE(watch_.loops()[0].stalled());
  EXPECT_EQ(watch_.loops()[0].silence, absl::Seconds(5));
  EXPECT_FALSE(watch_.loops()[1].stalled());
}

TEST_F(LoopWatchTest, ALoopThatGoesOnAgainIsFineAtOnce) {
  for (int i = 0; i < 10; ++i) After(absl::Seconds(1), {7});
  EXPECT_TRUE(watch_.loops()[0].stalled());
  After(absl::Milliseconds(1), {8});
  EXPECT_FALSE(watch_.loops()[0].stalled());
}

// The whole process was stopped, or the machine slept.
TEST_F(LoopWatchTest, TimeInWhichNobodyLookedCountsALittle) {
  After(absl::Seconds(1), {7});
  After(absl::Hours(1), {7});
  EXPECT_EQ(watch_.loops()[0].silence, LoopWatch::kMaxGap);
  EXPECT_FALSE(watch_.loops()[0].stalled());
}

TEST_F(LoopWatchTest, AClockThatIsSetBackCountsNothing) {
  After(absl::Seconds(1), {7});
  After(-absl::Hours(1), {7});
  EXPECT_EQ(watch_.loops()[0].silence, absl::ZeroDuration());
}

}  // namespace
}  // namespace headgate
