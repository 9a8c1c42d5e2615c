#include "gateway/server/memory_watch.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace headgate {
namespace {

class MemoryWatchTest : public ::testing::Test {
 protected:
  MemoryWatch::Verdict JudgeAfter(absl::Duration passed, std::uint64_t used) {
    now_ += passed;
    return watch_.Judge(now_, used, 1000);
  }

  static constexpr absl::Duration kTick = absl::Milliseconds(100);
  MemoryWatch watch_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(MemoryWatchTest, RefusesFromEightyPercentUntilBelowSeventyFive) {
  EXPECT_FALSE(JudgeAfter(kTick, 799).refuse);
  EXPECT_TRUE(JudgeAfter(kTick, 800).refuse);
  EXPECT_TRUE(JudgeAfter(kTick, 750).refuse);
  EXPECT_FALSE(JudgeAfter(kTick, 749).refuse);
  EXPECT_FALSE(JudgeAfter(kTick, 799).refuse);
}

TEST_F(MemoryWatchTest, FreesDownToEightyFivePercentFromNinetyFive) {
  EXPECT_EQ(JudgeAfter(kTick, 949).free, 0u);
  EXPECT_EQ(JudgeAfter(kTick, 950).free, 100u);
}

// The allocator keeps it for a while, and clients have a moment: that is no
// reason to close everybody.
TEST_F(MemoryWatchTest, WhatIsBeingFreedIsNotFreedTwice) {
  EXPECT_EQ(JudgeAfter(kTick, 970).free, 120u);
  watch_.OnClosing(now_, 120);
  EXPECT_EQ(JudgeAfter(kTick, 970).free, 0u);
  EXPECT_EQ(JudgeAfter(kTick, 999).free, 0u);
  EXPECT_TRUE(JudgeAfter(kTick, 970).refuse);
}

TEST_F(MemoryWatchTest, WhatGrowsMeanwhileIsFreedBesides) {
  EXPECT_EQ(JudgeAfter(kTick, 950).free, 100u);
  watch_.OnClosing(now_, 20);
  EXPECT_EQ(JudgeAfter(kTick, 990).free, 120u);
}

TEST_F(MemoryWatchTest, WhatHasNotLeftTheProcessInTimeCountsAgain) {
  EXPECT_EQ(JudgeAfter(kTick, 970).free, 120u);
  watch_.OnClosing(now_, 120);
  EXPECT_EQ(
      JudgeAfter(MemoryWatch::kPatience - absl::Milliseconds(1), 970).free, 0u);
  EXPECT_EQ(JudgeAfter(absl::Milliseconds(1), 970).free, 120u);
}

TEST_F(MemoryWatchTest, AboveTheLimitSessionsAreCutOff) {
  EXPECT_FALSE(JudgeAfter(kTick, 999).urgent);
  EXPECT_TRUE(JudgeAfter(kTick, 1000).urgent);
}

// A flood may fill again what is being closed, within the time that clients
// have for their Close frames.
TEST_F(MemoryWatchTest, AboveTheLimitNothingIsTakenOff) {
  EXPECT_EQ(JudgeAfter(kTick, 990).free, 140u);
  watch_.OnClosing(now_, 140);
  const MemoryWatch::Verdict verdict = JudgeAfter(kTick, 1000);
  EXPECT_EQ(verdict.free, 150u);
  EXPECT_TRUE(verdict.urgent);
}

// To look for sessions that hold much takes time for each that there is.
TEST_F(MemoryWatchTest, WhereNobodyHoldsMuchItIsNotTriedAllTheTime) {
  EXPECT_GT(JudgeAfter(kTick, 1100).free, 0u);
  watch_.OnNothingToFree(now_);
  EXPECT_EQ(JudgeAfter(absl::Milliseconds(99), 1100).free, 0u);
  EXPECT_GT(JudgeAfter(absl::Milliseconds(1), 1100).free, 0u);
}

// For the log.
TEST_F(MemoryWatchTest, ThatNobodyHoldsMuchIsNewsOnce) {
  EXPECT_GT(JudgeAfter(kTick, 1100).free, 0u);
  EXPECT_TRUE(watch_.OnNothingToFree(now_));
  EXPECT_GT(JudgeAfter(MemoryWatch::kInterval, 1100).free, 0u);
  EXPECT_FALSE(watch_.OnNothingToFree(now_));
  JudgeAfter(kTick, 900);
  EXPECT_GT(JudgeAfter(MemoryWatch::kInterval, 1100).free, 0u);
  EXPECT_TRUE(watch_.OnNothingToFree(now_));
  watch_.OnClosing(now_, 10);
  EXPECT_TRUE(watch_.OnNothingToFree(now_));
}

// However much is being closed.
TEST_F(MemoryWatchTest, ThoseThatHoldMuchAreHeldBackFromNinetyFivePercent) {
  EXPECT_FALSE(JudgeAfter(kTick, 949).hold_back);
  EXPECT_TRUE(JudgeAfter(kTick, 950).hold_back);
  watch_.OnClosing(now_, 500);
  EXPECT_TRUE(JudgeAfter(kTick, 950).hold_back);
  EXPECT_TRUE(JudgeAfter(kTick, 1100).hold_back);
  EXPECT_FALSE(JudgeAfter(kTick, 949).hold_back);
}

TEST_F(MemoryWatchTest, MemoryThatGetsShortIsLookedAtMoreOften) {
  EXPECT_EQ(MemoryWatch::Interval(599, 1000), absl::Milliseconds(100));
  EXPECT_EQ(MemoryWatch::Interval(600, 1000), absl::Milliseconds(10));
  EXPECT_EQ(MemoryWatch::Interval(1 << 30, 0), absl::Milliseconds(100));
}

TEST_F(MemoryWatchTest, TheAllocatorIsTrimmedFirstAndNotAllTheTime) {
  EXPECT_FALSE(watch_.WantsTrim(now_, 799, 1000));
  EXPECT_TRUE(watch_.WantsTrim(now_, 800, 1000));
  EXPECT_FALSE(watch_.WantsTrim(now_ + absl::Milliseconds(999), 990, 1000));
  EXPECT_TRUE(watch_.WantsTrim(now_ + absl::Seconds(1), 800, 1000));
}

TEST_F(MemoryWatchTest, WhatWasFreedIsTrimmedSooner) {
  EXPECT_TRUE(watch_.WantsTrim(now_, 960, 1000));
  watch_.OnClosing(now_, 110);
  EXPECT_FALSE(watch_.WantsTrim(now_ + absl::Milliseconds(249), 960, 1000));
  EXPECT_TRUE(watch_.WantsTrim(now_ + absl::Milliseconds(250), 960, 1000));
  EXPECT_FALSE(watch_.WantsTrim(now_ + absl::Milliseconds(999), 960, 1000));
}

// A burst of large messages is over, and nothing else would return its memory.
TEST_F(MemoryWatchTest, BelowEightyPercentTheAllocatorIsTrimmedNowAndThen) {
  const std::uint64_t used = MemoryWatch::kLeastWorthTrimming;
  const std::uint64_t limit = 100 * used;
  const absl::Duration interval = MemoryWatch::kLeastSpareInterval;
  EXPECT_FALSE(watch_.WantsTrim(now_, used - 1, limit));
  EXPECT_TRUE(watch_.WantsTrim(now_, used, limit));
  watch_.OnTrimmed(used, used / 2);
  EXPECT_FALSE(
      watch_.WantsTrim(now_ + interval - absl::Milliseconds(1), used, limit));
  EXPECT_TRUE(watch_.WantsTrim(now_ += interval, used, limit));
}

TEST_F(MemoryWatchTest, TrimmingThatGainsNothingBecomesRare) {
  const std::uint64_t used = MemoryWatch::kLeastWorthTrimming;
  absl::Duration interval = MemoryWatch::kLeastSpareInterval;
  EXPECT_TRUE(watch_.WantsTrim(now_, used, 0));
  for (int i = 0; i < 10; ++i) {
    watch_.OnTrimmed(used, used);
    interval = std::min(2 * interval, MemoryWatch::kMostSpareInterval);
    EXPECT_FALSE(
        watch_.WantsTrim(now_ + interval - absl::Milliseconds(1), used, 0));
    EXPECT_TRUE(watch_.WantsTrim(now_ += interval, used, 0));
  }
  watch_.OnTrimmed(used, used / 2);
  EXPECT_TRUE(
      watch_.WantsTrim(now_ + MemoryWatch::kLeastSpareInterval, used, 0));
}

TEST_F(MemoryWatchTest, WithoutALimitNothingIsDone) {
  const MemoryWatch::Verdict verdict = watch_.Judge(now_, 1 << 30, 0);
  EXPECT_FALSE(verdict.refuse);
  EXPECT_EQ(verdict.free, 0u);
}

}  // namespace
}  // namespace headgate
