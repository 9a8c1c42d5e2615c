#include "gateway/server/session_census.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace headgate {
namespace {

class SessionCensusTest : public ::testing::Test {
 protected:
  Capacity Admit(const std::string& address, const std::string& route) {
    std::unique_ptr<Place> place;
    const Capacity capacity = census_.Admit(address, route, limits_, &place);
    EXPECT_EQ(place != nullptr, capacity == Capacity::kFree);
    if (place != nullptr) places_.push_back(std::move(place));
    return capacity;
  }

  SessionCensus census_;
  SessionCensus::Limits limits_{
      .in_all = 100, .per_address = 0, .per_route = 0};
  std::vector<std::unique_ptr<Place>> places_;
};

TEST_F(SessionCensusTest, ThereAreSoManyPlacesInAll) {
  limits_.in_all = 2;
  EXPECT_EQ(Admit("a", "/"), Capacity::kFree);
  EXPECT_EQ(Admit("b", "/x"), Capacity::kFree);
  EXPECT_EQ(Admit("c", "/y"), Capacity::kFull);
  places_.pop_back();
  EXPECT_EQ(Admit("c", "/y"), Capacity::kFree);
  EXPECT_EQ(census_.in_all(), 2);
}

TEST_F(SessionCensusTest, AnAddressHasItsOwnLimit) {
  limits_.per_address = 1;
  EXPECT_EQ(Admit("a", "/"), Capacity::kFree);
  EXPECT_EQ(Admit("a", "/"), Capacity::kAddressFull);
  EXPECT_EQ(Admit("b", "/"), Capacity::kFree);
  places_.erase(places_.begin());
  EXPECT_EQ(Admit("a", "/"), Capacity::kFree);
}

TEST_F(SessionCensusTest, WhatHasNoAddressIsNotCountedByIt) {
  limits_.per_address = 1;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Admit("", "/"), Capacity::kFree);
}

TEST_F(SessionCensusTest, ARouteHasItsOwnLimit) {
  limits_.per_route = 1;
  EXPECT_EQ(Admit("a", "/x"), Capacity::kFree);
  EXPECT_EQ(Admit("b", "/x"), Capacity::kRouteFull);
  EXPECT_EQ(Admit("b", "/y"), Capacity::kFree);
}

TEST_F(SessionCensusTest, AnIdentityHasItsOwnLimit) {
  const auto admit = [this](const std::string& identity) {
    std::unique_ptr<Place> place;
    EXPECT_EQ(census_.Admit("a", "/", limits_, &place), Capacity::kFree);
    const Capacity capacity = census_.AdmitIdentity(identity, 1, &place);
    EXPECT_NE(place, nullptr);
    if (capacity == Capacity::kFree) places_.push_back(std::move(place));
    return capacity;
  };
  EXPECT_EQ(admit("ann"), Capacity::kFree);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(admit("ann"), Capacity::kIdentityFull);
  EXPECT_EQ(admit("bob"), Capacity::kFree);
  EXPECT_EQ(census_.in_all(), 2);
  // The session's place goes with that of its identity.
  places_.erase(places_.begin());
  EXPECT_EQ(census_.in_all(), 1);
  EXPECT_EQ(admit("ann"), Capacity::kFree);
}

TEST_F(SessionCensusTest, WithoutALimitIdentitiesAreNotCounted) {
  std::unique_ptr<Place> place;
  EXPECT_EQ(census_.Admit("a", "/", limits_, &place), Capacity::kFree);
  const Place* const alone = place.get();
  EXPECT_EQ(census_.AdmitIdentity("ann", 0, &place), Capacity::kFree);
  EXPECT_EQ(place.get(), alone);
}

// Who is refused takes nothing.
TEST_F(SessionCensusTest, ARefusalLeavesNoTrace) {
  limits_.per_address = 1;
  limits_.per_route = 2;
  EXPECT_EQ(Admit("a", "/x"), Capacity::kFree);
  for (int i = 0; i < 5; ++i) Admit("a", "/x");
  EXPECT_EQ(Admit("b", "/x"), Capacity::kFree);
  EXPECT_EQ(census_.in_all(), 2);
  places_.clear();
  EXPECT_EQ(census_.in_all(), 0);
}

}  // namespace
}  // namespace headgate
