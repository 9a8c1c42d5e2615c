#include "gateway/h2/window_use.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate::h2 {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kWindow = 1000;

TEST(WindowUseTest, HalvesAreCounted) {
  WindowUse use;
  EXPECT_FALSE(use.Take(499, kWindow));
  EXPECT_TRUE(use.Take(1, kWindow));
  EXPECT_FALSE(use.Take(499, kWindow));
  EXPECT_TRUE(use.Take(5000, kWindow));
  EXPECT_FALSE(use.Take(499, kWindow));
}

TEST(WindowUseTest, HalvesThatFollowWithinTwoRoundTripsAreHeldUp) {
  WindowUse use;
  std::chrono::steady_clock::time_point now;
  EXPECT_FALSE(use.IsHeldUp(now, milliseconds(50)))
      << "the first tells nothing";
  EXPECT_TRUE(use.IsHeldUp(now += milliseconds(100), milliseconds(50)));
  EXPECT_FALSE(use.IsHeldUp(now += milliseconds(101), milliseconds(50)));
  EXPECT_TRUE(use.IsHeldUp(now += milliseconds(1), milliseconds(50)));
}

}  // namespace
}  // namespace headgate::h2
