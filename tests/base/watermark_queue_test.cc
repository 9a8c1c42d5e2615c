#include "gateway/base/watermark_queue.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace headgate {
namespace {

using Queue = WatermarkQueue<std::string>;
constexpr std::size_t kItem = Queue::kItemBytes;

TEST(WatermarkQueueTest, FirstInIsFirstOut) {
  Queue queue({0, 1000});
  queue.Push("a", 1);
  queue.Push("b", 1);
  EXPECT_EQ(queue.Front(), "a");
  EXPECT_EQ(queue.Pop(), "a");
  EXPECT_EQ(queue.Front(), "b");
  EXPECT_EQ(queue.Pop(), "b");
  EXPECT_TRUE(queue.empty());
}

TEST(WatermarkQueueTest, KeepsItsOrderHoweverItIsFilledAndEmptied) {
  Queue queue({0, 1'000'000});
  int pushed = 0, popped = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i <= round % 7; ++i)
      queue.Push(std::to_string(pushed++), 1);
    for (int i = 0; i <= round % 5 && !queue.empty(); ++i) {
      ASSERT_EQ(queue.Front(), std::to_string(popped));
      ASSERT_EQ(queue.Pop(), std::to_string(popped++));
    }
    ASSERT_EQ(queue.bytes(), (pushed - popped) * (kItem + 1));
  }
  while (!queue.empty()) ASSERT_EQ(queue.Pop(), std::to_string(popped++));
  EXPECT_EQ(popped, pushed);
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(WatermarkQueueTest, ShrinksOnlyEmpty) {
  Queue queue({0, 1000});
  queue.Push("a", 1);
  queue.Shrink();
  EXPECT_EQ(queue.Pop(), "a");
  queue.Shrink();
  queue.Push("b", 1);
  EXPECT_EQ(queue.Pop(), "b");
}

// Full from above the high mark, not at it.
TEST(WatermarkQueueTest, FullBeginsAboveTheHighMark) {
  Queue queue({0, 2 * kItem + 10});
  queue.Push("", 5);
  queue.Push("", 5);
  EXPECT_FALSE(queue.full());
  queue.Push("", 0);
  EXPECT_TRUE(queue.full());
}

// And lasts until the low mark, so that a reader does not toggle.
TEST(WatermarkQueueTest, FullLastsUntilTheLowMark) {
  Queue queue({kItem + 10, 3 * kItem});
  for (int i = 0; i < 4; ++i) queue.Push("", 10);
  ASSERT_TRUE(queue.full());
  queue.Pop();
  EXPECT_TRUE(queue.full());  // Below the high mark.
  queue.Pop();
  EXPECT_TRUE(queue.full());
  queue.Pop();
  EXPECT_FALSE(queue.full());  // At the low mark.
  queue.Push("", 10);
  EXPECT_FALSE(queue.full());
}

TEST(WatermarkQueueTest, OneItemOverTheLimitIsTaken) {
  Queue queue({0, 10});
  queue.Push("big", 1'000'000);
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.Pop(), "big");
  EXPECT_FALSE(queue.full());
}

// A peer that sends nothing but empty messages fills memory as well.
TEST(WatermarkQueueTest, EmptyItemsWeigh) {
  Queue queue({0, 10 * kItem});
  for (int i = 0; i < 10; ++i) queue.Push("", 0);
  EXPECT_FALSE(queue.full());
  queue.Push("", 0);
  EXPECT_TRUE(queue.full());
}

TEST(WatermarkQueueTest, BytesAreThoseOfTheItemsInIt) {
  Queue queue({0, 100});
  EXPECT_EQ(queue.bytes(), 0u);
  queue.Push("a", 7);
  queue.Push("b", 5);
  EXPECT_EQ(queue.bytes(), 12 + 2 * kItem);
  queue.Pop();
  EXPECT_EQ(queue.bytes(), 5 + kItem);
  queue.Pop();
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(WatermarkQueueTest, ItemsAreMoved) {
  WatermarkQueue<std::unique_ptr<int>> queue({0, 100});
  queue.Push(std::make_unique<int>(7), 4);
  EXPECT_EQ(*queue.Pop(), 7);
}

}  // namespace
}  // namespace headgate
