#include "gateway/base/token_bucket.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(TokenBucketTest, BeginsFull) {
  TokenBucket bucket(1, 3);
  EXPECT_TRUE(bucket.Take(3));
  EXPECT_FALSE(bucket.Take(1));
}

TEST(TokenBucketTest, WhatIsTooMuchTakesNothing) {
  TokenBucket bucket(1, 3);
  EXPECT_FALSE(bucket.Take(4));
  EXPECT_TRUE(bucket.Take(3));
}

TEST(TokenBucketTest, FillsAtItsRateUpToTheBurst) {
  TokenBucket bucket(10, 3);
  bucket.Refill(kStart);
  EXPECT_TRUE(bucket.Take(3));
  bucket.Refill(kStart + absl::Milliseconds(100));
  EXPECT_TRUE(bucket.Take(1));
  EXPECT_FALSE(bucket.Take(1));
  bucket.Refill(kStart + absl::Hours(1));
  EXPECT_TRUE(bucket.Take(3));
  EXPECT_FALSE(bucket.Take(1));
}

// A clock that was set back gives nothing and takes nothing.
TEST(TokenBucketTest, TimeThatRunsBackIsNoTime) {
  TokenBucket bucket(10, 3);
  bucket.Refill(kStart);
  EXPECT_TRUE(bucket.Take(2));
  bucket.Refill(kStart - absl::Hours(1));
  EXPECT_TRUE(bucket.Take(1));
  EXPECT_FALSE(bucket.Take(1));
}

}  // namespace
}  // namespace headgate
