#include "gateway/h2/flood_budget.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate::h2 {
namespace {

using std::chrono::seconds;

class FloodBudgetTest : public ::testing::Test {
 protected:
  static FloodLimits Limits() {
    FloodLimits limits;
    limits.pings = 2;
    limits.block_bytes = 1000;
    limits.max_block_bytes = 1500;
    return limits;
  }
  bool IsExceeded() { return budget_.Exceeded(now_) != Flood::kNone; }

  Time now_{seconds(1000)};
  FloodBudget budget_{Limits(), now_};
};

TEST_F(FloodBudgetTest, SpareBytesAreForOnePeriod) {
  budget_.Spend(FloodBudget::kSpareBytes);
  EXPECT_FALSE(IsExceeded());
  budget_.Spend(1);
  EXPECT_TRUE(IsExceeded());
  now_ += FloodBudget::kPeriod;
  EXPECT_FALSE(IsExceeded());
  budget_.Spend(FloodBudget::kSpareBytes + 1);
  EXPECT_TRUE(IsExceeded());
}

TEST_F(FloodBudgetTest, StreamsAndDataEarnBytes) {
  budget_.Spend(FloodBudget::kSpareBytes);
  budget_.OnStream(100, 10);
  budget_.Spend(120);
  EXPECT_FALSE(IsExceeded());
  budget_.OnData(1000);
  budget_.Spend(1064);
  EXPECT_FALSE(IsExceeded());
  budget_.OnDataSent(1600);
  budget_.Spend(164);
  EXPECT_FALSE(IsExceeded());
  budget_.OnWindowGrowth(5);
  budget_.Spend(5);
  EXPECT_FALSE(IsExceeded());
  budget_.Spend(1);
  EXPECT_TRUE(IsExceeded());
}

TEST_F(FloodBudgetTest, LongBlocksHaveAnAllowanceOfTheirOwn) {
  budget_.OnStream(0, 0);
  budget_.Spend(FloodBudget::kSpareBytes + 1000);
  budget_.OnBlock(1000);
  EXPECT_FALSE(IsExceeded());
  budget_.Spend(1);
  budget_.OnBlock(1);  // It is used up.
  EXPECT_TRUE(IsExceeded());
}

TEST_F(FloodBudgetTest, AllowanceForBlocksHasALimit) {
  for (int i = 0; i < 10; ++i) budget_.OnStream(0, 0);
  budget_.Spend(FloodBudget::kSpareBytes + 1501);
  budget_.OnBlock(1501);
  EXPECT_TRUE(IsExceeded());
}

TEST_F(FloodBudgetTest, NuisancesAreCountedForOnePeriod) {
  budget_.Count(Nuisance::kPing);
  budget_.Count(Nuisance::kPing);
  for (int i = 0; i < 100; ++i) budget_.Count(Nuisance::kReset);  // No limit.
  EXPECT_EQ(budget_.Exceeded(now_), Flood::kNone);
  budget_.Count(Nuisance::kPing);
  EXPECT_EQ(budget_.Exceeded(now_), Flood::kPings);
  now_ += FloodBudget::kPeriod;
  EXPECT_EQ(budget_.Exceeded(now_), Flood::kNone);
}

// Clients of gRPC measure the round trip as long as data comes.
TEST_F(FloodBudgetTest, DataOfOursAllowsPings) {
  for (int i = 0; i < 100; ++i) {
    budget_.OnDataSent(10);
    budget_.Count(Nuisance::kPing);
    EXPECT_FALSE(IsExceeded());
  }
  budget_.Count(Nuisance::kPing);
  EXPECT_FALSE(IsExceeded());
  budget_.Count(Nuisance::kPing);
  EXPECT_TRUE(IsExceeded());
}

}  // namespace
}  // namespace headgate::h2
