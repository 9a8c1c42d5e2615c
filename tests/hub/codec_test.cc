#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "gateway/hub/decoder.h"
#include "gateway/hub/encoder.h"
#include "headgate/v1/hub_backend.pb.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

HubForm Form() {
  HubForm form;
  form.packet_type = 7;
  form.packet.max_packet_bytes = 100;
  form.max_message_bytes = 1000;
  return form;
}

std::string Encode(const v1::Payload& payload, HubCodec codec) {
  const HubForm form = Form();
  const auto frame = EncodePayload(payload, codec, form, nullptr);
  if (!frame.ok()) return frame.status().ToString();
  return ((*frame)->opcode == Opcode::kText ? "text " : "binary ") +
         (*frame)->payload;
}

v1::Payload Text(const std::string& text) {
  v1::Payload payload;
  payload.set_text(text);
  return payload;
}

TEST(HubEncoderTest, TextIsWhatTheCodecMakesOfIt) {
  EXPECT_EQ(Encode(Text("[1]"), HubCodec::kRaw), "text [1]");
  EXPECT_EQ(Encode(Text("[1]"), HubCodec::kJson), "text [1]");
  EXPECT_EQ(Encode(Text("[1]"), HubCodec::kProtobuf), "binary [1]");
  EXPECT_EQ(Encode(Text("[1]"), HubCodec::kPacket),
            "binary " + std::string("\0\0\0\7\0\0\0\3\0\0\0\0[1]", 15));
}

TEST(HubEncoderTest, JsonClientsGetOneJsonText) {
  for (const char* text : {"", "x", "1 2", "{\"a\":", "[1] ]"}) {
    EXPECT_THAT(Encode(Text(text), HubCodec::kJson),
                HasSubstr("not one JSON text"))
        << text;
  }
  EXPECT_EQ(Encode(Text(" 1"), HubCodec::kJson), "text  1");
}

TEST(HubEncoderTest, RefusesWhatHasNoForm) {
  EXPECT_THAT(Encode({}, HubCodec::kRaw), HasSubstr("payload: is empty"));
  EXPECT_THAT(Encode(Text(std::string(101, 'x')), HubCodec::kPacket),
              HasSubstr("max_packet_bytes"));
  v1::Payload message;
  message.set_message("x");
  EXPECT_THAT(Encode(message, HubCodec::kJson), HasSubstr("hub.message"));
  v1::Payload container;
  container.mutable_packet()->add_packets()->set_type(1);
  EXPECT_THAT(Encode(container, HubCodec::kJson), HasSubstr("container"));
}

TEST(HubEncoderTest, EncodesOncePerCodec) {
  const HubForm form = Form();
  const v1::Payload payload = Text("1");
  PayloadFrames frames(payload, form, nullptr);
  const HubFrame first = *frames.For(HubCodec::kJson);
  EXPECT_EQ(*frames.For(HubCodec::kJson), first);
  frames.For(HubCodec::kRaw).IgnoreError();
  EXPECT_EQ(frames.encoded(), 2u);
}

// What Next gives of `messages`: payloads in protobuf's text format, and how it
// ends.
std::vector<std::string> Decode(HubCodec codec,
                                const std::vector<WireMessage>& messages) {
  const HubForm form = Form();
  const auto decoder = MakeHubDecoder(codec, form);
  std::vector<std::string> decoded;
  for (const WireMessage& message : messages) {
    decoder->Feed(message);
    for (;;) {
      const HubDecoder::Event event = decoder->Next();
      if (std::holds_alternative<NeedInput>(event)) break;
      if (const auto* ending = std::get_if<Ending>(&event)) {
        decoded.push_back("close " +
                          std::to_string(static_cast<int>(ending->close)));
        return decoded;
      }
      v1::Event parsed;
      EXPECT_TRUE(parsed.ParseFromString(std::get<HubEventBody>(event).bytes));
      decoded.push_back(parsed.message().payload().ShortDebugString());
    }
  }
  return decoded;
}

TEST(HubDecoderTest, RawMessagesKeepTheirKind) {
  EXPECT_THAT(
      Decode(HubCodec::kRaw, {{Opcode::kText, ""}, {Opcode::kBinary, "b"}}),
      ElementsAre("text: \"\"", "binary: \"b\""));
}

TEST(HubDecoderTest, EachPacketIsAnEvent) {
  const std::string packet("\0\0\0\1\0\0\0\1\0\0\0\2x", 13);
  const std::string end("\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 12);
  EXPECT_THAT(
      Decode(HubCodec::kPacket, {{Opcode::kBinary, packet + end + packet},
                                 {Opcode::kBinary, "short"}}),
      ElementsAre("packet { type: 1 who: 2 content: \"x\" }",
                  "packet { type: 1 who: 2 content: \"x\" }", "close 1002"));
}

TEST(HubDecoderTest, EachJsonTextIsAnEvent) {
  EXPECT_THAT(
      Decode(HubCodec::kJson, {{Opcode::kText, "[1] {\"a\":"},
                               {Opcode::kText, "2}"},
                               {Opcode::kText, ""},
                               {Opcode::kText, "]"}}),
      ElementsAre("text: \"[1]\"", "text: \"{\\\"a\\\":2}\"", "close 4003"));
}

TEST(HubDecoderTest, AnEmptyTextOfAProtobufClientIsIgnored) {
  EXPECT_THAT(Decode(HubCodec::kProtobuf,
                     {{Opcode::kText, ""}, {Opcode::kBinary, "m"}}),
              ElementsAre("message: \"m\""));
  EXPECT_THAT(Decode(HubCodec::kProtobuf, {{Opcode::kText, "t"}}),
              ElementsAre("close 1003"));
}

}  // namespace
}  // namespace headgate
