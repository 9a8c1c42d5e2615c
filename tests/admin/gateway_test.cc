#include "gateway/admin/gateway.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;

SessionInfo Session(std::uint64_t number) {
  SessionInfo session;
  session.number = number;
  return session;
}

bool Matches(const SessionFilter& filter, const std::string& id) {
  return filter.Matches(
      {id, "peer", "up", "/s/m", "json", [] { return std::string("/chat"); }});
}

TEST(SessionFilterTest, WhatIsEmptyIsAny) {
  EXPECT_TRUE(Matches(SessionFilter(), "a"));
}

TEST(SessionFilterTest, AllThatIsSetMustFit) {
  SessionFilter filter;
  filter.route = "/chat";
  EXPECT_TRUE(Matches(filter, "a"));
  filter.codec = "raw";
  EXPECT_FALSE(Matches(filter, "a"));
  filter.codec.clear();
  filter.id = "b";
  EXPECT_FALSE(Matches(filter, "a"));
  EXPECT_TRUE(Matches(filter, "b"));
}

class SessionListTest : public ::testing::Test {
 protected:
  // Of workers that have answered with these.
  SessionList ListOf(std::vector<std::vector<std::uint64_t>> workers) {
    SessionList all;
    for (const auto& numbers : workers) {
      SessionList list;
      list.matching = 10;
      for (const std::uint64_t number : numbers) {
        list.sessions.push_back(Session(number));
      }
      all.Merge(std::move(list));
    }
    return all;
  }
  static std::vector<std::uint64_t> NumbersOf(const SessionList& list) {
    std::vector<std::uint64_t> numbers;
    for (const SessionInfo& session : list.sessions) {
      numbers.push_back(session.number);
    }
    return numbers;
  }
};

TEST_F(SessionListTest, TheOldestOfAllWorkersComeFirst) {
  SessionList list = ListOf({{1, 4}, {2, 3}});
  EXPECT_EQ(list.matching, 20u);
  list.Cut(10);
  EXPECT_THAT(NumbersOf(list), ElementsAre(1, 2, 3, 4));
  EXPECT_FALSE(list.has_more);
}

TEST_F(SessionListTest, WhatIsCutOffIsBehindThePage) {
  SessionList list = ListOf({{1, 4}, {2, 3}});
  list.Cut(3);
  EXPECT_THAT(NumbersOf(list), ElementsAre(1, 2, 3));
  EXPECT_TRUE(list.has_more);
}

TEST_F(SessionListTest, OneWorkersRestIsBehindThePageOfAll) {
  SessionList list = ListOf({{1}});
  SessionList other;
  other.has_more = true;
  other.complete = false;
  list.Merge(std::move(other));
  list.Cut(10);
  EXPECT_TRUE(list.has_more);
  EXPECT_FALSE(list.complete);
}

}  // namespace
}  // namespace headgate
