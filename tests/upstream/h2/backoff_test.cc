#include "gateway/upstream/h2/backoff.h"

#include <chrono>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class BackoffTest : public ::testing::Test {
 protected:
  const Backoff::Clock::time_point now_ =
      Backoff::Clock::time_point(std::chrono::hours(1));
  const Backoff::Limits limits_ = {milliseconds(1000), seconds(10)};
  std::minstd_rand random_{1};
  Backoff backoff_;
};

TEST_F(BackoffTest, WhatHasNotFailedNeedNotWait) {
  EXPECT_FALSE(backoff_.failing());
  EXPECT_FALSE(backoff_.waits(now_));
}

// grpc/grpc doc/connection-backoff.md: times 1.6, up to the limit, a fifth more
// or less.
TEST_F(BackoffTest, PausesGrowToTheLimit) {
  for (const double expected : {1.0, 1.6, 2.56, 4.096, 6.5536, 10.0, 10.0}) {
    backoff_.Fail(now_, limits_, random_);
    const double pause =
        std::chrono::duration<double>(backoff_.retry_at() - now_).count();
    EXPECT_GE(pause, 0.799 * expected);
    EXPECT_LE(pause, 1.201 * expected);
    EXPECT_TRUE(backoff_.waits(backoff_.retry_at() - milliseconds(1)));
    EXPECT_FALSE(backoff_.waits(backoff_.retry_at()));
    EXPECT_TRUE(backoff_.failing());
  }
}

// Clients that failed together should not come back together.
TEST_F(BackoffTest, NoTwoPausesAreTheSame) {
  Backoff other;
  backoff_.Fail(now_, limits_, random_);
  other.Fail(now_, limits_, random_);
  EXPECT_NE(backoff_.retry_at(), other.retry_at());
}

TEST_F(BackoffTest, WhatHasFailedForeverStillHasALimit) {
  for (int i = 0; i < 100'000; ++i) backoff_.Fail(now_, limits_, random_);
  EXPECT_LE(backoff_.retry_at(), now_ + seconds(12));
  EXPECT_GE(backoff_.retry_at(), now_ + seconds(8));
}

TEST_F(BackoffTest, SuccessStartsAnew) {
  for (int i = 0; i < 5; ++i) backoff_.Fail(now_, limits_, random_);
  backoff_.Reset();
  EXPECT_FALSE(backoff_.waits(now_));
  backoff_.Fail(now_, limits_, random_);
  EXPECT_LE(backoff_.retry_at(), now_ + milliseconds(1201));
}

}  // namespace
}  // namespace headgate
