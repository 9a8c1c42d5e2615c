#include "gateway/base/message_framing.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

std::string Framed(const std::string& message, bool compressed = false) {
  const MessagePrefix prefix = MakeMessagePrefix(compressed, message.size());
  return std::string(prefix.begin(), prefix.end()) + message;
}

// Feeds `bytes` in pieces of `size` and returns the messages.
std::vector<std::string> ReadAll(MessageReader& reader, absl::string_view bytes,
                                 std::size_t size) {
  std::vector<std::string> messages;
  while (!bytes.empty()) {
    const auto taken = reader.Feed(bytes.substr(0, size));
    EXPECT_TRUE(taken.ok()) << taken.status();
    if (!taken.ok()) break;
    bytes.remove_prefix(*taken);
    if (reader.complete()) messages.push_back(reader.Take());
  }
  return messages;
}

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
TEST(MessageFramingTest, PrefixIsTheFlagAndTheLengthBigEndFirst) {
  EXPECT_EQ(MakeMessagePrefix(0, 0), (MessagePrefix{0, 0, 0, 0, 0}));
  EXPECT_EQ(MakeMessagePrefix(kCompressedFlag, 0x01020304),
            (MessagePrefix{1, 1, 2, 3, 4}));
}

TEST(MessageFramingTest, MessagesAreReadFromAnyPieces) {
  const std::vector<std::string> messages = {"", "a", std::string(300, 'b'), "",
                                             std::string("\0\xFF", 2)};
  std::string bytes;
  for (const std::string& message : messages) bytes += Framed(message);
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    MessageReader reader(1000);
    EXPECT_EQ(ReadAll(reader, bytes, size), messages) << size;
    EXPECT_FALSE(reader.in_message());
  }
}

TEST(MessageFramingTest, CompressedFlagIsTold) {
  MessageReader reader(10);
  ASSERT_TRUE(reader.Feed(Framed("a", true)).ok());
  ASSERT_TRUE(reader.complete());
  EXPECT_TRUE(reader.compressed());
  reader.Take();
  ASSERT_TRUE(reader.Feed(Framed("a", false)).ok());
  EXPECT_FALSE(reader.compressed());
}

TEST(MessageFramingTest, HalfAMessageIsSeen) {
  MessageReader reader(10);
  EXPECT_FALSE(reader.in_message());
  ASSERT_TRUE(reader.Feed(Framed("abc").substr(0, 1)).ok());
  EXPECT_TRUE(reader.in_message());
  ASSERT_TRUE(reader.Feed(Framed("abc").substr(1, 5)).ok());
  EXPECT_TRUE(reader.in_message());
  EXPECT_FALSE(reader.complete());
}

TEST(MessageFramingTest, MessageAboveTheLimitIsRefusedByItsLength) {
  MessageReader reader(10);
  EXPECT_EQ(ReadAll(reader, Framed(std::string(10, 'a')), 100).size(), 1u);
  const auto taken = reader.Feed(Framed(std::string(11, 'a')).substr(0, 5));
  EXPECT_EQ(taken.status(),
            absl::ResourceExhaustedError(
                "Received message larger than max (11 vs. 10)"));
}

TEST(MessageFramingTest, FlagsAreThoseOfTheMessage) {
  MessageReader reader(10, kCompressedFlag | kGrpcWebTrailersFlag);
  ASSERT_TRUE(reader.Feed(std::string("\x80\0\0\0\1a", 6)).ok());
  ASSERT_TRUE(reader.complete());
  EXPECT_EQ(reader.flags(), kGrpcWebTrailersFlag);
  EXPECT_FALSE(reader.compressed());
}

TEST(MessageFramingTest, UnknownFlagsAreAFault) {
  MessageReader reader(10);
  EXPECT_EQ(reader.Feed(std::string("\2\0\0\0\0", 5)).status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace headgate
