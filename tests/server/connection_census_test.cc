#include "gateway/server/connection_census.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace headgate {
namespace {

TEST(ConnectionCensusTest, EachIsCountedFromEnterToTheEndOfItsPlace) {
  ConnectionCensus census;
  std::unique_ptr<Place> first = census.Enter();
  const std::unique_ptr<Place> second = census.Enter();
  EXPECT_EQ(census.open(), 2);
  first.reset();
  EXPECT_EQ(census.open(), 1);
}

TEST(ConnectionCensusTest, AnAddressHasItsOwnLimit) {
  ConnectionCensus census;
  std::unique_ptr<Place> first, second, third;
  EXPECT_EQ(census.AdmitAddress("a", 1, &first), Capacity::kFree);
  EXPECT_EQ(census.AdmitAddress("a", 1, &second), Capacity::kAddressFull);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(census.AdmitAddress("b", 1, &second), Capacity::kFree);
  first.reset();
  EXPECT_EQ(census.AdmitAddress("a", 1, &third), Capacity::kFree);
}

TEST(ConnectionCensusTest, ALimitOfZeroIsNone) {
  ConnectionCensus census;
  std::vector<std::unique_ptr<Place>> places(5);
  for (auto& place : places) {
    EXPECT_EQ(census.AdmitAddress("a", 0, &place), Capacity::kFree);
  }
}

TEST(ConnectionCensusTest, WhatHasNoAddressIsNotCountedAndGetsNoPlace) {
  ConnectionCensus census;
  for (int i = 0; i < 5; ++i) {
    std::unique_ptr<Place> place;
    EXPECT_EQ(census.AdmitAddress("", 1, &place), Capacity::kFree);
    EXPECT_EQ(place, nullptr);
  }
}

}  // namespace
}  // namespace headgate
