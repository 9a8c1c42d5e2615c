#include "gateway/base/repeat_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

class RepeatLimiterTest : public ::testing::Test {
 protected:
  std::optional<std::uint64_t> At(absl::Duration when,
                                  absl::string_view key = "a") {
    return limiter_.Admit(key, absl::UnixEpoch() + when);
  }
  std::vector<std::uint64_t> TakenAt(absl::Duration when) {
    std::vector<std::uint64_t> counts;
    for (const auto& [key, count] :
         limiter_.TakeSuppressed(absl::UnixEpoch() + when)) {
      counts.push_back(count);
    }
    return counts;
  }
  RepeatLimiter limiter_{2};
};

TEST_F(RepeatLimiterTest, SoManyAreLetThroughInASecond) {
  EXPECT_EQ(At(absl::ZeroDuration()), 0u);
  EXPECT_EQ(At(absl::Milliseconds(1)), 0u);
  EXPECT_EQ(At(absl::Milliseconds(2)), std::nullopt);
  EXPECT_EQ(At(absl::Milliseconds(999)), std::nullopt);
}

TEST_F(RepeatLimiterTest, TheNextOneTellsWhatWasLeftOut) {
  for (int i = 0; i < 5; ++i) At(absl::ZeroDuration());
  EXPECT_EQ(At(absl::Seconds(1)), 3u);
  EXPECT_EQ(At(absl::Seconds(1)), 0u) << "told once";
}

TEST_F(RepeatLimiterTest, KeysDoNotHinderEachOther) {
  for (int i = 0; i < 5; ++i) At(absl::ZeroDuration());
  EXPECT_EQ(At(absl::ZeroDuration(), "b"), 0u);
}

// Else nothing would be told until it has caught up.
TEST_F(RepeatLimiterTest, AClockThatIsSetBackDoesNotSilenceIt) {
  for (int i = 0; i < 5; ++i) At(absl::Hours(2));
  EXPECT_THAT(TakenAt(absl::Hours(1)), ElementsAre(3));
  EXPECT_EQ(At(absl::Hours(1)), 0u);
  EXPECT_EQ(At(absl::Hours(1)), 0u);
  EXPECT_EQ(At(absl::Hours(1)), std::nullopt) << "a second of its own";
}

// A flood that has stopped has no next line.
TEST_F(RepeatLimiterTest, WhatWasLeftOutCanBeTakenWhenTheSecondIsOver) {
  for (int i = 0; i < 5; ++i) At(absl::ZeroDuration());
  EXPECT_THAT(TakenAt(absl::Milliseconds(500)), IsEmpty());
  EXPECT_THAT(TakenAt(absl::Seconds(1)), ElementsAre(3));
  EXPECT_THAT(TakenAt(absl::Seconds(2)), IsEmpty());
  EXPECT_EQ(At(absl::Seconds(3)), 0u);
}

}  // namespace
}  // namespace headgate
