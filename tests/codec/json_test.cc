#include "gateway/codec/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/codec/events.h"
#include "tests/codec/test_schema.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Envelope = JsonCodecOptions::Envelope;
using ErrorShape = JsonCodecOptions::ErrorShape;

class JsonTest : public ::testing::Test {
 protected:
  std::unique_ptr<Codec> MakeCodec(absl::string_view method = "Bidi") {
    const Schema::Method* found =
        schema_->FindMethod(absl::StrCat("/test.Nodes/", method));
    EXPECT_NE(found, nullptr) << method;
    return MakeJsonCodec(options_, options_.envelope, schema_, *found);
  }
  // What the session sees of these messages; a request as the JSON that its
  // bytes make again.
  std::vector<std::string> Say(std::vector<WireMessage> messages,
                               absl::string_view method = "Bidi") {
    const std::unique_ptr<Codec> codec = MakeCodec(method);
    const std::string type =
        schema_->FindMethod(absl::StrCat("/test.Nodes/", method))->input;
    return Hear(*codec, std::move(messages), [&](const std::string& payload) {
      const absl::StatusOr<std::string> json =
          schema_->ProtoToJson(type, payload, JsonOptions());
      return json.ok() ? *json : json.status().ToString();
    });
  }
  // What the client sees of an answer, given as JSON.
  std::string Answer(absl::string_view json, absl::string_view method) {
    JsonError error;
    const absl::StatusOr<std::string> bytes =
        schema_->JsonToProto("test.Node", json, JsonOptions(), error);
    EXPECT_TRUE(bytes.ok()) << error.field << error.message;
    const absl::StatusOr<WireMessage> message =
        Encoded(*MakeCodec(method), *bytes);
    if (!message.ok()) return message.status().ToString();
    EXPECT_EQ(message->opcode, Opcode::kText);
    return message->payload;
  }
  // The last message before the Close frame; "-" when there is none.
  std::string End(Ending ending, absl::string_view method) {
    const std::optional<WireMessage> message =
        EncodedEnd(*MakeCodec(method), ending);
    if (!message) return "-";
    EXPECT_EQ(message->opcode, Opcode::kText);
    return message->payload;
  }
  JsonCodecOptions options_;
  std::shared_ptr<const Schema> schema_ = TestSchema();
};

TEST_F(JsonTest, EachTextIsARequest) {
  EXPECT_THAT(Say({Text("{\"name\":\"ann\"}\n{\"n\":7}\n"), Text("{}")}),
              ElementsAre("request {\"name\":\"ann\"}", "request {\"n\":7}",
                          "request {}"));
}

// docs/protocol.md: the bytes are one stream, whatever the messages and their
// opcodes.
TEST_F(JsonTest, TextMaySpanMessagesOfBothOpcodes) {
  EXPECT_THAT(Say({Text("{\"na"), Binary("me\":\"gr\xC3"),
                   Binary("\xBC\xC3\x9F\"} {"), Text("\"n\":\n7}")}),
              ElementsAre("request {\"name\":\"gr\xC3\xBC\xC3\x9F\"}",
                          "request {\"n\":7}"));
}

TEST_F(JsonTest, BlankMessagesAndEmptyBinaryOnesAreNothing) {
  EXPECT_THAT(Say({Text(" \n"), Binary(""), Text("{"), Binary(""), Text("}"),
                   Text("\r\n")}),
              ElementsAre("request {}"));
}

TEST_F(JsonTest, EmptyTextMessageIsHalfClose) {
  EXPECT_THAT(
      Say({Text("{}"), Text(""), Text(""), Text("{}")}),
      ElementsAre("request {}", "half-close", "half-close", "request {}"));
}

TEST_F(JsonTest, HalfCloseInsideATextIsAFault) {
  EXPECT_THAT(Say({Text("{}\n{\"n\":"), Text("")}),
              ElementsAre("request {}",
                          "close 4003 INVALID_ARGUMENT: line 2, byte 8: the "
                          "client ended its side inside a JSON text"));
}

// A request that is a wrapper is a bare value in JSON.
TEST_F(JsonTest, ScalarsAreRequestsOfWrapperTypes) {
  EXPECT_THAT(Say({Text("\"a\"\"b c\" \"d"), Text("\""), Text("")}, "Words"),
              ElementsAre("request \"a\"", "request \"b c\"", "request \"d\"",
                          "half-close"));
  EXPECT_THAT(Say({Text("1 -2\n3"), Text("4"), Text("")}, "Numbers"),
              ElementsAre("request 1", "request -2", "request 3", "request 4",
                          "half-close"));
  EXPECT_THAT(
      Say({Text("true[null,1]"), Text("{\"a\":{}}")}, "Values"),
      ElementsAre("request true", "request [null,1]", "request {\"a\":{}}"));
}

TEST_F(JsonTest, InvalidJsonEndsTheCallWithItsPlace) {
  EXPECT_THAT(Say({Text("{}\n"), Text("{\"n\":1,}")}),
              ElementsAre("request {}",
                          "close 4003 INVALID_ARGUMENT: line 2, byte 10: "
                          "invalid JSON: syntax error"));
}

// The place is that of the value, in the whole stream, and the path that of
// the field.
TEST_F(JsonTest, ValueThatDoesNotFitIsToldWithPlaceAndPath) {
  EXPECT_THAT(
      Say({Text("{}\n{\"kids\":[{\"n\":1},\n"), Text("{\"n\":\"x\"}]}")}),
      ElementsAre("request {}",
                  AllOf(StartsWith("close 4003 INVALID_ARGUMENT: line "
                                   "3, byte 26, field kids[1].n: "),
                        HasSubstr("\"x\""))));
}

TEST_F(JsonTest, ValueInAMapIsFoundByItsKey) {
  EXPECT_THAT(
      Say({Text("{\"byName\":{\"a\":{\"n\":1},\"b\":{\"n\":[]}}}")}),
      ElementsAre(StartsWith("close 4003 INVALID_ARGUMENT: line 1, byte 32, "
                             "field byName[\"b\"].n: ")));
}

TEST_F(JsonTest, BothNamesOfAFieldAreUnderstoodAndFound) {
  EXPECT_THAT(Say({Text("{\"big_number\":\"5\"}{\"bigNumber\":6}")}),
              ElementsAre("request {\"bigNumber\":\"5\"}",
                          "request {\"bigNumber\":\"6\"}"));
  for (const char* json :
       {"{\"n\":1,\"big_number\":true}", "{\"n\":1,\"bigNumber\": true}"}) {
    EXPECT_THAT(
        Say({Text(json)}),
        ElementsAre(StartsWith("close 4003 INVALID_ARGUMENT: line 1, byte 20, "
                               "field big")));
  }
}

TEST_F(JsonTest, UnknownFieldsAreRejectedUnlessIgnored) {
  const char kJson[] = "{\"n\":1,\"kids\":[{\"nosuch\":{\"a\":[]}}]}";
  EXPECT_THAT(Say({Text(kJson)}),
              ElementsAre(AllOf(StartsWith("close 4003 INVALID_ARGUMENT: line "
                                           "1, byte "),
                                HasSubstr("kids[0]"), HasSubstr("nosuch"))));
  options_.json.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  EXPECT_THAT(Say({Text(kJson)}),
              ElementsAre("request {\"n\":1,\"kids\":[{}]}"));
}

TEST_F(JsonTest, ValueOfTheWrongKindIsAFaultOfTheWholeText) {
  EXPECT_THAT(Say({Text("\n [1]")}),
              ElementsAre(StartsWith("close 4003 INVALID_ARGUMENT: line 2, "
                                     "byte 2")));
}

TEST_F(JsonTest, TextOverTheLimitIsTooBig) {
  options_.max_message_bytes = 20;
  EXPECT_THAT(
      Say({Text("{\"name\":\"123456789\"}"), Text("\n{\"name\":"),
           Text("\"1234567890\"}")}),
      ElementsAre("request {\"name\":\"123456789\"}",
                  "close 1009 RESOURCE_EXHAUSTED: line 2, byte 21: a JSON text "
                  "is over max_message_bytes (20)"));
}

TEST_F(JsonTest, AnswersAreBareWithoutAnEnvelope) {
  for (const char* method : {"Unary", "Server", "Client", "Bidi"}) {
    EXPECT_EQ(Answer("{\"name\":\"a\\\"\\nb\",\"bigNumber\":5}", method),
              "{\"name\":\"a\\\"\\nb\",\"bigNumber\":\"5\"}");
    EXPECT_EQ(End(EndingOf(absl::NotFoundError("m")), method), "-");
  }
}

TEST_F(JsonTest, AnswersFollowTheJsonOptions) {
  options_.json.field_names = JsonOptions::FieldNames::kProto;
  options_.json.enums = JsonOptions::Enums::kNumber;
  EXPECT_EQ(Answer("{\"bigNumber\":5,\"color\":\"RED\"}", "Bidi"),
            "{\"color\":1,\"big_number\":\"5\"}");
}

// grpc-gateway wraps the answers of a method that gives several.
TEST_F(JsonTest, EnvelopeIsForStreamsOfAnswers) {
  options_.envelope = Envelope::kResult;
  EXPECT_EQ(Answer("{\"n\":1}", "Server"), "{\"result\":{\"n\":1}}");
  EXPECT_EQ(Answer("{\"n\":1}", "Bidi"), "{\"result\":{\"n\":1}}");
  EXPECT_EQ(Answer("{\"n\":1}", "Unary"), "{\"n\":1}");
  EXPECT_EQ(Answer("{\"n\":1}", "Client"), "{\"n\":1}");
}

TEST_F(JsonTest, AnswerThatIsNoMessageIsTheBackendsFault) {
  const absl::StatusOr<WireMessage> answer = Encoded(*MakeCodec(), "\x0A\x05x");
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kInternal);
}

TEST_F(JsonTest, SuccessHasNoLastMessage) {
  options_.envelope = Envelope::kResult;
  EXPECT_EQ(End(EndingOf(absl::OkStatus()), "Bidi"), "-");
}

// docs/protocol.md has this table.
TEST_F(JsonTest, FailureIsToldInTheShapeOfTheVersionAndTheKind) {
  options_.envelope = Envelope::kResult;
  const Ending ending = EndingOf(absl::NotFoundError("m"));
  for (const char* method : {"Server", "Bidi"}) {
    options_.error_shape = ErrorShape::kGrpcGatewayV2;
    EXPECT_EQ(End(ending, method),
              "{\"error\":{\"code\":5,\"message\":\"m\",\"details\":[]}}");
    options_.error_shape = ErrorShape::kGrpcGatewayV1;
    EXPECT_EQ(End(ending, method),
              "{\"error\":{\"grpc_code\":5,\"http_code\":404,\"message\":\"m\","
              "\"http_status\":\"Not Found\",\"details\":[]}}");
  }
  for (const char* method : {"Unary", "Client"}) {
    options_.error_shape = ErrorShape::kGrpcGatewayV2;
    EXPECT_EQ(End(ending, method),
              "{\"code\":5,\"message\":\"m\",\"details\":[]}");
    options_.error_shape = ErrorShape::kGrpcGatewayV1;
    EXPECT_EQ(End(ending, method),
              "{\"error\":\"m\",\"message\":\"m\",\"code\":5}");
  }
}

// The HTTP status of google/rpc/code.proto with its reason phrase (RFC 9110
// section 15; 499 is nginx's).
TEST_F(JsonTest, HttpStatusOfAFailureHasItsReasonPhrase) {
  options_.envelope = Envelope::kResult;
  options_.error_shape = ErrorShape::kGrpcGatewayV1;
  const struct {
    absl::StatusCode code;
    const char* http;
  } table[] = {
      {absl::StatusCode::kCancelled, "499 Client Closed Request"},
      {absl::StatusCode::kInvalidArgument, "400 Bad Request"},
      {absl::StatusCode::kDeadlineExceeded, "504 Gateway Timeout"},
      {absl::StatusCode::kNotFound, "404 Not Found"},
      {absl::StatusCode::kAlreadyExists, "409 Conflict"},
      {absl::StatusCode::kPermissionDenied, "403 Forbidden"},
      {absl::StatusCode::kResourceExhausted, "429 Too Many Requests"},
      {absl::StatusCode::kUnimplemented, "501 Not Implemented"},
      {absl::StatusCode::kInternal, "500 Internal Server Error"},
      {absl::StatusCode::kUnavailable, "503 Service Unavailable"},
      {absl::StatusCode::kUnauthenticated, "401 Unauthorized"},
  };
  for (const auto& row : table) {
    const absl::string_view http = row.http;
    EXPECT_EQ(End(EndingOf(absl::Status(row.code, "")), "Bidi"),
              absl::StrCat(
                  "{\"error\":{\"grpc_code\":", static_cast<int>(row.code),
                  ",\"http_code\":", http.substr(0, 3), ",\"message\":\"\",",
                  "\"http_status\":\"", http.substr(4), "\",\"details\":[]}}"));
  }
}

TEST_F(JsonTest, MessageOfAFailureIsAnEscapedString) {
  options_.envelope = Envelope::kResult;
  EXPECT_EQ(
      End(EndingOf(absl::UnknownError("\"\\\n\x01 gr\xC3\xBC\xC3\x9F \xFF")),
          "Unary"),
      "{\"code\":2,\"message\":\"\\\"\\\\\\n\\u0001 gr\xC3\xBC\xC3\x9F ?\","
      "\"details\":[]}");
}

// google.rpc.Status {code: 5 message: "m" details {type_url: ".../test.Node"
// value: n: 7}}
TEST_F(JsonTest, DetailsOfAFailureAreJson) {
  options_.envelope = Envelope::kResult;
  const std::string url = "type.googleapis.com/test.Node";
  const std::string any =
      absl::StrCat("\x0A", std::string(1, url.size()), url, "\x12\x02\x10\x07");
  const std::string status =
      absl::StrCat("\x08\x05\x12\x01m\x1A", std::string(1, any.size()), any);
  EXPECT_EQ(End(EndingOf(CallEnd{absl::NotFoundError("m"), status}), "Unary"),
            "{\"code\":5,\"message\":\"m\",\"details\":[{\"@type\":"
            "\"type.googleapis.com/test.Node\",\"n\":7}]}");
  // Details that tell another code are not those of this ending.
  EXPECT_EQ(End(EndingOf(CallEnd{absl::AbortedError("m"), status}), "Unary"),
            "{\"code\":10,\"message\":\"m\",\"details\":[]}");
}

// One pass over the bytes, whatever their pieces: a parser that started anew
// with each piece would look at 4.5 * 10^10 bytes here.
TEST_F(JsonTest, LongTextInMessagesOfOneByteTakesLinearTime) {
  const std::string json =
      absl::StrCat("{\"name\":\"", std::string(300000, 'x'), "\"}");
  const std::unique_ptr<Codec> codec = MakeCodec();
  std::size_t requests = 0;
  for (const char byte : json) {
    codec->Feed({Opcode::kText, std::string(1, byte)});
    while (!std::holds_alternative<NeedInput>(codec->Next())) ++requests;
  }
  EXPECT_EQ(requests, 1u);
}

TEST_F(JsonTest, HasNothingToJoin) {
  EXPECT_EQ(MakeCodec()->coalesce_bytes(), 0u);
  EXPECT_TRUE(std::holds_alternative<NeedInput>(MakeCodec()->Next()));
}

// --- envelope: status ---

class JsonStatusTest : public JsonTest {
 protected:
  JsonStatusTest() { options_.envelope = Envelope::kStatus; }

  std::vector<std::string> Head(const Metadata& headers) {
    Outgoing out{Watermarks()};
    MakeCodec()->EncodeHead(headers, out);
    std::vector<std::string> texts;
    while (out.has_messages()) texts.push_back(out.TakeMessage(0).payload);
    return texts;
  }
};

TEST_F(JsonStatusTest, HeadersAreTheFirstMessage) {
  EXPECT_THAT(Head({{"a", "1"}, {"k-bin", "\xFF"}, {"a", "\"2"}}),
              ElementsAre(R"({"headers":{"a":["1","\"2"],"k-bin":["/w=="]}})"));
}

TEST_F(JsonStatusTest, NoHeadersAreNoMessage) {
  EXPECT_THAT(Head({}), ElementsAre());
}

TEST_F(JsonStatusTest, OtherEnvelopesHaveNoPlaceForHeaders) {
  options_.envelope = Envelope::kNone;
  EXPECT_THAT(Head({{"a", "1"}}), ElementsAre());
  options_.envelope = Envelope::kResult;
  EXPECT_THAT(Head({{"a", "1"}}), ElementsAre());
}

TEST_F(JsonStatusTest, ResponsesAreBare) {
  EXPECT_EQ(Answer("{\"n\":1}", "Bidi"), "{\"n\":1}");
}

TEST_F(JsonStatusTest, TheStatusIsTheLastMessageOfEveryCall) {
  const CallEnd end{
      absl::NotFoundError("no \"room\""), "", {{"t", "1"}, {"t", "2"}}};
  EXPECT_EQ(End(EndingOf(end), "Bidi"),
            R"({"status":{"code":5,"message":"no \"room\"","details":[],)"
            R"("trailers":{"t":["1","2"]}}})");
  EXPECT_EQ(End(EndingOf(absl::OkStatus()), "Unary"),
            R"({"status":{"code":0,"message":"","details":[],"trailers":{}}})");
}

}  // namespace
}  // namespace headgate
