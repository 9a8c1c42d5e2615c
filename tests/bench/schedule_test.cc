#include "cmd/headgate/bench/schedule.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The next `count` messages, "connection at ns".
std::vector<std::string> Take(Schedule& schedule, int count) {
  std::vector<std::string> taken;
  for (int i = 0; i < count; ++i) {
    const auto due = schedule.Peek();
    if (!due.has_value()) break;
    taken.push_back(absl::StrCat(due->connection, " at ", due->at_ns));
    schedule.Advance();
  }
  return taken;
}

TEST(ScheduleTest, SpreadsMessagesEvenlyOverTimeAndConnections) {
  Schedule schedule({.begin_ns = 5, .rate = 1000, .connections = 3});
  EXPECT_THAT(Take(schedule, 5),
              ElementsAre("0 at 5", "1 at 1000005", "2 at 2000005",
                          "0 at 3000005", "1 at 4000005"));
}

TEST(ScheduleTest, ThreadsTogetherSendWhatOneWould) {
  Schedule first(
      {.rate = 1e9, .connections = 3, .first = 0, .step = 2, .messages = 7});
  Schedule second(
      {.rate = 1e9, .connections = 3, .first = 1, .step = 2, .messages = 7});
  EXPECT_THAT(Take(first, 9),
              ElementsAre("0 at 0", "2 at 2", "0 at 3", "2 at 5", "0 at 6"));
  EXPECT_THAT(Take(second, 9), ElementsAre("1 at 1", "1 at 4"));
}

TEST(ScheduleTest, HasNothingForAThreadWithoutConnections) {
  Schedule schedule({.rate = 1, .connections = 2, .first = 2, .step = 3});
  EXPECT_THAT(Take(schedule, 1), IsEmpty());
}

TEST(ScheduleTest, EndsWithItsMessages) {
  Schedule schedule({.rate = 1e9, .connections = 4, .messages = 2});
  EXPECT_THAT(Take(schedule, 9), ElementsAre("0 at 0", "1 at 1"));
  Schedule none({.rate = 1e9, .connections = 4, .messages = 0});
  EXPECT_THAT(Take(none, 9), IsEmpty());
}

// A third of a second is no whole number of nanoseconds.
TEST(ScheduleTest, RoundingDoesNotAddUp) {
  Schedule schedule({.rate = 3, .connections = 1});
  for (int i = 0; i < 30'000; ++i) schedule.Advance();
  EXPECT_NEAR(static_cast<double>(schedule.Peek()->at_ns), 1e13, 2);
}

TEST(ScheduleTest, TakesRatesBelowOne) {
  Schedule schedule({.rate = 0.5, .connections = 1});
  EXPECT_THAT(Take(schedule, 3),
              ElementsAre("0 at 0", "0 at 2000000000", "0 at 4000000000"));
}

}  // namespace
}  // namespace headgate
