#include "gateway/codec/passthrough.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "headgate/v1/message.pb.h"
#include "tests/codec/events.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Show(const absl::StatusOr<WireMessage>& message) {
  if (!message.ok()) return message.status().ToString();
  return absl::StrCat(message->opcode == Opcode::kText ? "text " : "binary ",
                      absl::CEscape(message->payload));
}

class ProtobufCodecTest : public ::testing::Test {
 protected:
  std::unique_ptr<Codec> codec_ = MakeProtobufCodec();
};

TEST_F(ProtobufCodecTest, OneBinaryMessageIsOneRequest) {
  EXPECT_THAT(Hear(*codec_, {Binary("\x0A\x01x"), Binary("anything \xFF")}),
              ElementsAre("request \\n\\001x", "request anything \\377"));
}

// In proto3 zero bytes are a message whose fields all have their defaults.
TEST_F(ProtobufCodecTest, EmptyBinaryMessageIsARequest) {
  EXPECT_THAT(Hear(*codec_, {Binary("")}), ElementsAre("request "));
}

TEST_F(ProtobufCodecTest, EmptyTextMessageIsHalfClose) {
  EXPECT_THAT(Hear(*codec_, {Binary("a"), Text(""), Text("")}),
              ElementsAre("request a", "half-close", "half-close"));
}

TEST_F(ProtobufCodecTest, OtherTextIsTheWrongOpcode) {
  EXPECT_THAT(
      Hear(*codec_, {Text("{}")}),
      ElementsAre("close 1003 INVALID_ARGUMENT: text message: the protobuf "
                  "codec expects binary messages, or the empty text message "
                  "for half-close"));
}

TEST_F(ProtobufCodecTest, NextNeedsInputUntilSomethingIsFed) {
  EXPECT_TRUE(std::holds_alternative<NeedInput>(codec_->Next()));
}

TEST_F(ProtobufCodecTest, AnswersAreBinaryAndUntouched) {
  EXPECT_EQ(Show(Encoded(*codec_, "\xFF\x01")), "binary \\377\\001");
  EXPECT_EQ(Show(Encoded(*codec_, "")), "binary ");
}

TEST_F(ProtobufCodecTest, HasNoPlaceForTheStatus) {
  EXPECT_EQ(EncodedEnd(*codec_, EndingOf(absl::NotFoundError("x"))),
            std::nullopt);
  EXPECT_EQ(codec_->coalesce_bytes(), 0u);
}

class RawCodecTest : public ::testing::Test {
 protected:
  // What the backend sees of these messages.
  std::vector<std::string> Backend(std::vector<WireMessage> messages) {
    return Hear(*codec_, std::move(messages), [](const std::string& payload) {
      v1::Message message;
      EXPECT_TRUE(message.ParseFromString(payload));
      return message.ShortDebugString();
    });
  }
  // What the client sees of this answer.
  std::string Client(const v1::Message& answer) {
    return Show(Encoded(*codec_, answer.SerializeAsString()));
  }
  std::unique_ptr<Codec> codec_ = MakeRawCodec();
};

TEST_F(RawCodecTest, KeepsTheOpcodeAndThePayload) {
  EXPECT_THAT(
      Backend({Text("hi"), Binary("\x01\xFF")}),
      ElementsAre("request text: \"hi\"", "request binary: \"\\001\\377\""));
}

TEST_F(RawCodecTest, KeepsALongPayload) {
  const std::string payload(100000, 'x');
  codec_->Feed(Binary(payload));
  v1::Message message;
  ASSERT_TRUE(message.ParseFromString(
      std::get<RequestMessage>(codec_->Next()).payload));
  EXPECT_EQ(message.binary(), payload);
}

// There is no half-close marker in this codec, and nothing is not a message.
TEST_F(RawCodecTest, EmptyMessagesAreMessages) {
  EXPECT_THAT(Backend({Text(""), Binary("")}),
              ElementsAre("request text: \"\"", "request binary: \"\""));
  EXPECT_TRUE(std::holds_alternative<NeedInput>(codec_->Next()));
}

TEST_F(RawCodecTest, AnswersKeepTheirKind) {
  v1::Message message;
  message.set_text("gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(Client(message), "text gr\\303\\274\\303\\237");
  message.set_text("");
  EXPECT_EQ(Client(message), "text ");
  message.set_binary("\xFF");
  EXPECT_EQ(Client(message), "binary \\377");
  message.set_binary("");
  EXPECT_EQ(Client(message), "binary ");
}

// protobuf.dev/programming-guides/proto3, "Oneof": of several members on the
// wire the last one counts. Fields of a newer version are stepped over.
TEST_F(RawCodecTest, AnswersMayHaveAnyValidEncoding) {
  EXPECT_EQ(Show(Encoded(*codec_,
                         "\x0A\x01"
                         "a\x12\x01"
                         "b")),
            "binary b");
  EXPECT_EQ(Show(Encoded(*codec_,
                         "\x12\x01"
                         "b\x0A\x01"
                         "a\x50\x07")),
            "text a");
}

TEST_F(RawCodecTest, AnswersThatAreNoMessageAreTheBackendsFault) {
  EXPECT_EQ(Show(Encoded(*codec_, "")),
            "INTERNAL: answer: neither text nor binary is set");
  EXPECT_EQ(Show(Encoded(*codec_, "\x50\x07")),
            "INTERNAL: answer: neither text nor binary is set");
  EXPECT_EQ(Show(Encoded(*codec_,
                         "\x12\x05"
                         "abc")),
            "INTERNAL: answer: not a headgate.v1.Message");
}

// RFC 6455 section 8.1: the client would have to fail the connection.
TEST_F(RawCodecTest, TextThatIsNotUtf8IsTheBackendsFault) {
  EXPECT_EQ(Show(Encoded(*codec_,
                         "\x0A\x03"
                         "ab\xFF")),
            "INTERNAL: answer: text: not UTF-8 at byte 2");
}

TEST_F(RawCodecTest, HasNoPlaceForTheStatus) {
  EXPECT_EQ(EncodedEnd(*codec_, EndingOf(absl::NotFoundError("x"))),
            std::nullopt);
  EXPECT_EQ(codec_->coalesce_bytes(), 0u);
}

}  // namespace
}  // namespace headgate
