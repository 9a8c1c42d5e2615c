#include "cmd/headgate/bench/process.h"

#include <unistd.h>

#include <gtest/gtest.h>

namespace headgate {
namespace {

TEST(ProcessStatTest, FindsTimesAndMemory) {
  const auto usage = ParseProcessStat(
      "28715 (headgate) S 1 28714 2 0 -1 4194560 6301 0 0 0 150 250 0 0 20 0 8 "
      "0 3972 1234567 100 18446744073709551615 1 2 3\n",
      100, 4096);
  ASSERT_TRUE(usage.has_value());
  EXPECT_DOUBLE_EQ(usage->cpu.user, 1.5);
  EXPECT_DOUBLE_EQ(usage->cpu.system, 2.5);
  EXPECT_DOUBLE_EQ(usage->cpu.total(), 4);
  EXPECT_EQ(usage->rss_bytes, 409600u);
}

// proc(5): the name may hold blanks and parentheses.
TEST(ProcessStatTest, IsNotMisledByAName) {
  const auto usage = ParseProcessStat(
      "1 (a) R 9 (b) S 1 1 2 0 -1 4194560 6301 0 0 0 1 2 0 0 20 0 8 0 3972 "
      "1234567 3 1 1 2 3\n",
      1, 10);
  ASSERT_TRUE(usage.has_value());
  EXPECT_DOUBLE_EQ(usage->cpu.user, 1);
  EXPECT_EQ(usage->rss_bytes, 30u);
}

TEST(ProcessStatTest, RefusesAnythingElse) {
  for (const char* stat : {"", "1 (a) S 1", "1 a S 1 1 2 0"}) {
    EXPECT_FALSE(ParseProcessStat(stat, 100, 4096).has_value()) << stat;
  }
}

TEST(ProcessUsageTest, KnowsThisProcess) {
  const auto usage = ReadProcessUsage(getpid());
  ASSERT_TRUE(usage.has_value());
  EXPECT_GT(usage->rss_bytes, 0u);
}

}  // namespace
}  // namespace headgate
