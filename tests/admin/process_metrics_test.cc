#include "gateway/admin/process_metrics.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

// proc(5): the name may have anything in it.
TEST(ProcessMetricsTest, FieldsBehindAnyNameAreFound) {
  const ProcessMetrics metrics = ParseProcessStat(
      "42 (head) gate) S 1 1 1 0 -1 4194304 500 0 0 0 250 150 0 0 20 0 5 0 "
      "1000 123456789 77 18446744073709551615 1 1 0 0\n",
      1'000'000, 100, 4096);
  EXPECT_DOUBLE_EQ(metrics.cpu_seconds, 4);
  EXPECT_DOUBLE_EQ(metrics.start_time, 1'000'010);
  EXPECT_EQ(metrics.virtual_bytes, 123456789u);
  EXPECT_EQ(metrics.resident_bytes, 77u * 4096);
}

TEST(ProcessMetricsTest, WhatIsMissingIsZero) {
  for (const char* stat : {"", "1 (x)", "1 (x) S", "1 (x) S a b c"}) {
    const ProcessMetrics metrics = ParseProcessStat(stat, 0, 100, 4096);
    EXPECT_EQ(metrics.cpu_seconds, 0) << stat;
    EXPECT_EQ(metrics.resident_bytes, 0u) << stat;
  }
}

TEST(ProcessMetricsTest, TheBootTimeIsFound) {
  EXPECT_EQ(ParseBootTime("cpu 1 2\nbtime 1700000000\nprocesses 3\n"),
            1700000000);
  EXPECT_EQ(ParseBootTime("cpu 1 2\n"), 0);
}

TEST(ProcessMetricsTest, ThisProcessHasFiguresOfItsOwn) {
  const ProcessMetrics metrics = ReadProcessMetrics();
  EXPECT_GT(metrics.open_fds, 2u);
  EXPECT_GE(metrics.max_fds, metrics.open_fds);
  EXPECT_GT(metrics.resident_bytes, 100'000u);
  EXPECT_GT(metrics.start_time, 1'500'000'000);
}

}  // namespace
}  // namespace headgate
