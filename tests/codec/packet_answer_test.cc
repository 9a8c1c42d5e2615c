// From the backend to the client: serialized headgate.v1.Packet to the wire.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "gateway/codec/packet.h"
#include "headgate/v1/packet.pb.h"
#include "tests/codec/events.h"

namespace headgate {
namespace {

class PacketAnswerTest : public ::testing::Test {
 protected:
  std::string Wire(std::uint32_t type, std::uint32_t who,
                   absl::string_view content = "") {
    std::string bytes;
    AppendPacketHeader({type, who, content.size()}, options_, bytes);
    return absl::StrCat(bytes, content);
  }
  // The answer in protobuf's text format.
  absl::StatusOr<std::string> Answer(const std::string& text) {
    v1::Packet packet;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &packet));
    return AnswerBytes(packet.SerializeAsString());
  }
  absl::StatusOr<std::string> AnswerBytes(absl::string_view bytes) {
    absl::StatusOr<WireMessage> message =
        Encoded(*MakePacketCodec(options_), std::string(bytes));
    if (!message.ok()) return message.status();
    EXPECT_EQ(message->opcode, Opcode::kBinary);
    return message->payload;
  }
  std::string Fault(const std::string& text) {
    return Answer(text).status().ToString();
  }
  PacketOptions options_;
};

TEST_F(PacketAnswerTest, PacketIsHeaderAndContent) {
  EXPECT_EQ(*Answer("type: 7 who: 42 content: 'hello'"),
            std::string("\0\0\0\7\0\0\0\5\0\0\0\52hello", 17));
  EXPECT_EQ(*Answer("type: 7 who: 42"), Wire(7, 42));
}

// proto3: fields at their default values are not on the wire.
TEST_F(PacketAnswerTest, EmptyMessageIsAPacketOfZeros) {
  EXPECT_EQ(*AnswerBytes(""), std::string(12, '\0'));
}

TEST_F(PacketAnswerTest, HeaderIsWhatTheOptionsSay) {
  options_.order = PacketOptions::Order::kTypeWhoLength;
  options_.endian = PacketOptions::Endian::kLittle;
  options_.length_counts = PacketOptions::LengthCounts::kPacket;
  EXPECT_EQ(*Answer("type: 7 who: 42 content: 'hello'"),
            std::string("\7\0\0\0\52\0\0\0\21\0\0\0hello", 17));
}

TEST_F(PacketAnswerTest, NestingIsKept) {
  options_.container_types = {100};
  EXPECT_EQ(*Answer("type: 100 who: 9 packets { type: 1 content: 'a' }"
                    "packets { type: 0xFFFFFFFE packets { who: 3 } }"
                    "packets { type: 2 }"),
            Wire(100, 9,
                 Wire(1, 0, "a") + Wire(kContainerPacket, 0, Wire(0, 3)) +
                     Wire(2, 0)));
}

// protobuf.dev/programming-guides/encoding: parsers accept fields in any order
// and take the last of a field that should be there once; unknown fields are
// stepped over.
TEST_F(PacketAnswerTest, AnyValidEncodingIsUnderstood) {
  const struct {
    const char* what;
    absl::string_view bytes;
    std::string wire;
  } table[] = {
      {"content before type", "\x1A\x02hi\x10\x02\x08\x01", Wire(1, 2, "hi")},
      {"the last of each field counts",
       "\x08\x05\x1A\x02no\x10\x05\x08\x01\x1A\x02hi\x10\x02",
       Wire(1, 2, "hi")},
      {"an empty content after another", {"\x1A\x02no\x1A\x00", 6}, Wire(0, 0)},
      {"unknown fields of every type",
       "\x28\x07\x08\x01\x2A\x01x\x29"
       "12345678"
       "\x2D"
       "1234",
       Wire(1, 0)},
      {"a known field of an unknown type is an unknown field",
       "\x0A\x01x\x08\x01", Wire(1, 0)},
      {"a varint that is longer than it need be",
       {"\x08\x81\x80\x80\x00", 5},
       Wire(1, 0)},
      {"a varint above u32 keeps its lower bits", "\x08\x81\x80\x80\x80\x10",
       Wire(1, 0)},
      {"packets between other fields and before the type",
       "\x22\x02\x08\x01\x10\x09\x22\x02\x08\x02\x08\xFE\xFF\xFF\xFF\x0F",
       Wire(kContainerPacket, 9, Wire(1, 0) + Wire(2, 0))},
  };
  for (const auto& row : table) {
    // What the generated class understands is the measure.
    v1::Packet packet;
    ASSERT_TRUE(packet.ParseFromArray(row.bytes.data(), row.bytes.size()));
    packet.DiscardUnknownFields();
    EXPECT_EQ(*AnswerBytes(packet.SerializeAsString()), row.wire) << row.what;
    EXPECT_EQ(*AnswerBytes(row.bytes), row.wire) << row.what;
  }
}

TEST_F(PacketAnswerTest, BytesThatAreNoPacketAreTheBackendsFault) {
  EXPECT_EQ(AnswerBytes("\x08").status(),
            absl::InternalError("answer: encoding: not a headgate.v1.Packet"));
  EXPECT_EQ(AnswerBytes("\x1A\x05hi").status(),
            absl::InternalError("answer: encoding: not a headgate.v1.Packet"));
  EXPECT_EQ(AnswerBytes("\x08\xFE\xFF\xFF\xFF\x0F\x22\x02\x08\x01\x22\x01\x08")
                .status(),
            absl::InternalError(
                "answer: packets[1].encoding: not a headgate.v1.Packet"));
}

TEST_F(PacketAnswerTest, FaultsNameTheFieldAndItsPlace) {
  options_.container_types = {100};
  options_.max_depth = 3;
  const struct {
    const char* answer;
    const char* fault;
  } table[] = {
      {"type: 0xFFFFFFFF", "type: 0xFFFFFFFF is reserved for the end packet"},
      {"type: 100 packets { } packets { type: 0xFFFFFFFF }",
       "packets[1].type: 0xFFFFFFFF is reserved for the end packet"},
      {"type: 7 packets { }", "packets: type 0x7 is not a container"},
      {"type: 7 content: 'x' packets { }",
       "packets: type 0x7 is not a container"},
      {"type: 100 content: 'x'",
       "content: type 0x64 is a container, which has packets"},
      {"type: 100 content: 'x' packets { }",
       "content: type 0x64 is a container, which has packets"},
      {"type: 0xFFFFFFFE",
       "packets: type 0xFFFFFFFE is a container, but has none"},
      {"type: 100 packets { } packets { type: 100 packets { type: 100 } }",
       "packets[1].packets[0].packets: type 0x64 is a container, but has none"},
      {"type: 100 packets { type: 100 packets { type: 100 packets { } } }",
       "packets[0].packets[0].packets[0].depth: nested deeper than max_depth "
       "(3)"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(Fault(row.answer), absl::StrCat("INTERNAL: answer: ", row.fault));
  }
}

TEST_F(PacketAnswerTest, NestingMayReachMaxDepth) {
  options_.max_depth = 2;
  EXPECT_TRUE(Answer("type: 0xFFFFFFFE packets { }").ok());
}

// The client's limit is the backend's as well; what is too long is a matter of
// quantity, not a fault in the answer.
TEST_F(PacketAnswerTest, LongContentIsResourceExhausted) {
  options_.max_packet_bytes = 30;
  EXPECT_TRUE(Answer("content: '123456789012345678901234567890'").ok());
  EXPECT_EQ(Fault("content: '1234567890123456789012345678901'"),
            "RESOURCE_EXHAUSTED: answer: content: 31 bytes are over "
            "max_packet_bytes (30)");
  EXPECT_TRUE(
      Answer("type: 0xFFFFFFFE packets { } packets { content: '123456' }")
          .ok());
  EXPECT_EQ(
      Fault("type: 0xFFFFFFFE packets { } packets { content: '1234567' }"),
      "RESOURCE_EXHAUSTED: answer: content: 31 bytes are over "
      "max_packet_bytes (30)");
}

TEST_F(PacketAnswerTest, EndPacketCarriesTheStatus) {
  const std::unique_ptr<Codec> codec = MakePacketCodec(options_);
  const std::optional<WireMessage> end =
      EncodedEnd(*codec, EndingOf(absl::NotFoundError("gone")));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->opcode, Opcode::kBinary);
  EXPECT_EQ(end->payload, Wire(kEndPacket, 0, "\x08\x05\x12\x04gone"));
}

// google.rpc.Status of OK has no fields.
TEST_F(PacketAnswerTest, EndPacketOfSuccessIsEmpty) {
  const std::unique_ptr<Codec> codec = MakePacketCodec(options_);
  EXPECT_EQ(EncodedEnd(*codec, EndingOf(absl::OkStatus()))->payload,
            Wire(kEndPacket, 0));
}

TEST_F(PacketAnswerTest, EndPacketCarriesTheBackendsDetails) {
  const std::unique_ptr<Codec> codec = MakePacketCodec(options_);
  const std::string details = "\x08\x05\x12\x01x\x1A\x03\x0A\x01u";
  EXPECT_EQ(
      EncodedEnd(*codec, EndingOf(CallEnd{absl::NotFoundError("x"), details}))
          ->payload,
      Wire(kEndPacket, 0, details));
}

}  // namespace
}  // namespace headgate
