#include "gateway/server/connections.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Le;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

// Says when it is looked at, and does what the test wants then.
class FakeConnection final : public Connection {
 public:
  FakeConnection(std::string name, std::vector<std::string>& log)
      : name_(std::move(name)), log_(log) {}

  void OnTick(absl::Time now) override {
    EXPECT_EQ(now, absl::UnixEpoch());
    ++looks_;
    log_.push_back(name_);
    if (act_) act_();
  }
  bool Rest() override { return rests_; }
  bool MayMakeRoom(absl::Time) const override { return may_make_room_; }
  void Drain(const DrainOrder&) override {}
  void Abort() override {}
  void CloseSession() override {}
  const Session* session() const override { return nullptr; }

  bool rests_ = false;
  bool may_make_room_ = true;
  int looks_ = 0;
  std::function<void()> act_;

 private:
  const std::string name_;
  std::vector<std::string>& log_;
};

class ConnectionsTest : public ::testing::Test {
 protected:
  FakeConnection& Add(const std::string& name) {
    auto connection = std::make_shared<FakeConnection>(name, log_);
    FakeConnection& added = *connection;
    connections_.Add(std::move(connection), 7, ++number_);
    return added;
  }
  FakeConnection& AddResting(const std::string& name) {
    FakeConnection& added = Add(name);
    added.rests_ = true;
    return added;
  }
  // Who is looked at.
  std::vector<std::string> Tick(std::size_t round) {
    log_.clear();
    connections_.OnTick(absl::UnixEpoch(), round);
    return log_;
  }

  std::vector<std::string> log_;
  Connections connections_;
  std::uint64_t number_ = 0;
};

TEST_F(ConnectionsTest, TheAwakeAreLookedAtWithEachTick) {
  Add("a");
  Add("b");
  EXPECT_THAT(Tick(10), ElementsAre("a", "b"));
  EXPECT_THAT(Tick(10), ElementsAre("a", "b"));
}

TEST_F(ConnectionsTest, ThoseAtRestAreLookedAtInTurn) {
  for (const char* name : {"a", "b", "c", "d"}) AddResting(name);
  Tick(4);
  EXPECT_THAT(Tick(2), ElementsAre("b", "c"));
  EXPECT_THAT(Tick(2), ElementsAre("d", "a"));
  EXPECT_THAT(Tick(4), ElementsAre("b"));
  EXPECT_THAT(Tick(1), ElementsAre("c", "d", "a", "b"));
}

// Others come to rest, wake and leave meanwhile.
TEST_F(ConnectionsTest, ARoundOfTicksIsEnoughForEachAtRest) {
  std::vector<FakeConnection*> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(&AddResting("idle"));
  std::vector<FakeConnection*> busy;
  for (int i = 0; i < 50; ++i) busy.push_back(&AddResting("busy"));
  Tick(10);
  for (int tick = 0; tick < 100; ++tick) {
    if (tick % 10 == 0) {
      for (FakeConnection* connection : idle) connection->looks_ = 0;
    }
    connections_.Wake(*busy[static_cast<std::size_t>(tick * 7 % 50)]);
    FakeConnection& visitor = AddResting("visitor");
    Tick(10);
    connections_.Remove(visitor);
    if (tick % 10 < 9) continue;
    for (FakeConnection* connection : idle) {
      EXPECT_THAT(connection->looks_, AllOf(Ge(1), Le(2))) << tick;
    }
  }
}

TEST_F(ConnectionsTest, WhoWakesIsLookedAtWithEachTickUntilItRestsAgain) {
  FakeConnection& a = AddResting("a");
  for (const char* name : {"b", "c", "d"}) AddResting(name);
  Tick(4);  // And "a" once more.
  a.rests_ = false;
  connections_.Wake(a);
  EXPECT_THAT(Tick(4), ElementsAre("a", "b"));
  EXPECT_THAT(Tick(4), ElementsAre("a", "c"));
  a.rests_ = true;
  EXPECT_THAT(Tick(4), ElementsAre("a", "d"));
  EXPECT_THAT(Tick(4), ElementsAre("b"));
}

// A ping is due, for example.
TEST_F(ConnectionsTest, WhoHasSomethingToDoWhenItsTurnComesIsAwake) {
  FakeConnection& a = AddResting("a");
  AddResting("b");
  Tick(2);
  EXPECT_THAT(Tick(2), ElementsAre("b"));
  a.rests_ = false;
  EXPECT_THAT(Tick(2), ElementsAre("a"));
  EXPECT_THAT(Tick(2), ElementsAre("a", "b"));
}

TEST_F(ConnectionsTest, WhoWakesWhileItIsLookedAtIsAwake) {
  FakeConnection& a = AddResting("a");
  AddResting("b");
  Tick(2);
  a.act_ = [&] {
    a.rests_ = false;
    connections_.Wake(a);
  };
  EXPECT_THAT(Tick(2), ElementsAre("b"));
  EXPECT_THAT(Tick(2), ElementsAre("a"));
  EXPECT_THAT(Tick(2), ElementsAre("a", "b"));
}

TEST_F(ConnectionsTest, WakingWhoIsAwakeOrGoneChangesNothing) {
  FakeConnection& a = Add("a");
  connections_.Wake(a);
  EXPECT_THAT(Tick(2), ElementsAre("a"));
  FakeConnection stranger("stranger", log_);
  connections_.Wake(stranger);
  EXPECT_THAT(Tick(2), ElementsAre("a"));
}

TEST_F(ConnectionsTest, AConnectionMayRemoveItselfAndOthersWhileItIsLookedAt) {
  FakeConnection& a = Add("a");
  FakeConnection& b = Add("b");
  FakeConnection& c = Add("c");
  FakeConnection& d = AddResting("d");
  Add("e");
  Tick(1);
  b.act_ = [&] {
    for (FakeConnection* gone : {&a, &b, &c, &d}) connections_.Remove(*gone);
    b.rests_ = true;  // It is still there itself.
  };
  Tick(1);
  EXPECT_THAT(log_, AllOf(IsSupersetOf({"a", "b", "e"}), Not(Contains("c")),
                          Not(Contains("d"))));
  EXPECT_THAT(Tick(1), ElementsAre("e"));
}

TEST_F(ConnectionsTest, WhoIsRemovedIsLetGo) {
  for (const bool rests : {false, true}) {
    auto connection = std::make_shared<FakeConnection>("a", log_);
    const std::weak_ptr<FakeConnection> watch = connection;
    connection->rests_ = rests;
    connections_.Add(std::move(connection), 7, ++number_);
    Tick(1);
    EXPECT_FALSE(connections_.empty());
    connections_.Remove(*watch.lock());
    EXPECT_TRUE(connections_.empty());
    EXPECT_TRUE(watch.expired());
    EXPECT_THAT(Tick(1), IsEmpty());
  }
}

TEST_F(ConnectionsTest, AConnectionMayAddOthersWhileItIsLookedAt) {
  FakeConnection& a = Add("a");
  a.act_ = [&] {
    a.act_ = nullptr;
    Add("b");
  };
  Tick(1);
  EXPECT_THAT(Tick(1), UnorderedElementsAre("a", "b"));
}

TEST_F(ConnectionsTest, ForEachShowsThemAll) {
  FakeConnection& awake = Add("awake");
  FakeConnection& resting = AddResting("resting");
  Tick(1);
  std::vector<Connection*> seen;
  connections_.ForEach([&](const Connections::Entry& entry) {
    EXPECT_EQ(entry.listener, 7u);
    seen.push_back(entry.connection.get());
  });
  EXPECT_THAT(seen, UnorderedElementsAre(&awake, &resting));
}

// --- to make room ---

TEST_F(ConnectionsTest, WhatHasWaitedLongestForARequestMakesRoom) {
  FakeConnection& a = Add("a");
  FakeConnection& b = Add("b");
  EXPECT_EQ(connections_.FindIdle(absl::UnixEpoch()), nullptr);
  connections_.SetIdle(b, true, absl::UnixEpoch());
  connections_.SetIdle(a, true, absl::UnixEpoch());
  EXPECT_EQ(connections_.FindIdle(absl::UnixEpoch()).get(), &b);
  connections_.SetIdle(b, false, absl::UnixEpoch());
  EXPECT_EQ(connections_.FindIdle(absl::UnixEpoch()).get(), &a);
  connections_.SetIdle(b, true, absl::UnixEpoch());
  EXPECT_EQ(connections_.FindIdle(absl::UnixEpoch()).get(), &a);
}

TEST_F(ConnectionsTest, KnowsSinceWhenTheOneThatHasWaitedLongestHas) {
  FakeConnection& a = Add("a");
  FakeConnection& b = Add("b");
  EXPECT_EQ(connections_.idle_since(), absl::InfiniteFuture());
  connections_.SetIdle(a, true, absl::FromUnixSeconds(1));
  connections_.SetIdle(b, true, absl::FromUnixSeconds(2));
  EXPECT_EQ(connections_.idle_since(), absl::FromUnixSeconds(1));
  connections_.SetIdle(a, false, {});
  EXPECT_EQ(connections_.idle_since(), absl::FromUnixSeconds(2));
}

TEST_F(ConnectionsTest, WhatMayNotMakeRoomIsPassedOver) {
  FakeConnection& a = Add("a");
  FakeConnection& b = Add("b");
  connections_.SetIdle(a, true, absl::UnixEpoch());
  connections_.SetIdle(b, true, absl::UnixEpoch());
  a.may_make_room_ = false;
  EXPECT_EQ(connections_.FindIdle(absl::UnixEpoch()).get(), &b);
}

TEST_F(ConnectionsTest, WhatIsRemovedMakesNoRoom) {
  FakeConnection& a = Add("a");
  connections_.SetIdle(a, true, absl::UnixEpoch());
  connections_.Remove(a);
  EXPECT_EQ(connections_.FindIdle(absl::UnixEpoch()), nullptr);
}

// --- Visit ---

// A list of them is made a few at a time, while they come, go, rest and wake.
TEST_F(ConnectionsTest, AVisitGoesOnWhereItWasInTheOrderOfArrival) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Add(name);
  std::vector<std::uint64_t> seen;
  const auto visit = [&](std::uint64_t after) {
    return connections_.Visit(after, 2, [&](const Connections::Entry& entry) {
      seen.push_back(entry.number);
    });
  };
  EXPECT_EQ(visit(0), 2u);
  Tick(10);
  AddResting("f");
  Tick(10);
  EXPECT_EQ(visit(2), 4u);
  EXPECT_EQ(visit(4), 6u);
  EXPECT_EQ(visit(6), 0u);
  EXPECT_THAT(seen, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(ConnectionsTest, AVisitMissesOnlyWhatIsGone) {
  Add("a");
  FakeConnection& gone = Add("b");
  Add("c");
  connections_.Remove(gone);
  std::vector<std::uint64_t> seen;
  connections_.Visit(1, 10, [&](const Connections::Entry& entry) {
    seen.push_back(entry.number);
  });
  EXPECT_THAT(seen, ElementsAre(3));
}

}  // namespace
}  // namespace headgate
