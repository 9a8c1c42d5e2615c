// Frames that many connections send: encoded once, kept as long as one of them
// needs them.

#include "gateway/ws/shared_frame.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/ws/frames.h"

namespace headgate::ws {
namespace {

FrameForm Compressed(int window_bits, std::size_t min_bytes = 0) {
  FrameForm form;
  form.window_bits = window_bits;
  form.min_bytes = min_bytes;
  return form;
}

// The message in a compressed frame with a head of two or four bytes.
std::string Inflated(const FrameRef& frame, int window_bits) {
  absl::string_view bytes = frame.bytes();
  const bool is_long = (bytes[1] & 0x7F) == 126;
  bytes.remove_prefix(is_long ? 4 : 2);
  DeflateSide side;
  side.window_bits = window_bits;
  side.no_context_takeover = true;
  Inflater inflater(side);
  std::string message;
  EXPECT_EQ(inflater.Inflate(bytes, 1'000'000, message),
            Inflater::Outcome::kOk);
  EXPECT_EQ(inflater.End(1'000'000, message), Inflater::Outcome::kOk);
  return message;
}

TEST(FrameRef, TheLastReferenceFreesTheBytes) {
  const auto total = std::make_shared<std::size_t>(0);
  FrameRef a(std::string(100, 'x'), total);
  EXPECT_EQ(*total, 100u);
  {
    const FrameRef b = a;
    FrameRef c = b;
    EXPECT_EQ(b, a);
    EXPECT_EQ(c.bytes().data(), a.bytes().data());
    a = FrameRef();
    EXPECT_FALSE(a);
    EXPECT_EQ(*total, 100u);
    a = std::move(c);
    EXPECT_FALSE(c);
  }
  EXPECT_EQ(*total, 100u);
  FrameRef& same = a;
  a = same;
  EXPECT_EQ(a.size(), 100u);
  a = FrameRef("yy", total);
  EXPECT_EQ(*total, 2u);
}

TEST(SharedFrame, IsAServersFrame) {
  FrameStore store;
  for (const std::size_t size : {0, 1, 125, 126, 65'535, 65'536}) {
    const std::string payload(size, 'p');
    SharedFrame text(store, Opcode::kText, payload);
    EXPECT_EQ(text.plain().bytes(), Frame(kText, payload, false)) << size;
    EXPECT_EQ(text.payload(), payload) << size;
    SharedFrame binary(store, Opcode::kBinary, payload);
    EXPECT_EQ(binary.plain().bytes(), Frame(kBinary, payload, false)) << size;
  }
  EXPECT_EQ(store.held_bytes(), 0u);
}

TEST(SharedFrame, EveryReceiverGetsTheSameBytes) {
  FrameStore store;
  const std::string payload(1000, 'p');
  std::vector<FrameRef> receivers;
  {
    SharedFrame frame(store, Opcode::kText, payload);
    for (int i = 0; i < 100; ++i) {
      receivers.push_back(frame.For({}));
      receivers.push_back(frame.For(Compressed(15)));
      receivers.push_back(frame.For(Compressed(9)));
    }
  }
  EXPECT_EQ(store.encoded(), 1u);
  EXPECT_EQ(store.compressed(), 2u);
  EXPECT_EQ(store.held_bytes(),
            receivers[0].size() + receivers[1].size() + receivers[2].size());
  for (std::size_t i = 3; i < receivers.size(); ++i) {
    EXPECT_EQ(receivers[i], receivers[i % 3]);
  }
  EXPECT_EQ(Inflated(receivers[1], 15), payload);
  EXPECT_EQ(Inflated(receivers[2], 9), payload);
  receivers.clear();
  EXPECT_EQ(store.held_bytes(), 0u);
}

// RFC 7692 section 7.1.1.1: no message refers to the ones before it.
TEST(SharedFrame, EachCompressedFrameStandsAlone) {
  FrameStore store;
  const std::string payload = "the same words, and once more the same words";
  SharedFrame first(store, Opcode::kText, payload);
  const FrameRef before = first.For(Compressed(15));
  SharedFrame second(store, Opcode::kText, payload);
  EXPECT_EQ(second.For(Compressed(15)).bytes(), before.bytes());
  EXPECT_EQ(Inflated(second.For(Compressed(15)), 15), payload);
}

// A frame for a large window could refer further back than a small one reaches.
TEST(SharedFrame, EachWindowSizeHasItsOwnFrame) {
  FrameStore store;
  std::string payload;
  for (int i = 0; i < 1024; ++i) payload += std::to_string(i * 7919 % 10007);
  payload += payload;
  for (int bits = 9; bits <= 15; ++bits) {
    SharedFrame frame(store, Opcode::kBinary, payload);
    EXPECT_EQ(Inflated(frame.For(Compressed(bits)), bits), payload) << bits;
  }
  EXPECT_EQ(store.compressed(), 7u);
  SharedFrame frame(store, Opcode::kBinary, payload);
  EXPECT_LT(frame.For(Compressed(15)).size(), frame.For(Compressed(9)).size());
}

// Clients choose their window, and must not choose how often each message is
// compressed.
TEST(SharedFrame, OfManyWindowSizesAFewAreCompressedFor) {
  FrameStore store;
  SharedFrame frame(store, Opcode::kText, std::string(1000, 'x'));
  for (int bits = 9; bits <= 15; ++bits) frame.For(Compressed(bits));
  EXPECT_EQ(store.compressed(), SharedFrame::kMostForms);
  EXPECT_NE(frame.For(Compressed(9)), frame.plain());
  EXPECT_EQ(frame.For(Compressed(15)), frame.plain());
}

TEST(SharedFrame, IsNotCompressedWhereThatIsNotShorter) {
  FrameStore store;
  SharedFrame brief(store, Opcode::kText, "abc");
  EXPECT_EQ(brief.For(Compressed(15)), brief.plain());
  SharedFrame empty(store, Opcode::kText, "");
  EXPECT_EQ(empty.For(Compressed(15)), empty.plain());
  // It is tried once.
  EXPECT_EQ(brief.For(Compressed(15)), brief.plain());
  EXPECT_EQ(store.compressed(), 2u);
}

TEST(SharedFrame, ShortMessagesAreNotCompressed) {
  FrameStore store;
  SharedFrame frame(store, Opcode::kText, std::string(99, 'x'));
  EXPECT_EQ(frame.For(Compressed(15, 100)), frame.plain());
  EXPECT_NE(frame.For(Compressed(15, 99)), frame.plain());
}

}  // namespace
}  // namespace headgate::ws
