#include "gateway/base/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;

constexpr double kBounds[] = {1, 10};

// "le": a value that equals a bound is below it.
TEST(HistogramTest, ValuesFallBelowTheirBounds) {
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 10.0, 11.0}) {
    histogram.Observe(value);
  }
  EXPECT_THAT(histogram.counts(), ElementsAre(2, 2, 1));
  EXPECT_DOUBLE_EQ(histogram.sum(), 24);
}

TEST(HistogramTest, MergingAdds) {
  Histogram a(kBounds), b(kBounds);
  a.Observe(1);
  b.Observe(2);
  b.Observe(200);
  a.Merge(b);
  EXPECT_THAT(a.counts(), ElementsAre(1, 1, 1));
  EXPECT_DOUBLE_EQ(a.sum(), 203);
}

}  // namespace
}  // namespace headgate
