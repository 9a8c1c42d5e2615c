#include "gateway/ws/message_watch.h"

#include <gtest/gtest.h>

namespace headgate::ws {
namespace {

class MessageWatchTest : public ::testing::Test {
 protected:
  // A look after some time, at which so many bytes have come.
  bool IsStuckAfter(absl::Duration passed, std::optional<std::uint64_t> message,
                    std::uint64_t bytes) {
    now_ += passed;
    return watch_.IsStuck(now_, absl::Seconds(30), message, bytes);
  }

  MessageWatch watch_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(MessageWatchTest, WithoutAMessageNothingIsStuck) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(IsStuckAfter(absl::Hours(1), std::nullopt, 0));
  }
}

TEST_F(MessageWatchTest, AMessageHasItsTimeFromTheFirstLookAtIt) {
  EXPECT_FALSE(IsStuckAfter(absl::Hours(1), std::nullopt, 0));
  EXPECT_FALSE(IsStuckAfter(absl::Hours(1), 0, 10));
  EXPECT_FALSE(IsStuckAfter(absl::Milliseconds(29'999), 0, 10));
  EXPECT_TRUE(IsStuckAfter(absl::Milliseconds(1), 0, 10));
}

// A byte now and then would hold it without end.
TEST_F(MessageWatchTest, FewBytesAreNoProgress) {
  EXPECT_FALSE(IsStuckAfter(absl::ZeroDuration(), 0, 0));
  for (int i = 1; i < 30; ++i) {
    EXPECT_FALSE(IsStuckAfter(absl::Seconds(1), 0, i));
  }
  EXPECT_TRUE(IsStuckAfter(absl::Seconds(1), 0, 30));
}

TEST_F(MessageWatchTest, TheTimeBeginsAgainWithEachFourKibibytes) {
  EXPECT_FALSE(IsStuckAfter(absl::ZeroDuration(), 0, 0));
  for (int i = 1; i < 100; ++i) {
    EXPECT_FALSE(
        IsStuckAfter(absl::Seconds(29), 0, i * MessageWatch::kLeastBytes));
  }
  EXPECT_FALSE(
      IsStuckAfter(absl::Seconds(29), 0, 100 * MessageWatch::kLeastBytes - 1));
  EXPECT_TRUE(
      IsStuckAfter(absl::Seconds(1), 0, 100 * MessageWatch::kLeastBytes - 1));
}

TEST_F(MessageWatchTest, EachMessageHasATimeOfItsOwn) {
  EXPECT_FALSE(IsStuckAfter(absl::ZeroDuration(), 0, 0));
  EXPECT_FALSE(IsStuckAfter(absl::Seconds(29), 1, 10));
  EXPECT_FALSE(IsStuckAfter(absl::Seconds(29), std::nullopt, 20));
  EXPECT_FALSE(IsStuckAfter(absl::Seconds(29), 2, 30));
  EXPECT_FALSE(IsStuckAfter(absl::Seconds(29), 2, 30));
  EXPECT_TRUE(IsStuckAfter(absl::Seconds(1), 2, 30));
}

}  // namespace
}  // namespace headgate::ws
