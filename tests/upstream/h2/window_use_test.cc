#include "gateway/upstream/h2/window_use.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kWindow = 1000;

TEST(H2WindowUseTest, HalvesAreCounted) {
  H2WindowUse use;
  EXPECT_FALSE(use.Take(499, kWindow));
  EXPECT_TRUE(use.Take(1, kWindow));
  EXPECT_FALSE(use.Take(499, kWindow));
  EXPECT_TRUE(use.Take(5000, kWindow));
  EXPECT_FALSE(use.Take(499, kWindow));
}

TEST(H2WindowUseTest, HalvesThatFollowWithinTwoRoundTripsAreHeldUp) {
  H2WindowUse use;
  H2WindowUse::Clock::time_point now;
  EXPECT_FALSE(use.IsHeldUp(now, milliseconds(50)))
      << "the first tells nothing";
  EXPECT_TRUE(use.IsHeldUp(now += milliseconds(100), milliseconds(50)));
  EXPECT_FALSE(use.IsHeldUp(now += milliseconds(101), milliseconds(50)));
  EXPECT_TRUE(use.IsHeldUp(now += milliseconds(1), milliseconds(50)));
}

}  // namespace
}  // namespace headgate
