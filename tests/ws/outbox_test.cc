#include "gateway/ws/outbox.h"

#include <memory>
#include <string>
#include <vector>

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

  // The same with as many pieces as a call takes.
  std::string TakePieces(std::size_t at_most = std::string::npos,
                         std::size_t pieces = 16) {
    std::vector<absl::string_view> front(pieces);
    front.resize(outbox_.Front(absl::MakeSpan(front)));
    std::string bytes;
    for (const absl::string_view piece : front) {
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

// --- frames by reference

// Nothing is known of the bytes before.
TEST_F(OutboxTest, GoesOnAfterItHasShrunk) {
  outbox_.Put("abc", "def");
  EXPECT_EQ(Take(), "abcdef");
  outbox_.Shrink();
  outbox_.Put("ghi", long_);
  EXPECT_EQ(Take(), "ghi" + long_);
  outbox_.Shrink();
  EXPECT_EQ(outbox_.put(), outbox_.sent());
}

TEST_F(OutboxTest, AFrameIsSentFromWhereItIs) {
  const auto total = std::make_shared<std::size_t>(0);
  FrameRef frame("shared", total);
  const void* const place = frame.bytes().data();
  outbox_.Put(frame);
  EXPECT_EQ(outbox_.Front()[0].data(), place);
  frame = {};
  EXPECT_EQ(*total, 6u);
  EXPECT_EQ(TakePieces(5), "share");
  EXPECT_EQ(*total, 6u);
  EXPECT_EQ(TakePieces(), "d");
  EXPECT_EQ(*total, 0u);
  EXPECT_TRUE(outbox_.empty());
}

TEST_F(OutboxTest, SeveralFramesLeaveTogether) {
  const FrameRef a("aa");
  const FrameRef b("bb");
  outbox_.Put("own");
  for (int i = 0; i < 4; ++i) {
    outbox_.Put(a);
    outbox_.Put(b);
  }
  EXPECT_EQ(outbox_.size(), 19u);
  EXPECT_EQ(TakePieces(4), "owna");
  EXPECT_EQ(TakePieces(std::string::npos, 3), "abbaa");
  EXPECT_EQ(TakePieces(), "bbaabbaabb");
  EXPECT_TRUE(outbox_.empty());
  EXPECT_EQ(outbox_.sent(), 19u);
}

// Whatever stands before and behind it, and however little the kernel takes.
TEST_F(OutboxTest, FramesAndPiecesKeepTheirOrder) {
  const FrameRef frame("-frame-");
  const std::string expected =
      "a" + long_ + "b-frame--frame-cd" + long_ + "-frame-e" + long_ + "f";
  for (const std::size_t at_most : {1, 2, 3, 7, 1000, 100'000}) {
    for (const bool in_pieces : {false, true}) {
      outbox_.Put("a", long_);
      outbox_.Put("b");
      outbox_.Put(frame);
      outbox_.Put(frame);
      outbox_.Put("c");
      outbox_.Put("d", long_);
      outbox_.Put(frame);
      outbox_.Put("", "e");
      outbox_.Put("", long_);
      outbox_.Put("f");
      EXPECT_EQ(outbox_.size(), expected.size());
      std::string all;
      while (!outbox_.empty()) {
        all += in_pieces ? TakePieces(at_most, 3) : Take(at_most);
      }
      EXPECT_EQ(all, expected) << at_most;
    }
  }
}

TEST_F(OutboxTest, IsScatteredWhereTwoPiecesAreNotAll) {
  const FrameRef frame("frame");
  outbox_.Put(frame);
  EXPECT_FALSE(outbox_.is_scattered());
  EXPECT_EQ(Take(2), "fr");
  EXPECT_FALSE(outbox_.is_scattered());
  outbox_.Put(frame);
  EXPECT_TRUE(outbox_.is_scattered());
  EXPECT_EQ(TakePieces(), "ameframe");
  outbox_.Put("own");
  EXPECT_FALSE(outbox_.is_scattered());
  outbox_.Put(frame);
  EXPECT_TRUE(outbox_.is_scattered());
  outbox_.Front();
  EXPECT_TRUE(outbox_.is_scattered());
  EXPECT_EQ(TakePieces(), "ownframe");
  EXPECT_FALSE(outbox_.is_scattered());
}

TEST_F(OutboxTest, TheFrontStaysWhileFramesAndPiecesArePut) {
  const FrameRef frame("frame");
  outbox_.Put("ab");
  outbox_.Front();
  outbox_.Sent(1);
  outbox_.Put("gathered");
  outbox_.Put(frame);
  std::vector<absl::string_view> front(8);
  outbox_.Front(absl::MakeSpan(front));
  for (int i = 0; i < 100; ++i) {
    outbox_.Put("own");
    outbox_.Put(frame);
  }
  EXPECT_EQ(front[0], "b");
  EXPECT_EQ(front[1], "gathered");
  EXPECT_EQ(front[2].data(), frame.bytes().data());
  outbox_.Sent(14);
  EXPECT_EQ(TakePieces(8), "ownframe");
}

// A queue that never becomes empty does not keep what was sent.
TEST_F(OutboxTest, FramesThatWereSentAreFreed) {
  const auto total = std::make_shared<std::size_t>(0);
  outbox_.Put(FrameRef("first", total));
  for (int i = 0; i < 1000; ++i) {
    outbox_.Put(FrameRef("frame", total));
    EXPECT_EQ(*total, 10u);
    EXPECT_EQ(TakePieces(5).size(), 5u);
  }
  outbox_.Clear();
  EXPECT_EQ(*total, 0u);
  EXPECT_TRUE(outbox_.empty());
}

}  // namespace
}  // namespace headgate::ws
