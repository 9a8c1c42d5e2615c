#include "gateway/trace/span_batcher.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1000);

Span SpanOf(const std::string& method) {
  Span span;
  span.method = method;
  return span;
}

std::vector<std::string> Take(SpanBatcher& batcher, absl::Time now) {
  std::vector<std::string> methods;
  for (const Span& span : batcher.Take(now)) methods.push_back(span.method);
  return methods;
}

TEST(SpanBatcherTest, AFewSpansWaitForTheDelayOfTheFirst) {
  SpanBatcher batcher({100, 100000, 10, absl::Seconds(1)});
  EXPECT_THAT(Take(batcher, kNow), IsEmpty());
  batcher.Push(SpanOf("a"), kNow);
  batcher.Push(SpanOf("b"), kNow + absl::Milliseconds(900));
  EXPECT_THAT(Take(batcher, kNow + absl::Milliseconds(999)), IsEmpty());
  EXPECT_THAT(Take(batcher, kNow + absl::Seconds(1)), ElementsAre("a", "b"));
  EXPECT_THAT(Take(batcher, kNow + absl::Seconds(9)), IsEmpty());
  EXPECT_EQ(batcher.bytes(), 0u);
}

TEST(SpanBatcherTest, ACompleteBatchDoesNotWait) {
  SpanBatcher batcher({100, 100000, 2, absl::Seconds(1)});
  for (const char* method : {"a", "b", "c"}) {
    batcher.Push(SpanOf(method), kNow);
  }
  EXPECT_THAT(Take(batcher, kNow), ElementsAre("a", "b"));
  EXPECT_THAT(Take(batcher, kNow), IsEmpty());
  EXPECT_THAT(Take(batcher, kNow + absl::Seconds(1)), ElementsAre("c"));
}

TEST(SpanBatcherTest, OneTooManyIsDroppedAndCounted) {
  SpanBatcher batcher({2, 100000, 10, absl::Seconds(1)});
  for (const char* method : {"a", "b", "c"}) {
    batcher.Push(SpanOf(method), kNow);
  }
  EXPECT_EQ(batcher.dropped(), 1u);
  EXPECT_THAT(Take(batcher, kNow + absl::Seconds(1)), ElementsAre("a", "b"));
}

TEST(SpanBatcherTest, BytesAreLimitedAndBecomeFreeAgain) {
  const std::string longest(1000, 'x');
  SpanBatcher batcher({100, 2000, 10, absl::Seconds(1)});
  batcher.Push(SpanOf(longest), kNow);
  batcher.Push(SpanOf(longest), kNow);
  EXPECT_EQ(batcher.dropped(), 1u);
  EXPECT_LE(batcher.bytes(), 2000u);
  EXPECT_THAT(Take(batcher, kNow + absl::Seconds(1)), ElementsAre(longest));
  batcher.Push(SpanOf(longest), kNow);
  EXPECT_EQ(batcher.dropped(), 1u);
  batcher.Clear();
  EXPECT_EQ(batcher.bytes(), 0u);
  EXPECT_EQ(batcher.dropped(), 1u);
}

}  // namespace
}  // namespace headgate
