#include "gateway/upstream/h2/round_trip.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class H2RoundTripTest : public ::testing::Test {
 protected:
  void Measure(H2RoundTrip::Clock::duration time) {
    round_trip_.Start(now_);
    round_trip_.Stop(now_ += time);
  }

  H2RoundTrip round_trip_;
  H2RoundTrip::Clock::time_point now_;
};

TEST_F(H2RoundTripTest, IsTheSmallestOfAll) {
  for (const int time : {200, 60, 80, 50, 300}) Measure(milliseconds(time));
  EXPECT_TRUE(round_trip_.IsFar());
  EXPECT_EQ(round_trip_.smallest(), milliseconds(50));
}

TEST_F(H2RoundTripTest, IsFarOverTenMilliseconds) {
  EXPECT_FALSE(round_trip_.IsFar()) << "before it was measured";
  Measure(milliseconds(10) + microseconds(1));
  EXPECT_TRUE(round_trip_.IsFar());
  Measure(milliseconds(10));
  EXPECT_FALSE(round_trip_.IsFar());
}

// However long the others were.
TEST_F(H2RoundTripTest, IsNearAfterOneShortMeasurement) {
  Measure(milliseconds(100));
  Measure(milliseconds(1));
  Measure(milliseconds(100));
  EXPECT_FALSE(round_trip_.IsFar());
}

TEST_F(H2RoundTripTest, TheFirstMeasurementAloneIsNotFresh) {
  Measure(milliseconds(50));
  EXPECT_FALSE(round_trip_.TakeFresh());
  Measure(milliseconds(50));
  EXPECT_TRUE(round_trip_.TakeFresh());
  EXPECT_FALSE(round_trip_.TakeFresh()) << "it was taken";
}

// gRPC's servers count PINGs between which they have sent nothing.
TEST_F(H2RoundTripTest, NextMeasurementWaitsForData) {
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

TEST_F(H2RoundTripTest, AnswersThatWereNotWaitedForAreIgnored) {
  round_trip_.Stop(now_);
  EXPECT_FALSE(round_trip_.IsFar());
  Measure(milliseconds(50));
  round_trip_.Stop(now_);
  EXPECT_EQ(round_trip_.smallest(), milliseconds(50));
  EXPECT_FALSE(round_trip_.TakeFresh());
}

}  // namespace
}  // namespace headgate
