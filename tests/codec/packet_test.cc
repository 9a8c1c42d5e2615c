#include "gateway/codec/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "headgate/v1/packet.pb.h"
#include "tests/codec/events.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

using Order = PacketOptions::Order;
using Endian = PacketOptions::Endian;
using LengthCounts = PacketOptions::LengthCounts;

// The header, byte by byte: type 0x01020304, who 0x0A0B0C0D, 5 bytes of
// content.
constexpr struct {
  Order order;
  Endian endian;
  LengthCounts length_counts;
  absl::string_view bytes;
} kHeaders[] = {
    {Order::kTypeLengthWho,
     Endian::kBig,
     LengthCounts::kContent,
     {"\1\2\3\4\0\0\0\5\12\13\14\15", 12}},
    {Order::kTypeLengthWho,
     Endian::kBig,
     LengthCounts::kPacket,
     {"\1\2\3\4\0\0\0\21\12\13\14\15", 12}},
    {Order::kTypeLengthWho,
     Endian::kLittle,
     LengthCounts::kContent,
     {"\4\3\2\1\5\0\0\0\15\14\13\12", 12}},
    {Order::kTypeLengthWho,
     Endian::kLittle,
     LengthCounts::kPacket,
     {"\4\3\2\1\21\0\0\0\15\14\13\12", 12}},
    {Order::kTypeWhoLength,
     Endian::kBig,
     LengthCounts::kContent,
     {"\1\2\3\4\12\13\14\15\0\0\0\5", 12}},
    {Order::kTypeWhoLength,
     Endian::kBig,
     LengthCounts::kPacket,
     {"\1\2\3\4\12\13\14\15\0\0\0\21", 12}},
    {Order::kTypeWhoLength,
     Endian::kLittle,
     LengthCounts::kContent,
     {"\4\3\2\1\15\14\13\12\5\0\0\0", 12}},
    {Order::kTypeWhoLength,
     Endian::kLittle,
     LengthCounts::kPacket,
     {"\4\3\2\1\15\14\13\12\21\0\0\0", 12}},
};

class PacketTest : public ::testing::Test {
 protected:
  std::string Wire(std::uint32_t type, std::uint32_t who,
                   absl::string_view content = "") {
    std::string bytes;
    AppendPacketHeader({type, who, content.size()}, options_, bytes);
    return absl::StrCat(bytes, content);
  }
  // What the backend sees of these binary messages.
  std::vector<std::string> Say(std::vector<std::string> payloads) {
    std::vector<WireMessage> messages;
    for (std::string& payload : payloads) messages.push_back(Binary(payload));
    return SayMessages(std::move(messages));
  }
  std::vector<std::string> SayMessages(std::vector<WireMessage> messages) {
    const std::unique_ptr<Codec> codec = MakePacketCodec(options_);
    return Hear(*codec, std::move(messages), [](const std::string& payload) {
      v1::Packet packet;
      EXPECT_TRUE(packet.ParseFromString(payload));
      // What protobuf writes itself is what we wrote: nothing is unknown, given
      // twice or written though it has its default value.
      EXPECT_EQ(packet.SerializeAsString(), payload);
      return packet.ShortDebugString();
    });
  }
  PacketOptions options_;
};

TEST_F(PacketTest, HeaderIsWhatTheOptionsSay) {
  for (const auto& row : kHeaders) {
    options_.order = row.order;
    options_.endian = row.endian;
    options_.length_counts = row.length_counts;
    EXPECT_EQ(Wire(0x01020304, 0x0A0B0C0D, "hello"),
              absl::StrCat(row.bytes, "hello"));
    const absl::StatusOr<PacketHeader> header =
        ParsePacketHeader(row.bytes, options_);
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_EQ(header->type, 0x01020304u);
    EXPECT_EQ(header->who, 0x0A0B0C0Du);
    EXPECT_EQ(header->content_bytes, 5u);
    EXPECT_THAT(Say({absl::StrCat(row.bytes, "hello")}),
                ElementsAre("request type: 16909060 who: 168496141 "
                            "content: \"hello\""));
  }
}

TEST_F(PacketTest, HeaderHasTwelveBytes) {
  EXPECT_EQ(ParsePacketHeader("12345678901", options_).status(),
            absl::InvalidArgumentError("header: 11 bytes instead of 12"));
  EXPECT_EQ(ParsePacketHeader("", options_).status(),
            absl::InvalidArgumentError("header: 0 bytes instead of 12"));
}

TEST_F(PacketTest, LengthThatCountsThePacketIsAtLeastTwelve) {
  options_.length_counts = LengthCounts::kPacket;
  const std::string eleven("\0\0\0\1\0\0\0\13\0\0\0\2", 12);
  EXPECT_THAT(Say({eleven}),
              ElementsAre("close 1002 INVALID_ARGUMENT: packet at offset 0: "
                          "length: 11 is less than the header's 12"));
  const std::string twelve("\0\0\0\1\0\0\0\14\0\0\0\2", 12);
  EXPECT_THAT(Say({twelve}), ElementsAre("request type: 1 who: 2"));
}

TEST_F(PacketTest, DefaultValuesAreLeftOut) {
  EXPECT_THAT(Say({Wire(0, 0)}), ElementsAre("request "));
  EXPECT_THAT(Say({Wire(0, 0, "x")}), ElementsAre("request content: \"x\""));
  EXPECT_THAT(Say({Wire(0xFFFFFFFD, 0xFFFFFFFF, "x")}),
              ElementsAre("request type: 4294967293 who: 4294967295 "
                          "content: \"x\""));
}

TEST_F(PacketTest, SeveralPacketsInAMessageComeOneAtATime) {
  EXPECT_THAT(
      Say({Wire(1, 2, "a") + Wire(3, 4) + Wire(5, 6, "b"), Wire(7, 8, "c")}),
      ElementsAre("request type: 1 who: 2 content: \"a\"",
                  "request type: 3 who: 4",
                  "request type: 5 who: 6 content: \"b\"",
                  "request type: 7 who: 8 content: \"c\""));
}

// Nesting is kept, not flattened.
TEST_F(PacketTest, ContainersHoldPackets) {
  options_.container_types = {100};
  const std::string inner = Wire(1, 10, "a") +
                            Wire(kContainerPacket, 11, Wire(2, 12, "b")) +
                            Wire(3, 13);
  EXPECT_THAT(Say({Wire(100, 9, inner) + Wire(4, 14)}),
              ElementsAre("request type: 100 who: 9 "
                          "packets { type: 1 who: 10 content: \"a\" } "
                          "packets { type: 4294967294 who: 11 "
                          "packets { type: 2 who: 12 content: \"b\" } } "
                          "packets { type: 3 who: 13 }",
                          "request type: 4 who: 14"));
}

// The sizes of the second container must not be taken for those of the first.
TEST_F(PacketTest, ContainersOfManySizesKeepTheirSizes) {
  std::string packets;
  for (const std::size_t size : {0, 1, 127, 128, 300, 20000}) {
    packets +=
        Wire(kContainerPacket, size,
             Wire(kContainerPacket, 1, Wire(1, 2, std::string(size, 'x'))) +
                 Wire(kContainerPacket, 3, Wire(4, 5)));
  }
  EXPECT_EQ(Say({Wire(kContainerPacket, 7, packets), packets}).size(), 7u);
}

TEST_F(PacketTest, TypesThatAreNoContainersAreNotLookedInto) {
  EXPECT_THAT(Say({Wire(100, 0, Wire(1, 0))}),
              ElementsAre("request type: 100 content: "
                          "\"\\000\\000\\000\\001\\000\\000\\000\\000\\000"
                          "\\000\\000\\000\""));
}

// A packet at depth max_depth is fine, one below it is not.
TEST_F(PacketTest, NestingEndsAtMaxDepth) {
  options_.max_depth = 3;
  const std::string three =
      Wire(kContainerPacket, 0, Wire(kContainerPacket, 0, Wire(1, 1)));
  EXPECT_THAT(Say({three}),
              ElementsAre("request type: 4294967294 packets { type: 4294967294 "
                          "packets { type: 1 who: 1 } }"));
  EXPECT_THAT(Say({Wire(kContainerPacket, 0, three)}),
              ElementsAre("close 1002 INVALID_ARGUMENT: packet at offset 36: "
                          "depth: nested deeper than max_depth (3)"));
}

TEST_F(PacketTest, EndPacketIsHalfClose) {
  EXPECT_THAT(Say({Wire(1, 1) + Wire(kEndPacket, 0) + Wire(2, 2)}),
              ElementsAre("request type: 1 who: 1", "half-close",
                          "request type: 2 who: 2"));
  EXPECT_THAT(Say({Wire(kEndPacket, 77)}), ElementsAre("half-close"));
}

TEST_F(PacketTest, EmptyTextMessageIsHalfClose) {
  EXPECT_THAT(
      SayMessages({Binary(Wire(1, 1)), Text(""), Text("")}),
      ElementsAre("request type: 1 who: 1", "half-close", "half-close"));
}

TEST_F(PacketTest, OtherTextIsTheWrongOpcode) {
  EXPECT_THAT(SayMessages({Text("hello")}),
              ElementsAre("close 1003 INVALID_ARGUMENT: text message: the "
                          "packet codec expects binary messages, or the empty "
                          "text message for half-close"));
}

// Every way a client's packets can be wrong; those before the fault are
// delivered first.
TEST_F(PacketTest, FaultsNameTheOffsetAndTheField) {
  options_.max_packet_bytes = 100;
  const std::string good = Wire(1, 2, "hi");  // 14 bytes.
  const struct {
    const char* what;
    std::string bytes;
    const char* fault;
  } table[] = {
      {"an empty message", "", "0: header: 0 bytes instead of 12"},
      {"a header cut short", Wire(1, 2).substr(0, 11),
       "0: header: 11 bytes instead of 12"},
      {"content cut short", Wire(1, 2, "hello").substr(0, 16),
       "0: length: 5 bytes of content, but only 4 are there"},
      {"too long", Wire(1, 2, std::string(101, 'x')),
       "0: length: 101 is over max_packet_bytes (100)"},
      {"too long and not even there",
       std::string("\0\0\0\1\xFF\xFF\xFF\xFF\0\0\0\2", 12),
       "0: length: 4294967295 is over max_packet_bytes (100)"},
      {"an empty container", Wire(kContainerPacket, 2),
       "0: length: an empty container"},
      {"a container of less than a header", Wire(kContainerPacket, 2, "12345"),
       "12: header: 5 bytes instead of 12"},
      {"left-over bytes in a container",
       Wire(kContainerPacket, 2, good + "12345"),
       "26: header: 5 bytes instead of 12"},
      // The bytes are there, but in the next packet.
      {"a packet that leaves its container",
       Wire(kContainerPacket, 2, Wire(1, 2, "123456").substr(0, 14)) + good,
       "12: length: 6 bytes of content, but only 2 are there"},
      {"an end packet in a container",
       Wire(kContainerPacket, 2, good + Wire(kEndPacket, 0)),
       "26: type: an end packet inside a container"},
      {"an end packet with content", Wire(kEndPacket, 0, "x"),
       "0: length: an end packet with content"},
  };
  for (const auto& row : table) {
    EXPECT_THAT(
        Say({row.bytes}),
        ElementsAre(absl::StrCat(
            "close 1002 INVALID_ARGUMENT: packet at offset ", row.fault)))
        << row.what;
  }
  EXPECT_THAT(Say({good + "12345"}),
              ElementsAre("request type: 1 who: 2 content: \"hi\"",
                          "close 1002 INVALID_ARGUMENT: packet at offset 14: "
                          "header: 5 bytes instead of 12"));
  EXPECT_THAT(Say({good + good + Wire(1, 2, "hello").substr(0, 16)}),
              ElementsAre("request type: 1 who: 2 content: \"hi\"",
                          "request type: 1 who: 2 content: \"hi\"",
                          "close 1002 INVALID_ARGUMENT: packet at offset 28: "
                          "length: 5 bytes of content, but only 4 are there"));
}

TEST_F(PacketTest, ContentOfMaxPacketBytesIsNotTooLong) {
  options_.max_packet_bytes = 100;
  EXPECT_THAT(Say({Wire(1, 0, std::string(100, 'x'))}),
              ElementsAre(absl::StrCat("request type: 1 content: \"",
                                       std::string(100, 'x'), "\"")));
}

TEST_F(PacketTest, AnswersAreJoinedUnlessTurnedOff) {
  options_.coalesce_bytes = 4096;
  EXPECT_EQ(MakePacketCodec(options_)->coalesce_bytes(), 4096u);
  options_.coalesce = PacketOptions::Coalesce::kOff;
  EXPECT_EQ(MakePacketCodec(options_)->coalesce_bytes(), 0u);
}

TEST_F(PacketTest, NextNeedsInputUntilSomethingIsFed) {
  const std::unique_ptr<Codec> codec = MakePacketCodec(options_);
  EXPECT_TRUE(std::holds_alternative<NeedInput>(codec->Next()));
}

}  // namespace
}  // namespace headgate
