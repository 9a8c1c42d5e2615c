#include <gmock/gmock.h>

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/admin/tap_json.h"
#include "gateway/admin/tap_queue.h"
#include "gateway/admin/tap_redaction.h"
#include "gateway/admin/tap_stream.h"
#include "headgate/v1/hub_client.pb.h"
#include "tests/admin/fake_gateway.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::shared_ptr<const TapSession> TappedChat() {
  Route route;
  route.path = "/chat";
  return std::make_shared<const TapSession>(
      TapSession{"id-1", "192.0.2.1", std::make_shared<const Route>(route),
                 "/p.S/Chat", "/chat", &kJsonDialect});
}

TapEvent EventOf(TapEvent::Kind kind, const Dialect* codec, Opcode opcode,
                 const std::string& payload) {
  TapEvent event;
  event.session = TappedChat();
  event.kind = kind;
  event.codec = codec;
  event.opcode = opcode;
  event.bytes = payload.size();
  event.payload = payload;
  event.has_payload = true;
  event.at = {absl::UnixEpoch(), absl::UnixEpoch()};
  return event;
}

TapEvent JsonRequest(const std::string& text) {
  return EventOf(TapEvent::Kind::kRequest, &kJsonDialect, Opcode::kText, text);
}

void OfferTo(TapSink& sink, const TapEvent& event) {
  sink.Offer(event, event.payload);
}

std::string Shown(const TapEvent& event, TapContent content) {
  return boost::json::serialize(TapJson(event, content, nullptr));
}

TEST(TapJsonTest, WithoutPermissionOnlyTheShapeOfAMessageIsShown) {
  const std::string text =
      R"({"user":"ann","pin":1234,"ok":true,"list":[1,"two",null]})";
  EXPECT_THAT(
      Shown(JsonRequest(text), TapContent::kRedacted),
      AllOf(HasSubstr(R"("event":"request","session":"id-1","route":"/chat")"),
            HasSubstr(R"("method":"p.S/Chat","codec":"json")"),
            // Nothing says that these are names of fields.
            HasSubstr(R"({"<name 1>":"<string 3>","<name 2>":"<number>",)"),
            HasSubstr(R"("<name 3>":"<bool>","<name 4>":)"
                      R"(["<number>","<string 3>",null]})"),
            Not(HasSubstr("ann")), Not(HasSubstr("1234")),
            Not(HasSubstr("pin"))));
}

// Frames of hub clients may be tokens, or parts of them.
TEST(TapJsonTest, TokensOfHubClientsAreNeverShown) {
  for (const char* text :
       {R"({"id":1,"token":"s3cret"})", R"({"\u0074oken":"s3cret"})",
        R"({"leave":"g"}{"token":"s3cret"})", R"(oken":"s3cret"})"}) {
    const TapEvent event = EventOf(TapEvent::Kind::kRequest, &kHubJsonDialect,
                                   Opcode::kText, text);
    for (const TapContent content : {TapContent::kShown, TapContent::kRaw}) {
      EXPECT_THAT(Shown(event, content), Not(HasSubstr("s3cret"))) << text;
    }
  }
  v1::HubClientFrame frame;
  frame.set_token("s3cret");
  const TapEvent event = EventOf(TapEvent::Kind::kRequest, &kHubProtobufDialect,
                                 Opcode::kBinary, frame.SerializeAsString());
  EXPECT_THAT(Shown(event, TapContent::kShown), HasSubstr("<bytes 8>"));
  EXPECT_THAT(Shown(event, TapContent::kRaw), HasSubstr(R"("truncated":true)"));
  // Those with which they resume sessions, both ways.
  v1::HubClientFrame resume;
  resume.mutable_resume()->set_resume_token("s3cret");
  v1::HubServerFrame renewal;
  renewal.set_resume_token("s3cret");
  v1::HubServerFrame welcome;
  welcome.mutable_welcome()->set_resume_token("s3cret");
  using Kind = TapEvent::Kind;
  for (const TapContent content : {TapContent::kShown, TapContent::kRaw}) {
    for (const auto& [kind, bytes] :
         {std::pair(Kind::kRequest, resume.SerializeAsString()),
          std::pair(Kind::kResponse, renewal.SerializeAsString()),
          std::pair(Kind::kResponse, welcome.SerializeAsString())}) {
      EXPECT_THAT(
          Shown(EventOf(kind, &kHubProtobufDialect, Opcode::kBinary, bytes),
                content),
          Not(HasSubstr("s3cret")));
    }
    for (const auto& [kind, text] :
         {std::pair(Kind::kRequest, R"({"resume":{"resumeToken":"s3cret"}})"),
          std::pair(Kind::kResponse, R"({"resumeToken":"s3cret"})"),
          std::pair(Kind::kResponse,
                    R"({"welcome":{"session":"s","resumeToken":"s3cret"}})")}) {
      EXPECT_THAT(
          Shown(EventOf(kind, &kHubJsonDialect, Opcode::kText, text), content),
          Not(HasSubstr("s3cret")))
          << text;
    }
  }
  EXPECT_THAT(Shown(EventOf(TapEvent::Kind::kRequest, &kHubJsonDialect,
                            Opcode::kText, R"({"payload":"open"})"),
                    TapContent::kShown),
              HasSubstr(R"({"payload":"open"})"));
}

std::shared_ptr<const Schema> SchemaWithMaps() {
  google::protobuf::FileDescriptorProto file;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        name: "p.proto"
        package: "p"
        syntax: "proto3"
        dependency: "google/protobuf/struct.proto"
        dependency: "google/protobuf/any.proto"
        message_type {
          name: "M"
          field {
            name: "user_name"
            number: 1
            label: LABEL_OPTIONAL
            type: TYPE_STRING
            json_name: "userName"
          }
          field {
            name: "by_mail"
            number: 2
            label: LABEL_REPEATED
            type: TYPE_MESSAGE
            type_name: ".p.M.ByMailEntry"
            json_name: "byMail"
          }
          field {
            name: "free"
            number: 3
            label: LABEL_OPTIONAL
            type: TYPE_MESSAGE
            type_name: ".google.protobuf.Struct"
          }
          field {
            name: "any"
            number: 4
            label: LABEL_REPEATED
            type: TYPE_MESSAGE
            type_name: ".google.protobuf.Any"
          }
          nested_type {
            name: "ByMailEntry"
            options { map_entry: true }
            field {
              name: "key"
              number: 1
              label: LABEL_OPTIONAL
              type: TYPE_STRING
            }
            field {
              name: "value"
              number: 2
              label: LABEL_OPTIONAL
              type: TYPE_MESSAGE
              type_name: ".p.M"
            }
          }
        })pb",
      &file));
  std::vector<std::string> warnings;
  auto schema = Schema::Build({file}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  return schema;
}

// What a replay sends again: JSON where it is known, and protobuf.
TEST(TapJsonTest, ARecordedMessageOfACallIsProtobufAndJson) {
  google::protobuf::FileDescriptorProto file;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        name: "s.proto"
        package: "p"
        syntax: "proto3"
        message_type {
          name: "N"
          field { name: "id" number: 1 label: LABEL_OPTIONAL type: TYPE_INT64 }
        }
        service {
          name: "S"
          method { name: "Chat" input_type: ".p.N" output_type: ".p.N" }
        })pb",
      &file));
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file}, &warnings);
  TapEvent event = EventOf(TapEvent::Kind::kRequest, &kConnectJsonDialect,
                           Opcode::kBinary, "\x08\x07");
  event.form = TapEvent::Form::kMessage;
  const auto recorded = [&](const Schema* known) {
    return boost::json::serialize(TapJson(event, TapContent::kRaw, known));
  };
  EXPECT_THAT(recorded(schema.get()),
              HasSubstr(R"("text":"{\"id\":\"7\"}","base64":"CAc=")"));
  EXPECT_THAT(recorded(nullptr),
              AllOf(HasSubstr(R"("base64":"CAc=")"), Not(HasSubstr("text"))));
  event.payload = "\x08";  // Cut short.
  EXPECT_THAT(recorded(schema.get()),
              AllOf(HasSubstr(R"("base64":"CA==")"), Not(HasSubstr("text"))));

  event.payload.clear();
  event.bytes = 0;
  EXPECT_THAT(recorded(schema.get()), Not(HasSubstr("half_close")));
  event.opcode = Opcode::kText;
  EXPECT_THAT(recorded(schema.get()), HasSubstr(R"("half_close":true)"));
}

std::string RedactedM(const std::string& text) {
  static const auto& schema =
      *new std::shared_ptr<const Schema>(SchemaWithMaps());
  return boost::json::serialize(
      Redacted(boost::json::parse(text), schema.get(), "p.M"));
}

TEST(TapRedactionTest, NamesOfFieldsStay) {
  EXPECT_EQ(RedactedM(R"({"userName":"ann","user_name":"ann"})"),
            R"({"userName":"<string 3>","user_name":"<string 3>"})");
}

// They may be users' addresses.
TEST(TapRedactionTest, KeysAreValues) {
  EXPECT_EQ(RedactedM(R"({"byMail":{"a@x":{"userName":"a"},"b@x":{"q":1}}})"),
            R"({"byMail":{"<name 1>":{"userName":"<string 1>"},)"
            R"("<name 2>":{"<name 1>":"<number>"}}})");
  EXPECT_EQ(RedactedM(R"({"free":{"a@x":{"userName":[{"b@x":1}]}}})"),
            R"({"free":{"<name 1>":{"<name 1>":[{"<name 1>":"<number>"}]}}})");
  EXPECT_EQ(RedactedM(R"({"pin":{"userName":1}})"),
            R"({"<name 1>":{"<name 1>":"<number>"}})");
}

TEST(TapRedactionTest, AnAnyIsReadByItsType) {
  EXPECT_EQ(RedactedM(R"({"any":[{"@type":"x/p.M","userName":"a","q":1}]})"),
            R"({"any":[{"userName":"<string 1>","<name 2>":"<number>",)"
            R"("@type":"<string 5>"}]})");
  EXPECT_EQ(
      RedactedM(
          R"({"any":[{"@type":"x/google.protobuf.Struct","value":{"k":1}}]})"),
      R"({"any":[{"value":{"<name 1>":"<number>"},"@type":"<string 24>"}]})");
  EXPECT_EQ(RedactedM(R"({"any":[{"@type":"x/q.Q","value":"AA"},{"k":1}]})"),
            R"({"any":[{"<name 1>":"<string 2>","@type":"<string 5>"},)"
            R"({"<name 1>":"<number>"}]})");
}

TEST(TapJsonTest, WhatIsNoJsonIsALength) {
  EXPECT_THAT(
      Shown(JsonRequest("s3cret {"), TapContent::kRedacted),
      AllOf(HasSubstr(R"("message":"<text 8>")"), Not(HasSubstr("s3cret"))));
}

TEST(TapJsonTest, AShownMessageIsDecoded) {
  EXPECT_THAT(Shown(JsonRequest(R"({"user":"ann"})"), TapContent::kShown),
              HasSubstr(R"("message":{"user":"ann"})"));
}

TEST(TapJsonTest, PacketsAreATree) {
  std::string inner("\0\0\0\7\0\0\0\2\0\0\0\1hi", 14);
  std::string message("\xFF\xFF\xFF\xFE\0\0\0\x0E\0\0\0\5", 12);
  message += inner;
  const TapEvent event = EventOf(TapEvent::Kind::kResponse, &kPacketDialect,
                                 Opcode::kBinary, message);
  EXPECT_THAT(Shown(event, TapContent::kShown),
              HasSubstr(R"([{"type":4294967294,"who":5,"packets":)"
                        R"([{"type":7,"who":1,"content":"aGk="}]}])"));
  EXPECT_THAT(Shown(event, TapContent::kRedacted),
              HasSubstr(R"("content":"<bytes 2>")"));
}

TEST(TapJsonTest, PacketsWithAFaultAreShownUpToIt) {
  const TapEvent event = EventOf(TapEvent::Kind::kRequest, &kPacketDialect,
                                 Opcode::kBinary, "short");
  EXPECT_THAT(Shown(event, TapContent::kRedacted),
              HasSubstr(R"("message":[{"fault":"packet at offset 0)"));
}

TEST(TapJsonTest, AnEmptyTextIsTheEndOfTheClientsSide) {
  EXPECT_THAT(Shown(JsonRequest(""), TapContent::kRedacted),
              HasSubstr(R"("bytes":0,"half_close":true})"));
  EXPECT_THAT(Shown(JsonRequest(""), TapContent::kRaw),
              HasSubstr(R"("bytes":0,"text":""})"));
  EXPECT_THAT(
      Shown(EventOf(TapEvent::Kind::kRequest, &kRawDialect, Opcode::kText, ""),
            TapContent::kShown),
      HasSubstr(R"("bytes":0,"message":""})"));
}

TEST(TapJsonTest, ARecordingHasTheBytes) {
  EXPECT_THAT(Shown(JsonRequest("a\nb"), TapContent::kRaw),
              HasSubstr(R"("opcode":"text","bytes":3,"text":"a\nb")"));
  EXPECT_THAT(Shown(EventOf(TapEvent::Kind::kRequest, &kProtobufDialect,
                            Opcode::kBinary, "\x01"),
                    TapContent::kRaw),
              HasSubstr(R"("base64":"AQ==")"));
}

TEST(TapJsonTest, ALongMessageSaysOnlyItsLength) {
  TapEvent event = JsonRequest("");
  event.bytes = 100'000;
  event.has_payload = false;
  EXPECT_THAT(Shown(event, TapContent::kShown),
              HasSubstr(R"("bytes":100000,"truncated":true})"));
}

// A status may quote a message.
TEST(TapJsonTest, TheReasonOfAnEndIsAValueToo) {
  TapEvent event =
      EventOf(TapEvent::Kind::kEnded, &kJsonDialect, Opcode::kText, "");
  event.close = CloseCode(4003);
  event.status = absl::InvalidArgumentError("no user s3cret");
  EXPECT_THAT(Shown(event, TapContent::kRedacted),
              AllOf(HasSubstr(R"("close":4003,"by":"client",)"
                              R"("status":"INVALID_ARGUMENT")"),
                    Not(HasSubstr("s3cret"))));
}

// --- What waits for the reader ---

std::vector<std::string> Payloads(const TapQueue::Batch& batch) {
  std::vector<std::string> payloads;
  for (const TapEvent& event : batch.events) payloads.push_back(event.payload);
  return payloads;
}

TEST(TapQueueTest, TheReaderIsNotifiedOnceUntilItHasTakenAll) {
  int notified = 0;
  TapQueue queue({}, {}, [&] { ++notified; });
  for (const char* text : {"1", "2", "3"}) OfferTo(queue, JsonRequest(text));
  EXPECT_EQ(notified, 1);
  EXPECT_THAT(Payloads(queue.Take(2)), ElementsAre("1", "2"));
  OfferTo(queue, JsonRequest("4"));
  EXPECT_EQ(notified, 1);  // It has not seen the end yet.
  EXPECT_THAT(Payloads(queue.Take(9)), ElementsAre("3", "4"));
  OfferTo(queue, JsonRequest("5"));
  EXPECT_EQ(notified, 2);
}

TEST(TapQueueTest, WhatTheReaderDoesNotTakeIsDroppedAndCounted) {
  TapLimits limits;
  limits.max_bytes = 4096;
  TapQueue queue({}, limits, [] {});
  for (int i = 0; i < 10; ++i)
    OfferTo(queue, JsonRequest(std::string(1000, 'x')));
  const TapQueue::Batch batch = queue.Take(100);
  EXPECT_LT(batch.events.size(), 5u);
  EXPECT_EQ(batch.events.size() + batch.dropped, 10u);
  EXPECT_EQ(queue.dropped(), batch.dropped);
}

TEST(TapQueueTest, ALongMessageComesWithoutItsPayload) {
  TapLimits limits;
  limits.max_payload_bytes = 10;
  TapQueue queue({}, limits, [] {});
  OfferTo(queue, JsonRequest("ten chars."));
  OfferTo(queue, JsonRequest("eleven char"));
  const TapQueue::Batch batch = queue.Take(2);
  EXPECT_THAT(Payloads(batch), ElementsAre("ten chars.", ""));
  EXPECT_TRUE(batch.events[0].has_payload);
  EXPECT_FALSE(batch.events[1].has_payload);
  EXPECT_EQ(batch.events[1].bytes, 11u);
}

TEST(TapQueueTest, MoreThanTheRateIsDropped) {
  TapLimits limits;
  limits.max_per_second = 2;
  TapQueue queue({}, limits, [] {});
  for (int i = 0; i < 5; ++i) OfferTo(queue, JsonRequest("now"));
  TapEvent later = JsonRequest("later");
  later.at.steady += absl::Milliseconds(500);
  OfferTo(queue, later);
  const TapQueue::Batch batch = queue.Take(100);
  EXPECT_THAT(Payloads(batch), ElementsAre("now", "now", "later"));
  EXPECT_EQ(batch.dropped, 3u);
}

// --- The lines ---

TEST(TapStreamTest, LinesBeginOnceAllWorkersTapAndTellOfGaps) {
  FakeGateway gateway;
  std::vector<std::function<void()>> tasks;
  int ready = 0;
  TapRequest request;
  request.limits.max_per_second = 1;
  auto stream = std::make_unique<TapStream>(
      request, gateway,
      [&](std::function<void()> task) { tasks.push_back(std::move(task)); },
      [&] { ++ready; });
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(stream->Take(absl::UnixEpoch()), "{\"event\":\"tapping\"}\n");
  ASSERT_EQ(gateway.taps_.size(), 1u);
  OfferTo(*gateway.taps_[0], JsonRequest("{}"));
  OfferTo(*gateway.taps_[0], JsonRequest("{}"));
  ASSERT_EQ(tasks.size(), 1u);
  tasks[0]();
  EXPECT_EQ(ready, 2);
  EXPECT_THAT(stream->Take(absl::UnixEpoch()),
              AllOf(HasSubstr(R"("message":{}})"),
                    HasSubstr("{\"event\":\"dropped\",\"count\":1}\n")));
  EXPECT_THAT(stream->Take(absl::UnixEpoch()), IsEmpty());

  // A worker that has not heard of the end yet.
  const std::shared_ptr<TapSink> sink = gateway.taps_[0];
  stream.reset();
  EXPECT_THAT(gateway.taps_, IsEmpty());
  OfferTo(*sink, JsonRequest("{}"));
  for (const auto& task : tasks) task();
  EXPECT_EQ(ready, 2);
}

}  // namespace
}  // namespace headgate
