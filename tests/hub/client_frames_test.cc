#include "gateway/hub/client_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/hub/decoder.h"
#include "gateway/hub/encoder.h"
#include "headgate/v1/hub_backend.pb.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ShowEvent(const HubDecoder::Event& event) {
  if (std::holds_alternative<NeedInput>(event)) return "";
  if (const auto* ending = std::get_if<Ending>(&event)) {
    return absl::StrCat("close ", static_cast<int>(ending->close), " ",
                        std::string(ending->end.status.message()));
  }
  if (const auto* answer = std::get_if<HubAnswer>(&event)) {
    return "answer " +
           EncodeServerFrame(answer->frame, HubCodec::kHubJson).payload;
  }
  if (const auto* request = std::get_if<HubRequest>(&event)) {
    return "request " + request->frame->ShortDebugString();
  }
  v1::Event parsed;
  EXPECT_TRUE(parsed.ParseFromString(std::get<HubEventBody>(event).bytes));
  return "message " + parsed.message().payload().ShortDebugString();
}

std::vector<std::string> DecodeFrames(
    HubCodec codec, const std::vector<WireMessage>& messages) {
  HubForm form;
  form.max_message_bytes = 1000;
  const auto decoder = MakeHubDecoder(codec, form);
  std::vector<std::string> decoded;
  for (const WireMessage& message : messages) {
    decoder->Feed(message);
    for (;;) {
      const HubDecoder::Event event = decoder->Next();
      if (std::holds_alternative<NeedInput>(event)) break;
      decoded.push_back(ShowEvent(event));
      if (std::holds_alternative<Ending>(event)) return decoded;
    }
  }
  return decoded;
}

std::vector<std::string> Json(const std::string& text) {
  return DecodeFrames(HubCodec::kHubJson, {{Opcode::kText, text}});
}

std::vector<std::string> Protobuf(const v1::HubClientFrame& frame) {
  return DecodeFrames(HubCodec::kHubProtobuf,
                      {{Opcode::kBinary, frame.SerializeAsString()}});
}

TEST(HubClientFramesTest, APayloadIsTheJsonItself) {
  EXPECT_THAT(Json(R"( {"payload" : {"a": [1.50, "}\""]} })"),
              ElementsAre(R"(message text: "{\"a\": [1.50, \"}\\\"\"]}")"));
  EXPECT_THAT(
      Json(R"({"payload":null,"id":7})"),
      ElementsAre(R"(message text: "null")", R"(answer {"id":7,"ok":true})"));
  EXPECT_THAT(
      Json(R"({"publish":{"group":"g","payload":[2],"noEcho":true},"id":1})"),
      ElementsAre("request id: 1 publish { group: \"g\" payload { text: "
                  "\"[2]\" } no_echo: true }"));
}

TEST(HubClientFramesTest, RequestsAreForTheHub) {
  EXPECT_THAT(
      Json(
          R"({"id":1,"join":{"group":"g","after":{"epoch":"e","offset":"5"}}})"),
      ElementsAre("request id: 1 join { group: \"g\" after { epoch: \"e\" "
                  "offset: 5 } }"));
  EXPECT_THAT(Json(R"({"id":3,"token":"x"})"),
              ElementsAre("request id: 3 token: \"x\""));
  EXPECT_THAT(
      Json(R"({"leave":"g"} {"half_close":true,"id":2})"),
      ElementsAre("request leave: \"g\"", R"(answer {"id":2,"ok":true})"));
}

TEST(HubClientFramesTest, AResumeIsTheFirstFrameAndHasAnId) {
  const std::string resume = R"({"id":1,"resume":{"resumeToken":"x",)"
                             R"("positions":[{"group":"g"}]}})";
  const std::string request =
      "request id: 1 resume { resume_token: \"x\" positions { group: \"g\" } }";
  EXPECT_THAT(Json(resume), ElementsAre(request));
  EXPECT_THAT(
      Json(resume + resume),
      ElementsAre(request,
                  HasSubstr(R"("message":"resume: must be the first frame")")));
  EXPECT_THAT(Json(R"({"half_close":true})" + resume),
              ElementsAre(HasSubstr(R"("error":{"code":9,)")));
}

// However many there are in a message, they take no stack.
TEST(HubClientFramesTest, FramesThatChangeNothingAreSkipped) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += R"({"half_close":true})";
  EXPECT_THAT(Json(text + R"({"leave":"g"})"),
              ElementsAre("request leave: \"g\""));
}

TEST(HubClientFramesTest, WhatIsNoFrameEndsTheSession) {
  for (const char* text :
       {"[]", "1", R"({"x":1})", R"({"payload":1,"payload":2})",
        R"({"payload":1,"leave":"g"})", R"({"id":-1,"leave":"g"})",
        R"({"leave":5})", R"({"\u0070ayload":{"text":"x"}})",
        R"({"publish":[{"payload":1}]})", R"({"leave":"g"}})",
        R"({"resume":{}})"}) {
    const std::vector<std::string> decoded = Json(text);
    ASSERT_FALSE(decoded.empty()) << text;
    EXPECT_THAT(decoded.back(), StartsWith("close 4003")) << text;
  }
  EXPECT_THAT(Json(R"({"payload":"0123456789","leav":"g"})").back(),
              HasSubstr("byte 24"));
  EXPECT_THAT(Json("{}").back(), HasSubstr("has none of payload"));
  EXPECT_THAT(Json(R"({"id":3})").back(),
              StartsWith(R"(answer {"id":3,"error":{"code":3,)"));
}

TEST(HubClientFramesTest, ProtobufFramesAreStrict) {
  v1::HubClientFrame frame;
  frame.set_id(4);
  frame.mutable_payload()->set_binary("b");
  EXPECT_THAT(Protobuf(frame), ElementsAre("message binary: \"b\"",
                                           R"(answer {"id":4,"ok":true})"));
  frame.mutable_payload()->mutable_packet()->add_packets();
  EXPECT_THAT(Protobuf(frame).back(), HasSubstr("packets in it"));
  frame.mutable_payload()->Clear();
  EXPECT_THAT(Protobuf(frame).back(), HasSubstr("payload: is empty"));
  for (const char* bytes : {"\x0a", "\x32\x00", "\x12\x02\x7a\x00"}) {
    // Field 6 and a payload's field 15 are not known.
    const std::string message(bytes, bytes[0] == 0x0a   ? 1
                                     : bytes[0] == 0x32 ? 2
                                                        : 4);
    EXPECT_THAT(
        DecodeFrames(HubCodec::kHubProtobuf, {{Opcode::kBinary, message}})
            .back(),
        StartsWith("close 40"));
  }
  EXPECT_THAT(
      DecodeFrames(HubCodec::kHubProtobuf, {{Opcode::kText, "{}"}}).back(),
      StartsWith("close 1003"));
}

v1::Payload TextPayload(const std::string& text) {
  v1::Payload payload;
  payload.set_text(text);
  return payload;
}

TEST(HubClientFramesTest, ADeliveryNamesItsGroup) {
  const HubForm form;
  const auto json = EncodePayload(TextPayload("[1]"), HubCodec::kHubJson, form,
                                  nullptr, "a\"b");
  EXPECT_EQ((*json)->payload, R"({"delivery":{"payload":[1],"group":"a\"b"}})");
  const auto own =
      EncodePayload(TextPayload("[1]"), HubCodec::kHubJson, form, nullptr);
  EXPECT_EQ((*own)->payload, R"({"delivery":{"payload":[1]}})");
  const auto protobuf = EncodePayload(TextPayload("x"), HubCodec::kHubProtobuf,
                                      form, nullptr, "g");
  v1::HubServerFrame frame;
  ASSERT_TRUE(frame.ParseFromString((*protobuf)->payload));
  EXPECT_EQ(frame.ShortDebugString(),
            "delivery { payload { text: \"x\" } group: \"g\" }");
  EXPECT_FALSE(
      EncodePayload(TextPayload("x"), HubCodec::kHubJson, form, nullptr).ok());
  EXPECT_FALSE(EncodePayload({}, HubCodec::kHubProtobuf, form, nullptr).ok());
}

TEST(HubClientFramesTest, ADeliveryHasItsOffset) {
  const HubForm form;
  constexpr std::uint64_t kOffset = 18446744073709551615u;
  const auto json = EncodePayload(TextPayload("1"), HubCodec::kHubJson, form,
                                  nullptr, "g", kOffset);
  EXPECT_EQ((*json)->payload, R"({"delivery":{"payload":1,"group":"g",)"
                              R"("offset":"18446744073709551615"}})");
  const auto protobuf = EncodePayload(TextPayload("1"), HubCodec::kHubProtobuf,
                                      form, nullptr, "g", kOffset);
  v1::HubServerFrame frame;
  ASSERT_TRUE(frame.ParseFromString((*protobuf)->payload));
  EXPECT_EQ(frame.delivery().offset(), kOffset);
}

TEST(HubClientFramesTest, AGapSaysBetweenWhichOffsets) {
  v1::HubServerFrame frame;
  frame.mutable_gap()->set_group("g");
  frame.mutable_gap()->set_after(7);
  EXPECT_EQ(EncodeServerFrame(frame, HubCodec::kHubJson).payload,
            R"({"gap":{"group":"g","after":"7"}})");
  frame.mutable_gap()->set_before(9);
  EXPECT_EQ(EncodeServerFrame(frame, HubCodec::kHubJson).payload,
            R"({"gap":{"group":"g","after":"7","before":"9"}})");
}

TEST(HubClientFramesTest, EachGroupIsAKindOfReceiver) {
  const HubForm form;
  const v1::Payload payload = TextPayload("1");
  PayloadFrames::Groups groups;
  for (const char* group : {"a", "b", "c"}) *groups.Add() = group;
  PayloadFrames frames(payload, form, nullptr, &groups);
  const auto of = [&](HubCodec codec, std::size_t group) {
    return (*frames.For(PayloadFrames::KindOf(codec, group)))->payload;
  };
  for (int i = 0; i < 3; ++i) {
    const std::string group = groups[i];
    EXPECT_EQ(of(HubCodec::kHubJson, static_cast<std::size_t>(i)),
              R"({"delivery":{"payload":1,"group":")" + group + "\"}}");
    EXPECT_THAT(of(HubCodec::kHubProtobuf, static_cast<std::size_t>(i)),
                HasSubstr(group));
  }
  EXPECT_EQ(of(HubCodec::kJson, 2), "1");
  EXPECT_EQ(of(HubCodec::kHubJson, 0), of(HubCodec::kHubJson, 0));
  EXPECT_EQ(frames.encoded(), 7u);
}

TEST(HubClientFramesTest, ServerFramesAsJson) {
  const auto json = [](const v1::HubServerFrame& frame) {
    return EncodeServerFrame(frame, HubCodec::kHubJson).payload;
  };
  EXPECT_EQ(json(WelcomeFrame("s", absl::InfiniteDuration())),
            R"({"welcome":{"session":"s"}})");
  EXPECT_EQ(json(WelcomeFrame("s", absl::Seconds(90))),
            R"({"welcome":{"session":"s","expiresIn":"90s"}})");
  EXPECT_EQ(json(ExpiryFrame(absl::Milliseconds(1999))),
            R"({"expiresIn":"1s"})");
  EXPECT_EQ(json(ExpiryFrame(absl::Seconds(-5))), R"({"expiresIn":"0s"})");
  EXPECT_EQ(json(EndFrame(absl::OkStatus())), R"({"end":{}})");
  EXPECT_EQ(json(FailureFrame(2, absl::NotFoundError("no\nsuch"))),
            R"({"id":2,"error":{"code":5,"message":"no\nsuch"}})");
  v1::HubServerFrame joined;
  joined.mutable_joined()->set_group("g");
  EXPECT_EQ(json(joined), R"({"joined":{"group":"g"}})");
  joined.mutable_joined()->mutable_position()->set_offset(1);
  joined.mutable_joined()->set_recovered(true);
  joined.mutable_joined()->set_missed(2);
  EXPECT_EQ(json(joined), R"({"joined":{"group":"g","position":{"offset":"1"},)"
                          R"("recovered":true,"missed":2}})");
  v1::HubServerFrame left;
  left.set_left("g");
  EXPECT_EQ(json(left), R"({"left":"g"})");
  v1::HubServerFrame token;
  token.set_resume_token("x");
  EXPECT_EQ(json(token), R"({"resumeToken":"x"})");
  token = WelcomeFrame("s", absl::InfiniteDuration());
  token.mutable_welcome()->set_resume_token("x");
  token.mutable_welcome()->set_resumed(true);
  EXPECT_EQ(json(token),
            R"({"welcome":{"session":"s","resumeToken":"x","resumed":true}})");
}

}  // namespace
}  // namespace headgate
