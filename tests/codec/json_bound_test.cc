#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/codec/dialect.h"
#include "google/api/annotations.pb.h"
#include "google/api/http.pb.h"
#include "google/api/httpbody.pb.h"
#include "headgate/demo/v1/library.pb.h"
#include "tests/codec/events.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

template <typename Message>
google::protobuf::FileDescriptorProto FileOf() {
  google::protobuf::FileDescriptorProto file;
  Message::descriptor()->file()->CopyTo(&file);
  return file;
}

std::shared_ptr<const Schema> LibrarySchema() {
  google::protobuf::FileDescriptorProto annotations;
  google::protobuf::DescriptorPool::generated_pool()
      ->FindFileByName("google/api/annotations.proto")
      ->CopyTo(&annotations);
  std::vector<std::string> warnings;
  auto schema =
      Schema::Build({annotations, FileOf<google::api::HttpRule>(),
                     FileOf<google::api::HttpBody>(), FileOf<demo::v1::Book>()},
                    &warnings);
  EXPECT_THAT(warnings, ElementsAre());
  return schema;
}

class JsonBoundTest : public ::testing::Test {
 protected:
  void Bind(const std::string& method, const std::string& body,
            std::vector<Parameter> variables,
            std::vector<Parameter> query = {}) {
    method_ = schema_->FindMethod(
        absl::StrCat("/headgate.demo.v1.LibraryService/", method));
    ASSERT_NE(method_, nullptr) << method;
    binding_ = {std::move(variables), std::move(query), body, ""};
  }
  std::unique_ptr<Codec> MakeCodec() {
    auto codec = dialect_->make(
        {packet_, options_, schema_, method_, &binding_, media_type_});
    EXPECT_TRUE(codec.ok()) << codec.status();
    return *std::move(codec);
  }
  std::vector<std::string> Say(std::vector<WireMessage> messages) {
    return Hear(
        *MakeCodec(), std::move(messages), [&](const std::string& payload) {
          return *schema_->ProtoToJson(method_->input, payload, JsonOptions());
        });
  }
  struct Sent {
    std::string payload;
    std::string media_type;  // Of the response; empty over a WebSocket.
  };
  // A response, given as JSON, as the client sees it.
  Sent Answer(const std::string& json) {
    JsonError error;
    const auto message =
        schema_->JsonToProto(method_->output, json, JsonOptions(), error);
    EXPECT_TRUE(message.ok()) << error.message;
    const auto codec = MakeCodec();
    Outgoing out{Watermarks()};
    EXPECT_EQ(codec->EncodeMessage(std::string(*message), out),
              absl::OkStatus());
    codec->EncodeEnd(EndingOf(absl::OkStatus()), out);
    Sent sent;
    if (out.has_messages()) sent.payload = out.TakeMessage(0).payload;
    if (const auto head = out.TakeHead()) {
      sent.media_type = head->fields.at(0).second;
    }
    return sent;
  }
  std::string End(const absl::Status& status) {
    const auto message = EncodedEnd(*MakeCodec(), EndingOf(status));
    return message ? message->payload : "-";
  }

  const std::shared_ptr<const Schema> schema_ = LibrarySchema();
  const Schema::Method* method_ = nullptr;
  RequestBinding binding_;
  JsonCodecOptions options_;
  PacketOptions packet_;
  const Dialect* dialect_ = &kHttpJsonDialect;
  std::string media_type_;
};

// --- without a body ---

TEST_F(JsonBoundTest, WithoutABodyTheRequestIsThereBeforeAnythingWasSaid) {
  dialect_ = &kJsonDialect;
  Bind("GetBook", "", {{"name", "shelves/a"}}, {{"read_mask", "title"}});
  const auto codec = MakeCodec();
  Decoded first = codec->Next();
  ASSERT_TRUE(std::holds_alternative<RequestMessage>(first));
  demo::v1::GetBookRequest request;
  ASSERT_TRUE(request.ParseFromString(std::get<RequestMessage>(first).payload));
  EXPECT_EQ(request.name(), "shelves/a");
  EXPECT_EQ(request.read_mask().paths(0), "title");
  EXPECT_TRUE(std::holds_alternative<HalfClose>(codec->Next()));
  EXPECT_TRUE(std::holds_alternative<NeedInput>(codec->Next()));
}

TEST_F(JsonBoundTest, WithoutABodyTheClientMayHalfCloseOnce) {
  dialect_ = &kJsonDialect;
  Bind("GetBook", "", {});
  EXPECT_THAT(Say({Text("")}), ElementsAre("request {}", "half-close"));
  EXPECT_THAT(Say({Text(""), Text("")}),
              ElementsAre("request {}", "half-close", "half-close"));
}

TEST_F(JsonBoundTest, WithoutABodyDataIsAFault) {
  dialect_ = &kJsonDialect;
  Bind("GetBook", "", {});
  EXPECT_THAT(Say({Text("{}")}),
              ElementsAre("request {}", "half-close",
                          "close 4003 INVALID_ARGUMENT: the request has no "
                          "body here"));
}

// However late it comes, and however fast a backend would answer.
TEST_F(JsonBoundTest, OverHttpACallBeginsOnceThereIsNoBody) {
  Bind("GetBook", "", {{"name", "a"}});
  EXPECT_THAT(Say({}), IsEmpty());
  EXPECT_THAT(Say({Text("")}),
              ElementsAre("request {\"name\":\"a\"}", "half-close"));
  EXPECT_THAT(Say({Text("{}"), Text("")}),
              ElementsAre("close 4003 INVALID_ARGUMENT: the request has no "
                          "body here"));
}

// As grpc-gateway does.
TEST_F(JsonBoundTest, WithoutABodyDataIsIgnoredAsUnknownFieldsAre) {
  options_.json.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  Bind("GetBook", "", {{"name", "a"}});
  EXPECT_THAT(Say({Text("{\"name\":"), Text("x"), Text("")}),
              ElementsAre("request {\"name\":\"a\"}", "half-close"));
}

// --- the whole message ---

TEST_F(JsonBoundTest, PathWinsOverBody) {
  Bind("MoveBook", "*", {{"name", "path"}});
  EXPECT_THAT(
      Say({Text(R"({"name":"body","to":"there"})"), Text("")}),
      ElementsAre(R"(request {"name":"path","to":"there"})", "half-close"));
}

TEST_F(JsonBoundTest, AnEmptyBodyIsWhatThePathSays) {
  Bind("MoveBook", "*", {{"name", "path"}});
  EXPECT_THAT(Say({Text("")}),
              ElementsAre(R"(request {"name":"path"})", "half-close"));
}

TEST_F(JsonBoundTest, OfSeveralMessagesTheFirstHasWhatThePathSays) {
  Bind("Notes", "*", {{"shelf", "s"}});
  EXPECT_THAT(Say({Text(R"({"text":"a"}{"text":"b"})"), Text("")}),
              ElementsAre(R"(request {"shelf":"s","text":"a"})",
                          R"(request {"text":"b"})", "half-close"));
  // Without any message there is nobody to tell.
  EXPECT_THAT(Say({Text("")}), ElementsAre("half-close"));
}

TEST_F(JsonBoundTest, ABodyCutShortIsAFault) {
  Bind("MoveBook", "*", {});
  EXPECT_THAT(Say({Text(R"({"to":)"), Text("")}),
              ElementsAre(HasSubstr("ended its side inside a JSON text")));
}

// --- one field ---

TEST_F(JsonBoundTest, OneFieldIsTheBody) {
  Bind("CreateBook", "book", {{"parent", "shelves/a"}}, {{"book_id", "b"}});
  EXPECT_THAT(
      Say({Text(R"({"title":"t"})"), Text("")}),
      ElementsAre(
          R"(request {"parent":"shelves/a","bookId":"b","book":{"title":"t"}})",
          "half-close"));
}

TEST_F(JsonBoundTest, FaultsAreCountedInWhatTheClientSent) {
  Bind("CreateBook", "book", {});
  EXPECT_THAT(
      Say({Text("{\"title\": \"t\",\n \"pages\": \"many\"}")}),
      ElementsAre(StartsWith(
          "close 4003 INVALID_ARGUMENT: line 2, byte 25, field pages: ")));
}

// HTTP may cut a body anywhere, also inside a number.
TEST_F(JsonBoundTest, ANumberEndsWithTheBody) {
  Bind("ListBooks", "page_size", {});
  EXPECT_THAT(Say({Text("1"), Text("2"), Text("")}),
              ElementsAre(R"(request {"pageSize":12})", "half-close"));
  options_.max_message_bytes = 3;
  EXPECT_THAT(Say({Text("12"), Text("34")}),
              ElementsAre(StartsWith("close 1009 ")));
}

TEST_F(JsonBoundTest, AParameterThatDoesNotFitIsAFaultAtOnce) {
  Bind("ListBooks", "", {}, {{"page_size", "ten"}});
  const auto codec =
      dialect_->make({packet_, options_, schema_, method_, &binding_});
  EXPECT_TRUE(absl::IsInvalidArgument(codec.status()));
  EXPECT_THAT(std::string(codec.status().message()), HasSubstr("page_size"));
}

// --- google.api.HttpBody ---

TEST_F(JsonBoundTest, AnHttpBodyIsCollectedUpToItsEnd) {
  Bind("UploadFile", "content", {{"path", "a/b"}});
  media_type_ = "text/x";
  EXPECT_THAT(
      Say({Text("{not"), Text(" json"), Text("")}),
      ElementsAre(R"(request {"path":"a/b","content":{"contentType":"text/x",)"
                  R"("data":"e25vdCBqc29u"}})",
                  "half-close"));
  EXPECT_THAT(Say({Text("")}),
              ElementsAre(HasSubstr(R"("content":{"contentType":"text/x"})"),
                          "half-close"));
}

TEST_F(JsonBoundTest, AnHttpBodyHasALimit) {
  Bind("UploadFile", "content", {});
  options_.max_message_bytes = 10;
  EXPECT_THAT(Say({Text("12345"), Text("678901")}),
              ElementsAre(StartsWith("close 1009 RESOURCE_EXHAUSTED: ")));
}

TEST_F(JsonBoundTest, AnHttpBodyIsAnsweredAsItIs) {
  Bind("ReadFile", "", {});
  const Sent answer = Answer(R"({"contentType":"image/x","data":"AAEC"})");
  EXPECT_EQ(answer.payload, std::string("\0\1\2", 3));
  EXPECT_EQ(answer.media_type, "image/x");
  EXPECT_EQ(Answer("{}").media_type, "application/octet-stream");
}

// A WebSocket has no place for a media type.
TEST_F(JsonBoundTest, OverAWebSocketAnHttpBodyIsJson) {
  dialect_ = &kJsonDialect;
  Bind("ReadFile", "", {});
  EXPECT_EQ(Answer(R"({"contentType":"image/x","data":"AAEC"})").payload,
            R"({"contentType":"image/x","data":"AAEC"})");
}

// --- answers ---

TEST_F(JsonBoundTest, ResponseBodyIsOneField) {
  Bind("ListBooks", "", {});
  binding_.response_body = "books";
  EXPECT_EQ(Answer(R"({"books":[{"title":"a"}]})").payload,
            R"([{"title":"a"}])");
  EXPECT_EQ(Answer("{}").payload, "[]");
}

TEST_F(JsonBoundTest, OverHttpAFailureIsAlwaysToldInBand) {
  Bind("GetBook", "", {});
  EXPECT_EQ(End(absl::NotFoundError("no")),
            R"({"code":5,"message":"no","details":[]})");
  EXPECT_EQ(End(absl::OkStatus()), "-");
  dialect_ = &kJsonDialect;
  EXPECT_EQ(End(absl::NotFoundError("no")), "-");
  options_.envelope = JsonCodecOptions::Envelope::kResult;
  EXPECT_EQ(End(absl::NotFoundError("no")),
            R"({"code":5,"message":"no","details":[]})");
}

TEST_F(JsonBoundTest, StreamsHaveAnEnvelopeOnlyIfTheRouteSaysSo) {
  Bind("StreamBooks", "", {});
  EXPECT_EQ(Answer(R"({"title":"a"})").payload, "{\"title\":\"a\"}\n");
  EXPECT_EQ(End(absl::NotFoundError("no")),
            R"({"error":{"code":5,"message":"no","details":[]}})");
  options_.envelope = JsonCodecOptions::Envelope::kResult;
  EXPECT_EQ(Answer(R"({"title":"a"})").payload,
            "{\"result\":{\"title\":\"a\"}}\n");
}

// --- one whole text, as packets carry it ---

TEST_F(JsonBoundTest, OneWholeText) {
  const auto decode = [&](absl::string_view json) {
    std::variant<std::string, Ending> decoded =
        DecodeJsonText(*schema_, "headgate.demo.v1.Note", json, JsonOptions());
    if (auto* fault = std::get_if<Ending>(&decoded)) {
      return std::string(fault->end.status.message());
    }
    return *schema_->ProtoToJson("headgate.demo.v1.Note",
                                 std::get<std::string>(decoded), JsonOptions());
  };
  EXPECT_EQ(decode(R"( {"text":"a"} )"), R"({"text":"a"})");
  EXPECT_THAT(decode(""), HasSubstr("empty, or cut short"));
  EXPECT_THAT(decode(R"({"text":)"), HasSubstr("cut short"));
  EXPECT_THAT(decode(R"({"text":"a"}{)"), HasSubstr("more than one"));
  EXPECT_THAT(decode(R"({"text":"a"}{})"), HasSubstr("more than one"));
  EXPECT_THAT(decode(R"({"text":3})"), HasSubstr("field text"));
  EXPECT_THAT(decode("]"), HasSubstr("line 1"));
}

}  // namespace
}  // namespace headgate
