#include "gateway/admin/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;

SessionInfo Session(const std::string& id, int opened) {
  SessionInfo session;
  session.id = id;
  session.route = "/chat";
  session.codec = "json";
  session.opened_at = absl::FromUnixSeconds(opened);
  return session;
}

TEST(SessionFilterTest, WhatIsEmptyIsAny) {
  EXPECT_TRUE(SessionFilter().Matches(Session("a", 1)));
}

TEST(SessionFilterTest, AllThatIsSetMustFit) {
  SessionFilter filter;
  filter.route = "/chat";
  EXPECT_TRUE(filter.Matches(Session("a", 1)));
  filter.codec = "raw";
  EXPECT_FALSE(filter.Matches(Session("a", 1)));
  filter.codec.clear();
  filter.id = "b";
  EXPECT_FALSE(filter.Matches(Session("a", 1)));
}

TEST(KeepOldestTest, TheOldestComeFirst) {
  std::vector<SessionInfo> sessions = {Session("c", 3), Session("a", 1),
                                       Session("b", 2)};
  const auto ids = [&] {
    std::vector<std::string> list;
    for (const SessionInfo& session : sessions) list.push_back(session.id);
    return list;
  };
  KeepOldest(10, sessions);
  EXPECT_THAT(ids(), ElementsAre("a", "b", "c"));
  KeepOldest(1, sessions);
  EXPECT_THAT(ids(), ElementsAre("a"));
  KeepOldest(0, sessions);
  EXPECT_TRUE(sessions.empty());
}

}  // namespace
}  // namespace headgate
