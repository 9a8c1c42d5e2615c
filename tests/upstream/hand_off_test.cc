#include "gateway/upstream/hand_off.h"
#include "gateway/upstream/loop_turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace headgate {
namespace {

using ::testing::ElementsAre;

class HandOffTest : public ::testing::Test {
 protected:
  struct Event final : HandOff::Event {
    explicit Event(std::function<void()> does) : act(std::move(does)) {}
    void Run() override { act(); }
    std::function<void()> act;
  };
  Event Says(const std::string& what) {
    return Event([this, what] { log_.push_back(what); });
  }

  std::vector<std::string> log_;
  boost::asio::io_context worker_{1};
  LoopTurn turn_{worker_};
  std::shared_ptr<HandOff> hand_off_ =
      std::make_shared<HandOff>(worker_, turn_);
};

TEST_F(HandOffTest, RunsEventsInTheirOrderAndWakesTheWorkerOnce) {
  Event a = Says("a"), b = Says("b"), c = Says("c");
  hand_off_->Post(a);
  hand_off_->Post(b);
  hand_off_->Post(c);
  EXPECT_THAT(log_, ElementsAre());
  EXPECT_EQ(worker_.poll(), 1u);
  EXPECT_THAT(log_, ElementsAre("a", "b", "c"));
}

TEST_F(HandOffTest, WakesTheWorkerAgainAfterItHasRunAll) {
  Event a = Says("a");
  hand_off_->Post(a);
  EXPECT_EQ(worker_.poll(), 1u);
  worker_.restart();
  hand_off_->Post(a);
  EXPECT_EQ(worker_.poll(), 1u);
  EXPECT_THAT(log_, ElementsAre("a", "a"));
}

// What comes while events run is run at once, but does not keep the worker from
// its sockets for ever.
TEST_F(HandOffTest, AnEventMayPostItselfAgain) {
  int runs = 0;
  Event again([&] {
    if (++runs < 100) hand_off_->Post(again);
  });
  hand_off_->Post(again);
  EXPECT_EQ(worker_.poll_one(), 1u);
  EXPECT_GT(runs, 1);
  EXPECT_LT(runs, 100);
  worker_.poll();
  EXPECT_EQ(runs, 100);
}

TEST_F(HandOffTest, AnEventMayDestroyItselfAndTheLastOwner) {
  auto last = std::make_unique<Event>([] {});
  last->act = [&] {
    log_.push_back("gone");
    hand_off_.reset();
    last.reset();
  };
  hand_off_->Post(*last);
  worker_.poll();
  EXPECT_THAT(log_, ElementsAre("gone"));
}

// Each event runs as often as it was posted, in each thread's order; with
// ThreadSanitizer also: what was written before Post is seen.
TEST_F(HandOffTest, LosesNothingOfManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kEvents = 2000;
  struct Numbered final : HandOff::Event {
    void Run() override { to->push_back(number); }
    std::vector<int>* to = nullptr;
    int number = 0;
  };
  std::vector<std::vector<Numbered>> events(kThreads);
  std::vector<std::vector<int>> seen(kThreads);
  for (int t = 0; t < kThreads; ++t) events[t] = std::vector<Numbered>(kEvents);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEvents; ++i) {
        events[t][i].to = &seen[t];
        events[t][i].number = i;
        hand_off_->Post(events[t][i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  worker_.poll();
  for (int t = 0; t < kThreads; ++t) {
    ASSERT_EQ(seen[t].size(), static_cast<std::size_t>(kEvents));
    for (int i = 0; i < kEvents; ++i) EXPECT_EQ(seen[t][i], i);
  }
}

}  // namespace
}  // namespace headgate
