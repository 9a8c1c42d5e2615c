#include "gateway/server/memory_watch.h"

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
  watch_.OnFreed(now_, 120);
  EXPECT_EQ(JudgeAfter(kTick, 970).free, 0u);
  EXPECT_EQ(JudgeAfter(kTick, 1060).free, 0u);
  EXPECT_TRUE(JudgeAfter(kTick, 970).refuse);
}

TEST_F(MemoryWatchTest, WhatGrowsMeanwhileIsFreedBesides) {
  EXPECT_EQ(JudgeAfter(kTick, 970).free, 120u);
  watch_.OnFreed(now_, 120);
  EXPECT_EQ(JudgeAfter(kTick, 1080).free, 110u);
}

TEST_F(MemoryWatchTest, WhatHasNotLeftTheProcessInTimeCountsAgain) {
  EXPECT_EQ(JudgeAfter(kTick, 970).free, 120u);
  watch_.OnFreed(now_, 120);
  EXPECT_EQ(
      JudgeAfter(MemoryWatch::kPatience - absl::Milliseconds(1), 970).free, 0u);
  EXPECT_EQ(JudgeAfter(absl::Milliseconds(1), 970).free, 120u);
}

TEST_F(MemoryWatchTest, TheAllocatorIsTrimmedFirstAndNotAllTheTime) {
  EXPECT_FALSE(watch_.WantsTrim(now_, 799, 1000));
  EXPECT_TRUE(watch_.WantsTrim(now_, 800, 1000));
  EXPECT_FALSE(watch_.WantsTrim(now_ + absl::Milliseconds(999), 990, 1000));
  EXPECT_TRUE(watch_.WantsTrim(now_ + absl::Seconds(1), 800, 1000));
}

TEST_F(MemoryWatchTest, WhatWasFreedIsTrimmedSooner) {
  EXPECT_TRUE(watch_.WantsTrim(now_, 960, 1000));
  watch_.OnFreed(now_, 110);
  EXPECT_FALSE(watch_.WantsTrim(now_ + absl::Milliseconds(249), 960, 1000));
  EXPECT_TRUE(watch_.WantsTrim(now_ + absl::Milliseconds(250), 960, 1000));
  EXPECT_FALSE(watch_.WantsTrim(now_ + absl::Milliseconds(999), 960, 1000));
}

TEST_F(MemoryWatchTest, WithoutALimitNothingIsDone) {
  EXPECT_FALSE(watch_.WantsTrim(now_, 1 << 30, 0));
  const MemoryWatch::Verdict verdict = watch_.Judge(now_, 1 << 30, 0);
  EXPECT_FALSE(verdict.refuse);
  EXPECT_EQ(verdict.free, 0u);
}

}  // namespace
}  // namespace headgate
