#include "gateway/hub/port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Session final : public HubMemberObserver {
 public:
  explicit Session(std::vector<std::string>& log) : log_(log) {}
  void OnHubFrame(ws::SharedFrame& frame,
                  const HubDeliver& /*deliver*/) override {
    log_.push_back("frame " + std::string(frame.payload()));
  }
  void OnHubAnswer(ws::SharedFrame& frame) override {
    log_.push_back("answer " + std::string(frame.payload()));
  }
  void OnHubGreeting(ws::SharedFrame& frame) override {
    log_.push_back("greeting " + std::string(frame.payload()));
  }
  void OnHubExpiry(absl::Time at) override {
    log_.push_back("expires at " + std::to_string(absl::ToUnixSeconds(at)));
  }
  void OnHubClose(const HubClose& close, ws::SharedFrame* farewell) override {
    log_.push_back("close " +
                   std::to_string(static_cast<int>(close.ending.close)));
    if (farewell != nullptr) {
      farewells_.push_back(farewell->For(ws::FrameForm()));
    }
  }
  void OnHubWritable() override { log_.push_back("writable"); }

  std::vector<ws::FrameRef> farewells_;

 private:
  std::vector<std::string>& log_;
};

HubFrame Frame(const std::string& text) {
  return std::make_shared<const WireMessage>(WireMessage{Opcode::kText, text});
}

class PortTest : public ::testing::Test {
 protected:
  PortTest() {
    target_.events_bytes = 2000;
    target_.session_events_bytes = 600;
  }
  // Of worker 1 of 2.
  std::shared_ptr<HubPort> Make() {
    return port_ = std::make_shared<HubPort>(target_, HubForm{}, 1, 2,
                                             [this] { ++wakes_; });
  }
  std::unique_ptr<HubMember> Join(HubMember::Verdict verdict = nullptr) {
    auto member = HubPort::Join(port_, {}, std::move(verdict));
    member->SetObserver(&session_);
    return member;
  }
  void Return(Who who, std::size_t bytes) {
    HubCommands commands;
    commands.credit.push_back({who, bytes, bytes});
    Apply(std::move(commands));
  }
  // What still counts for the member alone.
  void ReturnShared(Who who, std::size_t bytes) {
    HubCommands commands;
    commands.credit.push_back({who, 0, bytes});
    Apply(std::move(commands));
  }

  // Returns the number of slices.
  int Apply(HubCommands commands) {
    port_->Take(std::move(commands));
    int slices = 1;
    while (port_->ApplySlice()) ++slices;
    return slices;
  }

  HubTarget target_;
  std::shared_ptr<HubPort> port_;
  int wakes_ = 0;
  std::vector<std::string> log_;
  Session session_{log_};
};

TEST_F(PortTest, NumbersNameTheWorkerAndAreNotReused) {
  Make();
  EXPECT_EQ(Join()->who(), 2u);
  EXPECT_EQ(Join()->who(), 4u);
  EXPECT_EQ(Join()->who(), 6u);
}

TEST_F(PortTest, WakesOnceForABatch) {
  Make();
  const auto member = Join();
  member->Say({"x"});
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(port_->TakeEvents().events.size(), 2u);
  member->Say({"y"});
  EXPECT_EQ(wakes_, 2);
}

TEST_F(PortTest, AMemberStopsAtItsLimitAndGoesOn) {
  Make();
  const auto member = Join();
  EXPECT_TRUE(member->MaySay());
  member->Say({std::string(600, 'x')});
  EXPECT_FALSE(member->MaySay());
  EXPECT_FALSE(member->MaySay());
  Return(member->who(), 600 + kHubEventCost);
  EXPECT_THAT(log_, ElementsAre("writable"));
  EXPECT_TRUE(member->MaySay());
}

TEST_F(PortTest, AllStopAtTheLimitOfTheWorker) {
  Make();  // 1000 bytes are this worker's.
  const auto a = Join();
  const auto b = Join();
  a->Say({std::string(500, 'x')});
  b->Say({std::string(500, 'x')});
  EXPECT_FALSE(a->MaySay());
  EXPECT_FALSE(b->MaySay());
  Return(a->who(), 500 + kHubEventCost);
  EXPECT_THAT(log_, ElementsAre("writable"));
}

TEST_F(PortTest, WhatCountsForAMemberAloneStopsNobodyElse) {
  Make();
  const auto a = Join();
  const auto b = Join();
  a->Say({std::string(1000, 'x')});
  EXPECT_FALSE(b->MaySay());
  ReturnShared(a->who(), 1000 + kHubEventCost);
  EXPECT_THAT(log_, ElementsAre("writable"));
  EXPECT_TRUE(b->MaySay());
  EXPECT_FALSE(a->MaySay());
}

TEST_F(PortTest, DroppedMessagesAreCountedOnce) {
  Make();
  const auto member = Join();
  port_->TakeEvents();
  member->CountDropped(0);
  EXPECT_EQ(wakes_, 1);
  member->CountDropped(2);
  member->CountDropped(3);
  EXPECT_EQ(wakes_, 2);
  EXPECT_EQ(port_->TakeEvents().dropped, 5u);
  EXPECT_EQ(port_->TakeEvents().dropped, 0u);
}

TEST_F(PortTest, DeliversOnlyToWhoIsThere) {
  Make();
  const auto a = Join();
  auto b = Join();
  const Who gone = b->who();
  b.reset();
  HubCommands commands;
  commands.commands.emplace_back(
      HubDeliver{{gone, a->who(), 100}, Frame("hi"), ""});
  commands.cost = 10;
  Apply(std::move(commands));
  EXPECT_THAT(log_, ElementsAre("frame hi"));
  EXPECT_EQ(port_->TakeEvents().cost_done, 10u);
}

TEST_F(PortTest, ALongListIsCarriedOutInSlicesAndInOrder) {
  Make();
  const auto member = Join();
  HubCommands commands;
  const std::size_t receivers = HubPort::kSliceCost / HubPort::kReceiverCost;
  // Nobody but the last is there.
  std::vector<Who> whos(receivers, 100);
  whos.push_back(member->who());
  commands.commands.emplace_back(HubDeliver{whos, Frame(""), ""});
  commands.commands.emplace_back(
      HubDeliver{{member->who()}, Frame("next"), ""});
  commands.cost = 10;
  port_->Take(std::move(commands));
  port_->TakeEvents();
  EXPECT_TRUE(port_->ApplySlice());
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(port_->TakeEvents().cost_done, 0u);
  HubCommands later;
  later.commands.emplace_back(HubDeliver{{member->who()}, Frame("later"), ""});
  port_->Take(std::move(later));
  EXPECT_FALSE(port_->ApplySlice());
  EXPECT_THAT(log_, ElementsAre("frame ", "frame next", "frame later"));
  EXPECT_EQ(port_->TakeEvents().cost_done, 10u);
}

TEST_F(PortTest, ASliceIsOverWhenItsTimeIs) {
  Make();
  const auto member = Join();
  HubCommands commands;
  std::vector<Who> whos(2 * HubPort::kCostPerLook / HubPort::kReceiverCost,
                        100);
  whos.push_back(member->who());
  commands.commands.emplace_back(HubDeliver{whos, Frame("hi"), ""});
  port_->Take(std::move(commands));
  int asked = 0;
  const auto is_over = [&asked] { return ++asked > 0; };
  EXPECT_TRUE(port_->ApplySlice(is_over));
  EXPECT_TRUE(port_->ApplySlice(is_over));
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_FALSE(port_->ApplySlice(is_over));
  EXPECT_THAT(log_, ElementsAre("frame hi"));
}

TEST_F(PortTest, AFarewellIsOneFrameForAll) {
  Make();
  const auto a = Join();
  const auto b = Join();
  HubClose close{{a->who(), b->who()}, EndingOf(absl::NotFoundError("bye"))};
  close.farewell = Frame("farewell");
  HubCommands commands;
  commands.commands.emplace_back(std::move(close));
  Apply(std::move(commands));
  EXPECT_THAT(log_, ElementsAre("close 4005", "close 4005"));
  ASSERT_EQ(session_.farewells_.size(), 2u);
  EXPECT_TRUE(session_.farewells_[0] == session_.farewells_[1]);
}

TEST_F(PortTest, LongMessagesUseASliceUpSooner) {
  Make();
  const auto member = Join();
  HubCommands commands;
  for (int i = 0; i < 9; ++i) {
    commands.commands.emplace_back(
        HubDeliver{{member->who()}, Frame(std::string(1024 * 1024, 'x')), ""});
  }
  EXPECT_EQ(Apply(std::move(commands)), 3);
}

TEST_F(PortTest, AMemberThatGoesBetweenSlicesGetsNothing) {
  Make();
  auto member = Join();
  std::vector<Who> whos(HubPort::kSliceCost / HubPort::kReceiverCost, 100);
  whos.push_back(member->who());
  HubCommands commands;
  commands.commands.emplace_back(HubDeliver{whos, Frame("hi"), ""});
  port_->Take(std::move(commands));
  EXPECT_TRUE(port_->ApplySlice());
  member.reset();
  while (port_->ApplySlice()) {
  }
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(PortTest, TheVerdictComesOnceAndBeforeTheGreeting) {
  Make();
  const auto member = Join([this](const absl::Status& verdict) {
    log_.push_back(verdict.ok() ? "admitted" : "refused");
  });
  for (int i = 0; i < 2; ++i) {
    HubCommands commands;
    commands.commands.emplace_back(HubAdmit{member->who(), Frame("hello")});
    commands.commands.emplace_back(
        HubRefuse{member->who(), absl::NotFoundError("")});
    Apply(std::move(commands));
  }
  EXPECT_THAT(log_, ElementsAre("admitted", "greeting hello"));
}

TEST_F(PortTest, ASessionExpiresAsItWasAdmittedOrLater) {
  Make();
  const auto member = Join([](const absl::Status&) {});
  HubCommands commands;
  commands.commands.emplace_back(
      HubAdmit{member->who(), Frame("hello"), absl::FromUnixSeconds(7)});
  commands.commands.emplace_back(
      HubExpire{member->who(), absl::FromUnixSeconds(9)});
  commands.commands.emplace_back(HubExpire{100, absl::FromUnixSeconds(9)});
  Apply(std::move(commands));
  EXPECT_THAT(log_,
              ElementsAre("expires at 7", "greeting hello", "expires at 9"));
}

TEST_F(PortTest, AVerdictMayDestroyTheMember) {
  Make();
  std::unique_ptr<HubMember> member;
  member = Join([&](const absl::Status&) { member.reset(); });
  HubCommands commands;
  commands.commands.emplace_back(HubAdmit{member->who(), Frame("hello")});
  Apply(std::move(commands));
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(port_->members(), 0u);
}

// A session that keeps what it gets.
class Stuck final : public HubMemberObserver, public PinnedFrames::Holder {
 public:
  explicit Stuck(HubMember& member) : member_(member) {
    member.SetObserver(this);
  }
  void OnHubFrame(ws::SharedFrame& frame,
                  const HubDeliver& /*deliver*/) override {
    frames_.push_back(frame.plain());
    member_.pinned().Hold(*this);
  }
  void OnHubAnswer(ws::SharedFrame& /*frame*/) override {}
  void OnHubGreeting(ws::SharedFrame& /*frame*/) override {}
  void OnHubExpiry(absl::Time /*at*/) override {}
  void OnHubClose(const HubClose& /*close*/,
                  ws::SharedFrame* /*farewell*/) override {}
  void OnHubWritable() override {}
  std::size_t pinned_bytes() const override { return 1000 * frames_.size(); }
  void SendPinned() override {}
  void EndPinned() override {
    frames_.clear();
    member_.pinned().Release(*this);
  }

  std::vector<ws::FrameRef> frames_;

 private:
  HubMember& member_;
};

TEST_F(PortTest, WhatSessionsOfAllHubsHoldIsBoundedInTheMidstOfABatch) {
  constexpr std::size_t kLimit = 100'000;
  const auto pinned = std::make_shared<PinnedFrames>(kLimit);
  const auto make = [&] {
    return std::make_shared<HubPort>(
        target_, HubForm{}, 0, 1, [] {}, nullptr, pinned);
  };
  const auto one = make();
  const auto two = make();
  const auto member_of_one = HubPort::Join(one, {}, nullptr);
  const auto member_of_two = HubPort::Join(two, {}, nullptr);
  Stuck most(*member_of_one);
  Stuck less(*member_of_two);
  const auto deliver = [](HubPort& port, int count) {
    HubCommands commands;
    for (int i = 0; i < count; ++i) {
      commands.commands.emplace_back(
          HubDeliver{{1}, Frame(std::string(1000, 'x')), ""});
    }
    port.Take(std::move(commands));
    while (port.ApplySlice()) {
    }
  };
  deliver(*one, 70);
  deliver(*two, 20);
  EXPECT_EQ(most.frames_.size(), 70u);
  EXPECT_GT(pinned->bytes(), 90'000u);
  deliver(*two, 1000);
  EXPECT_THAT(most.frames_, IsEmpty());
  EXPECT_LE(pinned->bytes(), kLimit);
  EXPECT_GT(pinned->bytes(), 0u);
}

TEST_F(PortTest, ADepartureIsToldOnce) {
  Make();
  auto member = Join();
  port_->TakeEvents();
  member->Depart({});
  member->Say({"too late"});
  member.reset();
  EXPECT_EQ(port_->TakeEvents().events.size(), 1u);
}

}  // namespace
}  // namespace headgate
