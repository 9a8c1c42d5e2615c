#include "gateway/base/turn.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/turn_clock.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Task final : public TurnTask {
 public:
  explicit Task(std::function<void()> act) : act_(std::move(act)) {}

 private:
  void OnTurn() override {
    const std::function<void()> act = act_;  // It may destroy the task.
    act();
  }

  const std::function<void()> act_;
};

class Body {
 public:
  explicit Body(std::function<void()> end) : end_(std::move(end)) {}
  ~Body() { end_(); }

 private:
  const std::function<void()> end_;
};

constexpr Turn::Clock::duration kQuarter =
    Turn::Clock::duration(Turn::kLong) / 4;

class TurnTest : public ::testing::Test {
 protected:
  // How often the loop was woken since this was asked last.
  int Woken() { return std::exchange(woken_, 0); }

  int woken_ = 0;
  std::vector<std::string> log_;
  testing::TurnClock clock_;
  Turn turn_{[this] { ++woken_; }, clock_.now()};
};

TEST_F(TurnTest, TasksRunInOrderAndOnce) {
  Task a([&] { log_.push_back("a"); });
  Task b([&] { log_.push_back("b"); });
  turn_.Soon(b);
  turn_.Soon(a);
  turn_.Soon(b);
  EXPECT_THAT(log_, IsEmpty());
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("b", "a"));
  turn_.Run();
  EXPECT_EQ(log_.size(), 2u);
}

// What takes long goes on after the event loop has looked at sockets.
TEST_F(TurnTest, WhatIsForTheNextIterationWaitsForTheLoop) {
  Task next([&] { log_.push_back("next"); });
  Task again([&] {
    log_.push_back("again");
    turn_.Next(again);
    turn_.Next(next);
  });
  turn_.Next(again);
  EXPECT_EQ(Woken(), 1);
  turn_.Run();
  EXPECT_THAT(log_, IsEmpty());
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("again"));
  EXPECT_EQ(Woken(), 1);
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("again", "again", "next"));
}

// What is written by several leaves together.
TEST_F(TurnTest, WhatIsForTheEndWaitsForAllOthers) {
  Task last([&] { log_.push_back("last"); });
  Task second([&] { log_.push_back("second"); });
  Task first([&] {
    log_.push_back("first");
    turn_.Soon(second);
  });
  turn_.AtEnd(last);
  turn_.Soon(first);
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("first", "second", "last"));
}

TEST_F(TurnTest, TheEndMayBringMoreToDo) {
  Task more([&] { log_.push_back("more"); });
  Task last([&] {
    log_.push_back("last");
    turn_.Soon(more);
  });
  turn_.AtEnd(last);
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("last", "more"));
}

TEST_F(TurnTest, LoopIsWokenOnceForWhatIsPutOffOutside) {
  Task a([] {}), b([&] { turn_.Soon(a); });
  turn_.Soon(a);
  turn_.Soon(b);
  EXPECT_EQ(Woken(), 1);
  turn_.Run();  // By a handler that was first.
  turn_.Soon(a);
  EXPECT_EQ(Woken(), 0);  // It is on its way.
  turn_.OnWoken();
  EXPECT_EQ(Woken(), 0);
  turn_.Soon(b);
  EXPECT_EQ(Woken(), 1);
  turn_.OnWoken();
  EXPECT_EQ(Woken(), 0);  // Run does what comes up within.
}

TEST_F(TurnTest, WhatKeepsComingLeavesSocketsTheirTurn) {
  int runs = 0, ends = 0;
  Task last([&] { ++ends; });
  Task task([&] {
    ++runs;
    turn_.Soon(task);
    turn_.AtEnd(last);
  });
  turn_.Soon(task);
  ASSERT_EQ(Woken(), 1);
  turn_.OnWoken();
  EXPECT_GT(runs, 1);
  EXPECT_LT(runs, 100);
  EXPECT_GT(ends, 0);
  EXPECT_EQ(Woken(), 1);
}

TEST_F(TurnTest, DestroyedTaskDoesNotRun) {
  auto gone = std::make_unique<Task>([&] { log_.push_back("gone"); });
  auto also_gone = std::make_unique<Task>([&] { log_.push_back("gone"); });
  Task a([&] {
    log_.push_back("a");
    also_gone.reset();
  });
  turn_.Soon(*gone);
  turn_.Soon(a);
  turn_.Soon(*also_gone);
  gone.reset();
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("a"));
}

TEST_F(TurnTest, TaskMayDestroyItself) {
  std::unique_ptr<Task> self;
  self = std::make_unique<Task>([&] {
    self.reset();
    log_.push_back("a");
  });
  turn_.Soon(*self);
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("a"));
}

TEST_F(TurnTest, BuriedLivesUntilTheTasksHaveRun) {
  Task second([&] { log_.push_back("second"); });
  auto body = std::make_unique<Body>([&] { log_.push_back("dead"); });
  Task first([&] {
    turn_.Bury(std::move(body));
    turn_.Soon(second);
    log_.push_back("first");
  });
  turn_.Soon(first);
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("first", "second", "dead"));
}

TEST_F(TurnTest, BuriedOutsideWakesTheLoop) {
  turn_.Bury(std::make_unique<Body>([&] { log_.push_back("dead"); }));
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(Woken(), 1);
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("dead"));
}

TEST_F(TurnTest, OtherSharesKeepWhatIsBuried) {
  auto shared = std::make_shared<Body>([&] { log_.push_back("dead"); });
  turn_.Bury(std::shared_ptr<Body>(shared));
  turn_.Run();
  EXPECT_THAT(log_, IsEmpty());
  shared.reset();
  EXPECT_THAT(log_, ElementsAre("dead"));
}

TEST_F(TurnTest, DestructionMayBuryAndPutOff) {
  Task task([&] { log_.push_back("task"); });
  auto other = std::make_unique<Body>([&] { log_.push_back("other"); });
  turn_.Bury(std::make_unique<Body>([&] {
    turn_.Soon(task);
    turn_.Bury(std::move(other));
  }));
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("other"));
  EXPECT_EQ(Woken(), 2);
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("other", "task"));
}

TEST_F(TurnTest, TasksMayOutliveIt) {
  Task task([&] { log_.push_back("task"); });
  {
    Turn turn([] {});
    turn.Soon(task);
  }
  turn_.Soon(task);
  turn_.Run();
  EXPECT_THAT(log_, ElementsAre("task"));
}

TEST_F(TurnTest, LongWorkIsCountedUntilTheLoopHasLookedAtSockets) {
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(turn_.has_worked_long());
    const Turn::Work work(turn_);
    clock_.Advance(kQuarter);
  }
  EXPECT_TRUE(turn_.has_worked_long());
  turn_.Run();
  EXPECT_TRUE(turn_.has_worked_long());
  turn_.OnWoken();
  EXPECT_FALSE(turn_.has_worked_long());
}

TEST_F(TurnTest, WorkWithinWorkIsCountedOnce) {
  {
    const Turn::Work outer(turn_);
    for (int i = 0; i < 3; ++i) {
      const Turn::Work inner(turn_);
      clock_.Advance(kQuarter);
    }
    EXPECT_FALSE(turn_.has_worked_long());
    clock_.WorkLong(turn_);
    EXPECT_TRUE(turn_.has_worked_long());
  }
  EXPECT_TRUE(turn_.has_worked_long());
  turn_.OnWoken();
  EXPECT_FALSE(turn_.has_worked_long());
}

// Nor does a task that has begun keep others from beginning.
TEST_F(TurnTest, WhatHasNotBegunComesBeforeWhatGoesOn) {
  Task on([&] {
    log_.push_back("on");
    turn_.Next(on);
    clock_.WorkLong(turn_);
  });
  Task a([&] {
    log_.push_back("a");
    clock_.WorkLong(turn_);
  });
  Task b([&] { log_.push_back("b"); });
  turn_.Next(on);
  turn_.Postpone(a);
  turn_.Postpone(b);
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("a", "on"));
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("a", "on", "b", "on"));
}

// A task with a lot to do does not keep others from what they have to do.
TEST_F(TurnTest, WhatTakesLongIsDoneInTurns) {
  Task a([&] {
    log_.push_back("a");
    turn_.Next(a);
    clock_.WorkLong(turn_);
  });
  Task b([&] {
    log_.push_back("b");
    turn_.Next(b);
    clock_.WorkLong(turn_);
  });
  Task c([&] { log_.push_back("c"); });
  turn_.Next(a);
  turn_.Next(b);
  turn_.Next(c);
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("a"));
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("a", "b"));
  turn_.OnWoken();
  EXPECT_THAT(log_, ElementsAre("a", "b", "c", "a"));
  turn_.OnWoken();
  EXPECT_EQ(log_.back(), "b");
}

}  // namespace
}  // namespace headgate
