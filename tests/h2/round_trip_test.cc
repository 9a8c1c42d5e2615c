#include "gateway/h2/round_trip.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate::h2 {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class RoundTripTest : public ::testing::Test {
 protected:
  void Measure(std::chrono::steady_clock::duration time) {
    round_trip_.Start(now_);
    round_trip_.Stop(now_ += time);
  }

  RoundTrip round_trip_;
  std::chrono::steady_clock::time_point now_;
};

TEST_F(RoundTripTest, IsTheSmallestOfAll) {
  for (const int time : {200, 60, 80, 50, 300}) Measure(milliseconds(time));
  EXPECT_TRUE(round_trip_.IsFar());
  EXPECT_EQ(round_trip_.smallest(), milliseconds(50));
}

TEST_F(RoundTripTest, IsFarOverTenMilliseconds) {
  EXPECT_FALSE(round_trip_.IsFar()) << "before it was measured";
  Measure(milliseconds(10) + microseconds(1));
  EXPECT_TRUE(round_trip_.IsFar());
  Measure(milliseconds(10));
  EXPECT_FALSE(round_trip_.IsFar());
}

// However long the others were.
TEST_F(RoundTripTest, IsNearAfterOneShortMeasurement) {
  Measure(milliseconds(100));
  Measure(milliseconds(1));
  Measure(milliseconds(100));
  EXPECT_FALSE(round_trip_.IsFar());
}

TEST_F(RoundTripTest, TheFirstMeasurementAloneIsNotFresh) {
  Measure(milliseconds(50));
  EXPECT_FALSE(round_trip_.TakeFresh());
  Measure(milliseconds(50));
  EXPECT_TRUE(round_trip_.TakeFresh());
  EXPECT_FALSE(round_trip_.TakeFresh()) << "it was taken";
}

// gRPC's servers count PINGs between which they have sent nothing.
TEST_F(RoundTripTest, NextMeasurementWaitsForData) {
  EXPECT_FALSE(round_trip_.MayStart());
  round_trip_.OnData();
  EXPECT_TRUE(round_trip_.MayStart());
  round_trip_.Start(now_);
  round_trip_.OnData();
  EXPECT_FALSE(round_trip_.MayStart()) << "one is under way";
  round_trip_.Stop(now_);
  EXPECT_FALSE(round_trip_.MayStart()) << "what came may be older";
  round_trip_.OnData();
  EXPECT_TRUE(round_trip_.MayStart());
}

TEST_F(RoundTripTest, AnswersThatWereNotWaitedForAreIgnored) {
  round_trip_.Stop(now_);
  EXPECT_FALSE(round_trip_.IsFar());
  Measure(milliseconds(50));
  round_trip_.Stop(now_);
  EXPECT_EQ(round_trip_.smallest(), milliseconds(50));
  EXPECT_FALSE(round_trip_.TakeFresh());
}

}  // namespace
}  // namespace headgate::h2
