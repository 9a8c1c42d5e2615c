#include "gateway/ws/outbox.h"

#include <string>

#include <gtest/gtest.h>

namespace headgate::ws {
namespace {

class OutboxTest : public ::testing::Test {
 protected:
  // What the kernel would be given, and takes `at_most` bytes of.
  std::string Take(std::size_t at_most = std::string::npos) {
    std::string bytes;
    for (const absl::string_view piece : outbox_.Front()) {
      bytes.append(piece.data(), piece.size());
    }
    if (bytes.size() > at_most) bytes.resize(at_most);
    outbox_.Sent(bytes.size());
    return bytes;
  }

  const std::string long_ = std::string(Outbox::kMostCopied + 1, 'x');
  Outbox outbox_;
};

TEST_F(OutboxTest, WhatIsPutTogetherLeavesTogether) {
  EXPECT_TRUE(outbox_.empty());
  outbox_.Put("a");
  outbox_.Put("head", "piece");
  outbox_.Put("b");
  EXPECT_EQ(Take(), "aheadpieceb");
  EXPECT_TRUE(outbox_.empty());
}

TEST_F(OutboxTest, ALongPieceStaysWhereItIs) {
  std::string piece = long_;
  const void* const place = piece.data();
  outbox_.Put("a");
  outbox_.Put("head", std::move(piece));
  EXPECT_EQ(outbox_.Front()[1].data(), place);
  outbox_.Put("b");
  EXPECT_EQ(Take(), "ahead" + long_);
  EXPECT_EQ(Take(), "b");
}

// What is being sent may not move meanwhile.
TEST_F(OutboxTest, TheFrontStaysWhileMoreIsPut) {
  outbox_.Put("abc");
  const void* const place = outbox_.Front()[0].data();
  outbox_.Sent(1);
  outbox_.Put("head", long_);
  outbox_.Put("z");
  EXPECT_EQ(outbox_.Front()[0].data(), static_cast<const char*>(place) + 1);
  EXPECT_EQ(Take(), "bc");
  EXPECT_EQ(Take(), "head" + long_ + "z");
}

TEST_F(OutboxTest, TheKernelMayTakeAnyNumberOfBytes) {
  outbox_.Put("head", long_);
  std::string all;
  while (!outbox_.empty()) all += Take(1000);
  EXPECT_EQ(all, "head" + long_);
}

TEST_F(OutboxTest, CountsWhatItHolds) {
  EXPECT_TRUE(outbox_.has_room());
  outbox_.Put("", std::string(Outbox::kMostGathered - 1, 'x'));
  EXPECT_TRUE(outbox_.has_room());
  outbox_.Put("x");
  EXPECT_FALSE(outbox_.has_room());
  outbox_.Front();
  outbox_.Sent(1);
  EXPECT_TRUE(outbox_.has_room());
  EXPECT_EQ(outbox_.put(), Outbox::kMostGathered);
  EXPECT_EQ(outbox_.sent(), 1u);
  outbox_.Clear();
  EXPECT_TRUE(outbox_.empty());
}

}  // namespace
}  // namespace headgate::ws
