#include "cmd/headgate/bench/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

constexpr double kPercents[] = {0.001, 1, 25, 50, 90, 99, 99.9, 99.99, 100};

std::int64_t ExactPercentile(std::vector<std::int64_t> values, double percent) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(
      std::ceil(percent * static_cast<double>(values.size()) / 100 - 1e-6));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

TEST(LatencyHistogramTest, IsEmptyAtFirst) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), 0);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_EQ(histogram.Percentile(50), 0);
}

TEST(LatencyHistogramTest, IsExactForOneValue) {
  LatencyHistogram histogram;
  histogram.Add(123'456'789);
  for (const double percent : kPercents) {
    EXPECT_EQ(histogram.Percentile(percent), 123'456'789) << percent;
  }
  EXPECT_EQ(histogram.mean(), 123'456'789);
}

TEST(LatencyHistogramTest, IsExactBelowTwoMicroseconds) {
  LatencyHistogram histogram;
  std::vector<std::int64_t> values;
  for (std::int64_t value = 0; value < 2048; ++value) {
    histogram.Add(value);
    values.push_back(value);
  }
  for (const double percent : kPercents) {
    EXPECT_EQ(histogram.Percentile(percent), ExactPercentile(values, percent))
        << percent;
  }
}

TEST(LatencyHistogramTest, IsWithinAThousandthAbove) {
  std::mt19937_64 random(1);
  // From a microsecond to an hour.
  std::uniform_real_distribution<> exponent(3, 12.5);
  LatencyHistogram histogram;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 100'000; ++i) {
    values.push_back(static_cast<std::int64_t>(std::pow(10, exponent(random))));
    histogram.Add(values.back());
  }
  for (const double percent : kPercents) {
    const auto exact = static_cast<double>(ExactPercentile(values, percent));
    EXPECT_NEAR(static_cast<double>(histogram.Percentile(percent)), exact,
                exact / 1000)
        << percent;
  }
}

TEST(LatencyHistogramTest, IsWithinAThousandthAtEachPowerOfTwo) {
  for (int bits = 1; bits < 42; ++bits) {
    for (const std::int64_t off : {-1, 0, 1}) {
      const std::int64_t value = (std::int64_t{1} << bits) + off;
      LatencyHistogram histogram;
      histogram.Add(0);
      histogram.Add(value);
      histogram.Add(std::int64_t{1} << 43);
      EXPECT_NEAR(static_cast<double>(histogram.Percentile(50)),
                  static_cast<double>(value), static_cast<double>(value) / 1000)
          << value;
    }
  }
}

TEST(LatencyHistogramTest, TakesWhatIsOutOfRangeForItsEnd) {
  LatencyHistogram histogram;
  histogram.Add(-5);
  EXPECT_EQ(histogram.max(), 0);
  histogram.Add(std::int64_t{1} << 62);
  EXPECT_EQ(histogram.max(), (std::int64_t{1} << 42) - 1);
  EXPECT_EQ(histogram.Percentile(100), (std::int64_t{1} << 42) - 1);
}

TEST(LatencyHistogramTest, MergedIsWhatBothHaveCounted) {
  auto merged = std::make_unique<LatencyHistogram>();
  LatencyHistogram low;
  LatencyHistogram high;
  std::vector<std::int64_t> values;
  for (std::int64_t i = 1; i <= 1000; ++i) {
    low.Add(i);
    high.Add(i * 1000, 2);
    values.insert(values.end(), {i, i * 1000, i * 1000});
  }
  merged->Merge(LatencyHistogram());
  merged->Merge(high);
  merged->Merge(low);
  EXPECT_EQ(merged->count(), 3000u);
  EXPECT_EQ(merged->min(), 1);
  EXPECT_EQ(merged->max(), 1'000'000);
  EXPECT_DOUBLE_EQ(merged->mean(), (500.5 + 2 * 500'500.0) / 3);
  for (const double percent : {10.0, 50.0, 99.0}) {
    const auto exact = static_cast<double>(ExactPercentile(values, percent));
    EXPECT_NEAR(static_cast<double>(merged->Percentile(percent)), exact,
                exact / 1000);
  }
}

}  // namespace
}  // namespace headgate
