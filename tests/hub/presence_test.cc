#include "gateway/hub/presence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/hub/cluster_link.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Writes down what it is told: "g: +a -b =2", with "?" if it is incomplete.
class Reader final : public PresenceWatcher {
 public:
  bool is_over() const override { return over; }
  bool is_ready() const override { return ready; }
  void Take(std::vector<v1::WatchEvent> events) override {
    for (const v1::WatchEvent& event : events) {
      std::string line = event.group() + ":";
      for (const v1::SessionInfo& session : event.joined()) {
        absl::StrAppend(&line, " +", session.session());
      }
      for (const std::string& session : event.left()) {
        absl::StrAppend(&line, " -", session);
      }
      absl::StrAppend(&line, " =", event.sessions());
      if (event.incomplete()) line += " ?";
      told.push_back(std::move(line));
    }
  }
  std::vector<std::string> TakeTold() { return std::exchange(told, {}); }

  bool over = false;
  bool ready = true;
  std::vector<std::string> told;
};

class PresenceTest : public ::testing::Test {
 protected:
  using Node = FakeBroker::Node;

  PresenceTest() { Run(); }

  // Until all gateways know each other, and what they want.
  void Run() { broker_.Advance(absl::Seconds(3)); }
  std::shared_ptr<Reader> Watch(Node& node,
                                const std::vector<std::string>& groups) {
    auto reader = std::make_shared<Reader>();
    EXPECT_EQ(node.presence.Watch(groups, reader), absl::OkStatus());
    return reader;
  }
  static void Join(Node& node, const std::string& group,
                   const std::string& session) {
    ++node.members[group];
    if (!node.presence.IsWatched(group)) return;
    v1::SessionInfo info;
    info.set_session(session);
    node.presence.OnJoined(group, info);
  }
  static void Leave(Node& node, const std::string& group,
                    const std::string& session) {
    --node.members[group];
    if (node.presence.IsWatched(group)) node.presence.OnLeft(group, session);
  }

  void GoDown(Node& node) {
    node.up = false;
    node.cluster().OnDown(broker_.now);
  }
  void ComeUp(Node& node) {
    node.up = true;
    node.cluster().OnUp(broker_.now, {"epoch", false});
  }

  FakeBroker broker_;
  Node a_{broker_, "a"};
  Node b_{broker_, "b"};
};

TEST_F(PresenceTest, TheFirstEventSaysHowManyThereAre) {
  Join(a_, "g", "1");
  Join(b_, "g", "2");
  const auto reader = Watch(a_, {"g", "empty"});
  Run();
  EXPECT_EQ(reader->told.front(), "empty: =0 ?");
  EXPECT_THAT(reader->told, Contains("g: =1 ?"));
  EXPECT_THAT(reader->told, Contains("g: =2"));
}

TEST_F(PresenceTest, JoinsAndLeavesOfAllGatewaysAreTold) {
  const auto reader = Watch(a_, {"g"});
  Run();
  reader->told.clear();
  Join(a_, "g", "1");
  Join(a_, "other", "9");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +1 =1"));
  Join(b_, "g", "2");
  Join(b_, "g", "3");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +2 +3 =3"));
  Leave(b_, "g", "2");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: -2 =2"));
}

TEST_F(PresenceTest, AnEventSaysHowThingsAre) {
  const auto reader = Watch(a_, {"g"});
  Run();
  reader->told.clear();
  Join(a_, "g", "1");
  Join(a_, "g", "2");
  Leave(a_, "g", "1");
  Leave(a_, "g", "2");
  Join(a_, "g", "2");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +2 -1 =1"));
}

TEST_F(PresenceTest, NobodyIsToldWhoDoesNotWatch) {
  const auto reader = Watch(a_, {"g"});
  Run();
  broker_.seen.clear();
  Join(b_, "other", "1");
  Run();
  EXPECT_THAT(broker_.seen, Each(EndsWith(".hb")));
  EXPECT_FALSE(b_.presence.IsWatched("other"));
  EXPECT_TRUE(b_.presence.IsWatched("g"));
}

// Each says all groups.
TEST_F(PresenceTest, ProcessesThatComeAndGoAreAnnouncedOnceInATick) {
  const auto reader = Watch(a_, {"g"});
  Run();
  broker_.Advance(Cluster::kBeatInterval / 4);
  broker_.seen.clear();
  for (int i = 0; i < 20; ++i) {
    Watch(a_, {"g", absl::StrCat(i)})->over = true;
    Watch(a_, {"g"});
  }
  broker_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(broker_.seen, IsEmpty());
  Watch(a_, {"g", "1"});
  Watch(a_, {"2"});
  broker_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(broker_.seen, Contains("hg.hb").Times(1));
  EXPECT_TRUE(b_.presence.IsWatched("2"));
}

TEST_F(PresenceTest, AWatcherThatIsOverIsForgotten) {
  const auto reader = Watch(a_, {"g"});
  Run();
  EXPECT_EQ(a_.presence.watchers(), 1u);
  reader->over = true;
  Run();
  EXPECT_EQ(a_.presence.watchers(), 0u);
  EXPECT_FALSE(a_.presence.IsWatched("g"));
  EXPECT_FALSE(b_.presence.IsWatched("g"));
}

TEST_F(PresenceTest, WhatHappensWhileAWatcherIsBusyIsOneEvent) {
  const auto reader = Watch(a_, {"g"});
  Run();
  reader->told.clear();
  reader->ready = false;
  Join(a_, "g", "1");
  Run();
  Join(b_, "g", "2");
  Run();
  EXPECT_THAT(reader->told, IsEmpty());
  reader->ready = true;
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +1 +2 =2"));
}

TEST_F(PresenceTest, AWatcherThatIsFarBehindHasLostTheDetails) {
  const auto reader = Watch(a_, {"g"});
  const auto fast = Watch(a_, {"g"});
  Run();
  reader->told.clear();
  fast->told.clear();
  reader->ready = false;
  const std::string padding(1000, 'x');
  constexpr int kJoins = 1000;
  for (int i = 0; i < kJoins; ++i) {
    Join(a_, "g", absl::StrCat(i, padding));
    a_.presence.OnTick();
  }
  Run();
  EXPECT_EQ(fast->told.size(), static_cast<std::size_t>(kJoins));
  reader->ready = true;
  Run();
  ASSERT_EQ(reader->told.size(), 1u);
  EXPECT_THAT(reader->told[0], EndsWith("=1000 ?"));
  EXPECT_LT(reader->told[0].size(), Presence::kMostPendingBytes);
}

TEST_F(PresenceTest, AfterALossAllIsAskedForAgain) {
  Join(b_, "g", "1");
  const auto reader = Watch(a_, {"g"});
  Run();
  reader->told.clear();
  GoDown(a_);
  Join(b_, "g", "2");
  broker_.Advance(absl::Milliseconds(100));
  EXPECT_THAT(reader->told, IsEmpty());
  ComeUp(a_);
  Run();
  ASSERT_FALSE(reader->told.empty());
  EXPECT_THAT(reader->told.front(), EndsWith("?"));
  EXPECT_THAT(reader->told, Contains(HasSubstr("=2")));
}

TEST_F(PresenceTest, MembersOnAGatewayThatIsGoneAreLost) {
  const auto reader = Watch(a_, {"g"});
  {
    Node c{broker_, "c"};
    Run();
    Join(c, "g", "1");
    Run();
    reader->told.clear();
  }
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: =0 ?"));
}

TEST_F(PresenceTest, MembersOnAGatewayThatWasTakenForGoneAreBack) {
  Join(b_, "g", "1");
  const auto reader = Watch(a_, {"g", "empty"});
  Run();
  reader->told.clear();
  GoDown(b_);
  broker_.Advance(Cluster::kLongestSilence + absl::Seconds(3));
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: =0 ?"));
  ComeUp(b_);
  Run();
  EXPECT_THAT(reader->TakeTold(), Contains("g: =1 ?"));
  Join(b_, "g", "2");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +2 =2"));
}

TEST_F(PresenceTest, MembersAreBackWhicheverGatewayHasStoodStill) {
  Join(b_, "g", "1");
  const auto reader = Watch(a_, {"g"});
  Run();
  for (Node* deaf : {&a_, &b_}) {
    reader->told.clear();
    std::set<std::string> subjects = std::exchange(deaf->subjects, {});
    deaf->is_mute = deaf == &b_;
    broker_.Advance(Cluster::kLongestSilence + absl::Seconds(3));
    EXPECT_THAT(reader->TakeTold(), ElementsAre("g: =0 ?"));
    deaf->subjects = std::move(subjects);
    deaf->is_mute = false;
    Run();
    EXPECT_THAT(reader->TakeTold(), Contains("g: =1 ?"));
  }
}

TEST_F(PresenceTest, WhatWasToldBeforeACutIsNotReliedOn) {
  Join(b_, "g", "1");
  const auto reader = Watch(a_, {"g", "empty"});
  Run();
  reader->told.clear();
  b_.is_mute = true;
  Join(b_, "g", "2");
  broker_.Advance(absl::Milliseconds(100));
  b_.is_mute = false;
  GoDown(b_);
  ComeUp(b_);
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: =2 ?"));
}

TEST_F(PresenceTest, AGatewayMayHaveAnyName) {
  const auto reader = Watch(a_, {"g"});
  Run();
  reader->told.clear();
  for (const bool leaves : {false, true}) {
    for (const char* instance : {"#1", "1"}) {
      v1::EngineRecord record;
      record.mutable_beat()->set_instance(instance);
      record.mutable_beat()->add_watched("another");
      record.mutable_beat()->set_leaves(leaves);
      a_.cluster().OnRecord(record.SerializeAsString(), broker_.now);
    }
  }
  EXPECT_EQ(a_.presence.watchers(), 1u);
  Join(a_, "g", "1");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +1 =1"));
}

TEST_F(PresenceTest, AGatewayThatComesLaterIsAskedToo) {
  const auto reader = Watch(a_, {"g"});
  Node c{broker_, "c"};
  Run();
  reader->told.clear();
  Join(c, "g", "1");
  Run();
  EXPECT_THAT(reader->TakeTold(), ElementsAre("g: +1 =1"));
}

TEST_F(PresenceTest, WhatCannotBeWatchedIsRefused) {
  const auto watch = [this](const std::vector<std::string>& groups) {
    return a_.presence.Watch(groups, std::make_shared<Reader>());
  };
  EXPECT_TRUE(absl::IsInvalidArgument(watch({})));
  EXPECT_TRUE(absl::IsInvalidArgument(watch({""})));
  EXPECT_TRUE(absl::IsInvalidArgument(watch({std::string(1000, 'x')})));
  EXPECT_EQ(a_.presence.watchers(), 0u);
  std::vector<std::string> many;
  for (std::size_t i = 0; i <= Presence::kMostGroups; ++i) {
    many.push_back(absl::StrCat(i));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(watch(many)));
  many.pop_back();
  EXPECT_TRUE(watch(many).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(watch({"one more"})));
}

TEST_F(PresenceTest, SoManyMayWatch) {
  for (std::size_t i = 0; i < Presence::kMostWatchers; ++i) Watch(a_, {"g"});
  EXPECT_TRUE(absl::IsResourceExhausted(
      a_.presence.Watch({"g"}, std::make_shared<Reader>())));
}

}  // namespace
}  // namespace headgate
