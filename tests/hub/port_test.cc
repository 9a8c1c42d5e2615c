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
  void OnHubFrame(ws::SharedFrame& frame, const std::string& /*key*/,
                  bool is_greeting) override {
    log_.push_back((is_greeting ? "greeting " : "frame ") +
                   std::string(frame.payload()));
  }
  void OnHubClose(const HubClose& close) override {
    log_.push_back("close " +
                   std::to_string(static_cast<int>(close.ending.close)));
  }
  void OnHubWritable() override { log_.push_back("writable"); }

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
    commands.credit.push_back({who, bytes});
    port_->Apply(std::move(commands));
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
  port_->Apply(std::move(commands));
  EXPECT_THAT(log_, ElementsAre("frame hi"));
  EXPECT_EQ(port_->TakeEvents().cost_done, 10u);
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
    port_->Apply(std::move(commands));
  }
  EXPECT_THAT(log_, ElementsAre("admitted", "greeting hello"));
}

TEST_F(PortTest, AVerdictMayDestroyTheMember) {
  Make();
  std::unique_ptr<HubMember> member;
  member = Join([&](const absl::Status&) { member.reset(); });
  HubCommands commands;
  commands.commands.emplace_back(HubAdmit{member->who(), Frame("hello")});
  port_->Apply(std::move(commands));
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(port_->members(), 0u);
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
