#include "gateway/base/sliced_queue.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

class SocketTask final : public SlicedTask {
 public:
  explicit SocketTask(std::function<void()> act) : act_(std::move(act)) {}

 private:
  void OnSlice() override {
    const std::function<void()> act = act_;  // It may destroy the task.
    act();
  }

  const std::function<void()> act_;
};

class SlicedQueueTest : public ::testing::Test {
 protected:
  SlicedQueueTest() {
    queue_.emplace(turn_, [this] { return now_; });
  }

  // Tasks that count, each taking `cost`.
  void Add(std::size_t count, absl::Duration cost = absl::ZeroDuration()) {
    for (std::size_t i = 0; i < count; ++i) {
      tasks_.push_back(std::make_unique<SocketTask>([this, cost] {
        ++done_;
        now_ += cost;
      }));
      queue_->Add(*tasks_.back());
    }
  }
  // Goes through the event loop as often as it was woken, and returns how many
  // tasks ran each time.
  std::vector<std::size_t> Iterations() {
    std::vector<std::size_t> ran;
    while (std::exchange(woken_, false)) {
      done_ = 0;
      turn_.OnWoken();
      ran.push_back(done_);
    }
    return ran;
  }

  bool woken_ = false;
  absl::Time now_ = absl::FromUnixSeconds(1);
  std::size_t done_ = 0;
  Turn turn_{[this] { woken_ = true; }};
  std::vector<std::unique_ptr<SocketTask>> tasks_;
  std::optional<SlicedQueue> queue_;
};

TEST_F(SlicedQueueTest, FewTasksRunInTheIterationThatAddsThem) {
  Add(10);
  EXPECT_THAT(Iterations(), ElementsAre(10));
  EXPECT_TRUE(queue_->empty());
}

TEST_F(SlicedQueueTest, ASliceHasSoManyTasks) {
  Add(600);
  EXPECT_THAT(Iterations(), ElementsAre(256, 256, 88));
}

TEST_F(SlicedQueueTest, ASliceEndsAfterSoMuchTime) {
  Add(100, absl::Microseconds(40));
  EXPECT_THAT(Iterations(), ElementsAre(32, 32, 32, 4));
}

// Handlers of other sockets end with Run: they do not pay for a slice.
TEST_F(SlicedQueueTest, HandlersInBetweenRunNoSlice) {
  Add(300);
  turn_.Run();
  EXPECT_EQ(done_, 256u);
  turn_.Run();
  turn_.Run();
  EXPECT_EQ(done_, 256u);
  turn_.OnWoken();
  EXPECT_EQ(done_, 300u);
}

TEST_F(SlicedQueueTest, ATaskThatIsAddedAgainRunsBehindTheOthers) {
  std::string log;
  SocketTask b([&] { log += "b"; });
  std::unique_ptr<SocketTask> a;
  a = std::make_unique<SocketTask>([&] {
    log += "a";
    if (log.size() < 4) queue_->Add(*a);
  });
  queue_->Add(*a);
  queue_->Add(b);
  queue_->Add(*a);
  turn_.Run();
  EXPECT_EQ(log, "abaa");
}

TEST_F(SlicedQueueTest, ATaskThatNeverEndsLeavesTheLoopToOthers) {
  std::unique_ptr<SocketTask> busy;
  busy = std::make_unique<SocketTask>([&] {
    ++done_;
    queue_->Add(*busy);
  });
  queue_->Add(*busy);
  turn_.Run();
  EXPECT_EQ(done_, 256u);
  woken_ = false;
  turn_.OnWoken();
  EXPECT_EQ(done_, 512u);
  EXPECT_TRUE(woken_);
}

TEST_F(SlicedQueueTest, DestroyedTasksDoNotRun) {
  std::string log;
  auto c = std::make_unique<SocketTask>([&] { log += "c"; });
  std::unique_ptr<SocketTask> a;
  a = std::make_unique<SocketTask>([&] {
    log += "a";
    c.reset();
    a.reset();
  });
  SocketTask b([&] { log += "b"; });
  queue_->Add(*a);
  queue_->Add(b);
  queue_->Add(*c);
  turn_.Run();
  EXPECT_EQ(log, "ab");
}

TEST_F(SlicedQueueTest, TasksOutliveTheQueue) {
  Add(300);
  turn_.Run();
  queue_.reset();
  EXPECT_FALSE(tasks_.back()->is_queued());
  Iterations();
  EXPECT_EQ(done_, 0u);
}

}  // namespace
}  // namespace headgate
