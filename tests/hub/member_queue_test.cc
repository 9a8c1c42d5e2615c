#include "gateway/hub/member_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using Policy = SlowClientSettings::Policy;
using Result = MemberQueue::Result;

class MemberQueueTest : public ::testing::Test {
 protected:
  MemberQueue& Make(Policy policy, int max_messages) {
    policy_ = policy;
    settings_.max_messages = max_messages;
    return queue_.emplace(settings_);
  }
  Result Push(const std::string& text, const std::string& key = "",
              std::optional<Policy> policy = std::nullopt) {
    const Result pushed = queue_->Push(ws::FrameRef(text), text.size(),
                                       policy.value_or(policy_), key);
    return pushed == Result::kQueued && enforces_ ? queue_->Enforce() : pushed;
  }
  std::vector<std::string> Drain() {
    std::vector<std::string> texts;
    while (!queue_->empty()) {
      const MemberQueue::Frames frames = queue_->Front(2);
      std::size_t bytes = 0;
      for (const ws::FrameRef& frame : frames) {
        texts.emplace_back(frame.bytes());
        bytes += frame.size();
      }
      EXPECT_EQ(queue_->Pop(frames.size()), bytes);
    }
    return texts;
  }

  bool enforces_ = true;  // After each Push.
  Policy policy_ = Policy::kDisconnect;
  SlowClientSettings settings_;
  std::optional<MemberQueue> queue_;
};

TEST_F(MemberQueueTest, DisconnectsAboveTheNumberOfMessages) {
  Make(Policy::kDisconnect, 2);
  EXPECT_EQ(Push("a"), Result::kQueued);
  EXPECT_EQ(Push("b"), Result::kQueued);
  EXPECT_EQ(Push("c"), Result::kTooSlow);
}

TEST_F(MemberQueueTest, AKeyIsHeldAndCountedOnlyWhereItIsLookedAt) {
  Make(Policy::kDisconnect, 100);
  Push("a");
  const std::size_t plain = queue_->bytes();
  Make(Policy::kDropOldest, 100);
  Push("a", std::string(100, 'k'));
  EXPECT_EQ(queue_->bytes(), plain);
  Make(Policy::kKeepLatest, 100);
  Push("a", std::string(100, 'k'));
  EXPECT_EQ(queue_->bytes(), plain + 100);
}

TEST_F(MemberQueueTest, DisconnectsAboveTheBytes) {
  settings_.max_bytes = 1000;
  Make(Policy::kDisconnect, 100);
  EXPECT_EQ(Push(std::string(500, 'x')), Result::kQueued);
  EXPECT_EQ(Push(std::string(500, 'x')), Result::kTooSlow);
}

TEST_F(MemberQueueTest, ABurstIsTakenAndDecidedLater) {
  enforces_ = false;
  settings_.max_bytes = 1000;
  Make(Policy::kDisconnect, 2);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Push(std::string(500, 'x')), Result::kQueued);
  }
  EXPECT_EQ(queue_->Enforce(), Result::kTooSlow);
  while (queue_->messages() > 1) queue_->Pop(1);
  EXPECT_EQ(queue_->Enforce(), Result::kQueued);
  Result result = Result::kQueued;
  for (int i = 0; result == Result::kQueued; ++i) {
    ASSERT_LT(i, 20);
    result = Push(std::string(100 * 1024, 'x'));
  }
}

TEST_F(MemberQueueTest, DropsTheOldestAndCountsThem) {
  MemberQueue& queue = Make(Policy::kDropOldest, 2);
  for (const char* text : {"a", "b", "c", "d"}) {
    EXPECT_EQ(Push(text), Result::kQueued);
  }
  EXPECT_EQ(queue.dropped(), 2u);
  EXPECT_THAT(Drain(), ElementsAre("c", "d"));
  EXPECT_EQ(queue.bytes(), 0u);
}

// A burst that is dropped costs no more than it did to come.
TEST_F(MemberQueueTest, ALongQueueIsDroppedAndPopped) {
  enforces_ = false;
  MemberQueue& queue = Make(Policy::kDropOldest, 10);
  Push("greeting", "", Policy::kDisconnect);
  for (int i = 0; i < 10'000; ++i) Push(std::to_string(i));
  EXPECT_EQ(queue.Enforce(), Result::kQueued);
  EXPECT_EQ(queue.dropped(), 9991u);
  EXPECT_THAT(Drain(), ElementsAre("greeting", "9991", "9992", "9993", "9994",
                                   "9995", "9996", "9997", "9998", "9999"));
  for (int i = 0; i < 300; ++i) Push("x");
  for (int i = 0; i < 299; ++i) queue.Pop(1);
  EXPECT_THAT(Drain(), ElementsAre("x"));
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST_F(MemberQueueTest, NeverDropsWhatMustNotBeLost) {
  Make(Policy::kDropOldest, 2);
  Push("greeting", "", Policy::kDisconnect);
  Push("a");
  Push("b");
  EXPECT_THAT(Drain(), ElementsAre("greeting", "b"));
}

TEST_F(MemberQueueTest, TakesOneMessageLongerThanTheLimit) {
  settings_.max_bytes = 100;
  Make(Policy::kDropOldest, 10);
  Push("a");
  EXPECT_EQ(Push(std::string(500, 'x')), Result::kQueued);
  EXPECT_THAT(Drain(), ElementsAre(std::string(500, 'x')));
}

TEST_F(MemberQueueTest, KeepsTheLatestOfAKey) {
  MemberQueue& queue = Make(Policy::kKeepLatest, 10);
  Push("a1", "a");
  Push("b1", "b");
  Push("a2", "a");
  Push("no key");
  Push("no key either");
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_THAT(Drain(), ElementsAre("b1", "a2", "no key", "no key either"));
}

TEST_F(MemberQueueTest, KeysMeanNothingToOtherPolicies) {
  Make(Policy::kDropOldest, 10);
  Push("a1", "a");
  Push("a2", "a");
  EXPECT_THAT(Drain(), ElementsAre("a1", "a2"));
}

// The policy is that of the message: what must not be dropped stays, in its
// order, and what may be makes room for it.
TEST_F(MemberQueueTest, DropsOnlyMessagesWhosePolicyAllowsIt) {
  MemberQueue& queue = Make(Policy::kDisconnect, 3);
  Push("chat 1");
  Push("cursor 1", "", Policy::kDropOldest);
  Push("chat 2");
  EXPECT_EQ(Push("cursor 2", "", Policy::kDropOldest), Result::kQueued);
  EXPECT_EQ(Push("chat 3"), Result::kQueued);
  EXPECT_EQ(queue.dropped(), 2u);
  EXPECT_EQ(queue.Enforce(), Result::kQueued);
  EXPECT_EQ(Push("chat 4"), Result::kTooSlow);
  EXPECT_THAT(Drain(), ElementsAre("chat 1", "chat 2", "chat 3", "chat 4"));
}

// No client is disconnected for a message that may be dropped.
TEST_F(MemberQueueTest, TheNewestIsDroppedWhereAllBeforeItMustStay) {
  MemberQueue& queue = Make(Policy::kDisconnect, 2);
  Push("chat 1");
  Push("chat 2");
  EXPECT_EQ(Push("cursor 1", "", Policy::kDropOldest), Result::kQueued);
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_THAT(Drain(), ElementsAre("chat 1", "chat 2"));
}

TEST_F(MemberQueueTest, OnlyMessagesThatKeepTheLatestAreReplaced) {
  Make(Policy::kKeepLatest, 10);
  Push("chat", "a", Policy::kDisconnect);
  Push("cursor", "a", Policy::kDropOldest);
  Push("price 1", "a");
  Push("price 2", "a");
  EXPECT_THAT(Drain(), ElementsAre("chat", "cursor", "price 2"));
}

// Any mix, of which a burst is dropped at once: as many as it takes, the oldest
// first, and those that stay in their order.
TEST_F(MemberQueueTest, AMixedBurstIsDroppedLikeAModelOfIt) {
  enforces_ = false;
  for (std::size_t every = 2; every < 7; ++every) {
    constexpr std::size_t kCount = 40;
    MemberQueue& queue = Make(Policy::kDisconnect, 30);
    std::vector<std::string> model;
    for (std::size_t i = 0; i < kCount; ++i) {
      const std::string text = std::to_string(i);
      const bool may_drop = i % every == 0;
      Push(text, "", may_drop ? Policy::kDropOldest : Policy::kDisconnect);
      const bool is_dropped = may_drop && i / every < kCount - 30;
      if (!is_dropped) model.push_back(text);
    }
    const bool is_enough = model.size() <= 30;
    EXPECT_EQ(queue.Enforce(), is_enough ? Result::kQueued : Result::kTooSlow);
    EXPECT_EQ(queue.dropped(), kCount - model.size());
    EXPECT_EQ(Drain(), model) << every;
  }
}

TEST_F(MemberQueueTest, TheStreamWaitsUntilHalfOfAFullQueueIsTaken) {
  MemberQueue& queue = Make(Policy::kBlock, 4);
  for (int i = 0; i < 4; ++i) Push("x");
  EXPECT_FALSE(queue.HoldsStream(false));
  EXPECT_EQ(Push("x"), Result::kQueued);
  EXPECT_TRUE(queue.HoldsStream(false));
  queue.Pop(2);
  EXPECT_FALSE(queue.HoldsStream(false));
  EXPECT_TRUE(queue.HoldsStream(true));
  queue.Pop(1);
  EXPECT_FALSE(queue.HoldsStream(true));
}

TEST_F(MemberQueueTest, OneLongMessageDoesNotHoldTheStream) {
  settings_.max_bytes = 100;
  MemberQueue& queue = Make(Policy::kBlock, 10);
  Push(std::string(500, 'x'));
  EXPECT_FALSE(queue.HoldsStream(false));
  Push("y");
  EXPECT_TRUE(queue.HoldsStream(false));
  queue.Pop(1);
  EXPECT_FALSE(queue.HoldsStream(true));
}

// What the stream has on its way when it stops is taken, whatever its length;
// not what others go on sending.
TEST_F(MemberQueueTest, WhileTheStreamWaitsThereIsABurstMore) {
  settings_.max_bytes = 1000;
  MemberQueue& queue = Make(Policy::kBlock, 10);
  Push(std::string(1000, 'x'));
  EXPECT_EQ(Push(std::string(MemberQueue::kBurstBytes, 'x')), Result::kQueued);
  EXPECT_EQ(Push(std::string(2 * MemberQueue::kBurstBytes, 'x')),
            Result::kQueued);
  EXPECT_EQ(Push("others'", "", Policy::kDisconnect), Result::kTooSlow);
  queue.Clear();
  EXPECT_FALSE(queue.HoldsStream(true));
}

// The messages that the stream has sent are taken: what is left is judged.
TEST_F(MemberQueueTest, OnlyWhatTheStreamHasSentHoldsIt) {
  MemberQueue& queue = Make(Policy::kDisconnect, 2);
  Push("a", "", Policy::kBlock);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Push("x"), Result::kQueued);
  }
  EXPECT_TRUE(queue.HoldsStream(false));
  queue.Pop(1);
  EXPECT_FALSE(queue.HoldsStream(true));
  EXPECT_EQ(queue.Enforce(), Result::kTooSlow);
}

TEST_F(MemberQueueTest, IsCrowdedBeforeItIsFull) {
  settings_.max_bytes = 100'000;
  MemberQueue& queue = Make(Policy::kDisconnect, 1000);
  Push(std::string(16'000, 'x'));
  EXPECT_FALSE(queue.is_crowded());
  Push(std::string(1'000, 'x'));
  EXPECT_TRUE(queue.is_crowded());
  queue.Clear();
  for (int i = 0; i < 256; ++i) Push("");
  EXPECT_TRUE(queue.is_crowded());
}

TEST_F(MemberQueueTest, ReportsEachCrossingOfTheMarkOnce) {
  settings_.warn_bytes = 400;
  MemberQueue& queue = Make(Policy::kDisconnect, 10);
  Push("a");
  EXPECT_FALSE(queue.TakeCrossing());
  Push(std::string(400, 'x'));
  EXPECT_TRUE(queue.TakeCrossing());
  EXPECT_TRUE(queue.is_over());
  EXPECT_FALSE(queue.TakeCrossing());
  queue.Pop(1);
  EXPECT_FALSE(queue.TakeCrossing());
  queue.Pop(1);
  EXPECT_TRUE(queue.TakeCrossing());
  EXPECT_FALSE(queue.is_over());
}

}  // namespace
}  // namespace headgate
