#include "gateway/codec/connect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/gzip.h"
#include "gateway/codec/connect_error.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/message_frames.h"
#include "google/protobuf/wrappers.pb.h"
#include "tests/codec/events.h"
#include "tests/codec/test_schema.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Enveloped(const std::string& message, std::uint8_t flags = 0) {
  const MessagePrefix prefix = MakeMessagePrefix(flags, message.size());
  return std::string(prefix.data(), prefix.size()) + message;
}

class ConnectTest : public ::testing::Test {
 protected:
  std::unique_ptr<Codec> Make(const Dialect& dialect, const char* method) {
    json_.max_message_bytes = 2000;
    method_ = *schema_->FindMethod(method);
    method_.has_no_side_effects = has_no_side_effects_;
    const CodecInputs inputs = {.packet = packet_,
                                .json = json_,
                                .schema = schema_,
                                .method = &method_,
                                .body = body_};
    return *dialect.make(inputs);
  }
  std::unique_ptr<Codec> MakeUnary(
      const Dialect& dialect = kConnectJsonDialect) {
    return Make(dialect, "/test.Nodes/Unary");
  }

  // The request's body in pieces, its end behind them.
  std::vector<std::string> HearBody(Codec& codec,
                                    std::vector<std::string> pieces) {
    std::vector<WireMessage> messages;
    for (std::string& piece : pieces) {
      messages.push_back({Opcode::kText, std::move(piece)});
    }
    messages.push_back({Opcode::kText, ""});
    return Hear(codec, std::move(messages));
  }

  // "head 200 name=value ...", "data ...", "end".
  std::vector<std::string> Sent() {
    std::vector<std::string> log;
    if (const auto head = out_.TakeHead()) {
      log.push_back(absl::StrCat("head ", head->http_status,
                                 head->is_whole ? " whole" : ""));
      for (const FieldList* fields : {&head->fields, &head->metadata}) {
        for (const auto& [name, value] : *fields) {
          absl::StrAppend(&log.back(), " ", name, "=", value);
        }
      }
    }
    while (out_.has_messages()) {
      log.push_back(
          absl::StrCat("data ", absl::CHexEscape(out_.TakeMessage(0).payload)));
    }
    if (out_.end() != nullptr) log.emplace_back("end");
    return log;
  }

  const std::shared_ptr<const Schema> schema_ = TestSchema();
  const PacketOptions packet_ = {};
  JsonCodecOptions json_;
  BodyFormat body_;
  Schema::Method method_ = *schema_->FindMethod("/test.Nodes/Unary");
  bool has_no_side_effects_ = false;
  Outgoing out_{Watermarks()};
};

// --- Unary requests ---

TEST_F(ConnectTest, TheBodyIsTheMessage) {
  EXPECT_THAT(HearBody(*MakeUnary(), {"{\"na", "me\":\"a\"}"}),
              ElementsAre("request \\n\\001a", "half-close"));
  EXPECT_THAT(HearBody(*MakeUnary(kConnectProtoDialect), {"any", "thing"}),
              ElementsAre("request anything", "half-close"));
  EXPECT_THAT(HearBody(*MakeUnary(kConnectProtoDialect), {}),
              ElementsAre("request ", "half-close"));
}

TEST_F(ConnectTest, JsonThatDoesNotFitIsAFaultThatNamesThePlace) {
  EXPECT_THAT(HearBody(*MakeUnary(), {"{\"name\":1}"}),
              ElementsAre(HasSubstr("INVALID_ARGUMENT: line 1")));
  for (const char* body : {"", "{", "{}{}", "[]", "\xFF"}) {
    EXPECT_THAT(HearBody(*MakeUnary(), {body}),
                ElementsAre(HasSubstr("INVALID_ARGUMENT")))
        << body;
  }
}

TEST_F(ConnectTest, TheBodyMayBeGzip) {
  body_.encoding = "gzip";
  EXPECT_THAT(HearBody(*MakeUnary(), {GzipCompress("{}")}),
              ElementsAre("request ", "half-close"));
  EXPECT_THAT(
      HearBody(*MakeUnary(), {"{}"}),
      ElementsAre("close 4003 INVALID_ARGUMENT: the body is not valid gzip"));
  EXPECT_THAT(HearBody(*MakeUnary(kConnectProtoDialect),
                       {GzipCompress(std::string(2001, 'x'))}),
              ElementsAre("close 1009 RESOURCE_EXHAUSTED: a message is longer "
                          "than max_message_bytes (2000)"));
}

TEST_F(ConnectTest, AnotherCompressionIsUnimplementedAndSaysWhichThereIs) {
  body_.encoding = "br";
  const auto codec = MakeUnary();
  const Decoded fault = codec->Next();
  codec->EncodeEnd(std::get<Ending>(fault), out_);
  EXPECT_THAT(Sent(),
              ElementsAre("head 501 whole Content-Type=application/json "
                          "Accept-Encoding=gzip",
                          HasSubstr("unimplemented"), "end"));
}

TEST_F(ConnectTest, ABodyAboveTheLimitIsAFaultBeforeItsEnd) {
  EXPECT_THAT(Hear(*MakeUnary(kConnectProtoDialect),
                   {{Opcode::kText, std::string(2001, 'x')}}),
              ElementsAre(HasSubstr("RESOURCE_EXHAUSTED")));
}

// "Servers must only allow GET for methods with idempotency_level =
// NO_SIDE_EFFECTS".
TEST_F(ConnectTest, AGetIsForMethodsWithoutSideEffects) {
  body_.message = "{\"name\":\"a\"}";
  const auto refused = MakeUnary();
  refused->EncodeEnd(std::get<Ending>(refused->Next()), out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre("head 405 whole Content-Type=application/json Allow=POST",
                  HasSubstr("unimplemented"), "end"));
  has_no_side_effects_ = true;
  EXPECT_THAT(HearBody(*MakeUnary(), {}),
              ElementsAre("request \\n\\001a", "half-close"));
  // A GET has no body.
  EXPECT_THAT(HearBody(*MakeUnary(), {"{}"}),
              ElementsAre("request \\n\\001a", "half-close"));
}

TEST_F(ConnectTest, TheContentTypeFitsTheKindOfCall) {
  const struct {
    const Dialect& dialect;
    const char* method;
    const char* accepted;
  } cases[] = {
      {kConnectJsonDialect, "/test.Nodes/Server",
       "application/connect+json, application/connect+proto"},
      {kConnectProtoDialect, "/test.Nodes/Client",
       "application/connect+json, application/connect+proto"},
      {kConnectStreamJsonDialect, "/test.Nodes/Unary",
       "application/json, application/proto"},
      {kConnectStreamProtoDialect, "/test.Nodes/Unary",
       "application/json, application/proto"},
  };
  for (const auto& row : cases) {
    const auto codec = Make(row.dialect, row.method);
    Outgoing out{Watermarks()};
    codec->EncodeEnd(std::get<Ending>(codec->Next()), out);
    const auto head = out.TakeHead();
    EXPECT_EQ(head->http_status, 415) << row.method;
    EXPECT_THAT(head->fields,
                testing::Contains(testing::Pair("Accept-Post", row.accepted)));
  }
}

// --- Unary responses ---

TEST_F(ConnectTest, TrailersAreHeadersWithAPrefix) {
  const auto codec = MakeUnary();
  codec->EncodeHead({{"a", "b"}, {"content-length", "7"}}, out_);
  EXPECT_TRUE(codec->EncodeMessage("\n\1x", out_).ok());
  EXPECT_THAT(Sent(), IsEmpty());
  codec->EncodeEnd(EndingOf(CallEnd{absl::OkStatus(), "", {{"t-bin", "\1"}}}),
                   out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre("head 200 whole Content-Type=application/json a=b "
                  "trailer-t-bin=AQ",
                  absl::StrCat("data ", absl::CHexEscape("{\"name\":\"x\"}")),
                  "end"));
}

TEST_F(ConnectTest, AnEmptyMessageIsAnEmptyBody) {
  const auto codec = MakeUnary(kConnectProtoDialect);
  EXPECT_TRUE(codec->EncodeMessage("", out_).ok());
  codec->EncodeEnd(EndingOf(absl::OkStatus()), out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 whole "
                                  "Content-Type=application/proto",
                                  "end"));
}

TEST_F(ConnectTest, AFailureIsJsonInEitherForm) {
  const auto codec = MakeUnary(kConnectProtoDialect);
  codec->EncodeHead({{"a", "b"}}, out_);
  EXPECT_TRUE(codec->EncodeMessage("lost", out_).ok());
  codec->EncodeEnd(
      EndingOf(CallEnd{absl::NotFoundError("gone"), "", {{"t", "1"}}}), out_);
  EXPECT_THAT(Sent(),
              ElementsAre("head 404 whole Content-Type=application/json a=b "
                          "trailer-t=1",
                          absl::StrCat("data ", absl::CHexEscape(
                                                    "{\"code\":\"not_found\","
                                                    "\"message\":\"gone\"}")),
                          "end"));
}

TEST_F(ConnectTest, LongResponsesAreCompressedForClientsThatTakeIt) {
  body_.accepts_gzip = true;
  const auto codec = MakeUnary(kConnectProtoDialect);
  EXPECT_TRUE(codec->EncodeMessage(std::string(5000, 'x'), out_).ok());
  codec->EncodeEnd(EndingOf(absl::OkStatus()), out_);
  EXPECT_THAT(out_.TakeHead()->fields,
              testing::Contains(testing::Pair("Content-Encoding", "gzip")));
  EXPECT_EQ(GzipDecompress(out_.TakeMessage(0).payload, 5000).value(),
            std::string(5000, 'x'));
}

// --- Streams ---

TEST_F(ConnectTest, MessagesOfAStreamAreEnveloped) {
  const auto codec = Make(kConnectStreamJsonDialect, "/test.Nodes/Bidi");
  EXPECT_THAT(
      HearBody(*codec, {Enveloped("{}") + Enveloped("{\"n\"").substr(0, 6),
                        Enveloped("{\"n\"").substr(6)}),
      ElementsAre("request ", HasSubstr("INVALID_ARGUMENT")));
  EXPECT_THAT(
      HearBody(*Make(kConnectStreamProtoDialect, "/test.Nodes/Client"), {}),
      ElementsAre("half-close"));
  EXPECT_THAT(
      HearBody(*Make(kConnectStreamProtoDialect, "/test.Nodes/Server"), {}),
      ElementsAre("close 4003 INVALID_ARGUMENT: the body has no message, and "
                  "the method takes one"));
}

// Only servers send the block that ends a stream.
TEST_F(ConnectTest, UnknownFlagsAreRefused) {
  for (const int flags : {0x02, 0x04, 0x80}) {
    EXPECT_THAT(
        HearBody(*Make(kConnectStreamProtoDialect, "/test.Nodes/Bidi"),
                 {Enveloped("", static_cast<std::uint8_t>(flags))}),
        ElementsAre(HasSubstr("INVALID_ARGUMENT: a message has unknown flags")))
        << flags;
  }
}

TEST_F(ConnectTest, AStreamEndsWithItsMetadata) {
  const auto codec = Make(kConnectStreamProtoDialect, "/test.Nodes/Server");
  codec->EncodeHead({{"a", "b"}}, out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 "
                                  "Content-Type=application/connect+proto "
                                  "Connect-Accept-Encoding=gzip a=b"));
  EXPECT_TRUE(codec->EncodeMessage("m", out_).ok());
  EXPECT_THAT(Sent(), ElementsAre(absl::StrCat(
                          "data ", absl::CHexEscape(Enveloped("m")))));
  codec->EncodeEnd(EndingOf(CallEnd{absl::OkStatus(), "", {{"t", "1"}}}), out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre(
          absl::StrCat("data ", absl::CHexEscape(Enveloped(
                                    "{\"metadata\":{\"t\":[\"1\"]}}", 2))),
          "end"));
}

TEST_F(ConnectTest, AStreamThatFailsIsStill200) {
  const auto codec = Make(kConnectStreamJsonDialect, "/test.Nodes/Server");
  codec->EncodeEnd(EndingOf(absl::NotFoundError("no")), out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre(
          HasSubstr("head 200 Content-Type=application/connect+json"),
          absl::StrCat("data ", absl::CHexEscape(Enveloped(
                                    "{\"error\":{\"code\":\"not_found\","
                                    "\"message\":\"no\"}}",
                                    2))),
          "end"));
}

// --- Errors ---

// A google.rpc.Status with one detail, of the type given.
std::string StatusWith(const std::string& type, const std::string& value) {
  const std::string url = "type.googleapis.com/" + type;
  std::string any = absl::StrCat("\n", std::string(1, char(url.size())), url);
  absl::StrAppend(&any, "\x12", std::string(1, char(value.size())), value);
  return absl::StrCat("\x08\x05\x1A", std::string(1, char(any.size())), any);
}

TEST_F(ConnectTest, DetailsHaveTheirTypeTheirBytesAndAFormToRead) {
  EXPECT_EQ(
      ConnectError({absl::NotFoundError("m"), StatusWith("test.Node", "\n\1x")},
                   schema_.get(), {}),
      "{\"code\":\"not_found\",\"message\":\"m\",\"details\":[{\"type\":"
      "\"test.Node\",\"value\":\"CgF4\",\"debug\":{\"name\":\"x\"}}]}");
  EXPECT_EQ(
      ConnectError({absl::NotFoundError(""),
                    StatusWith("google.protobuf.StringValue", "\n\1x")},
                   schema_.get(), {}),
      "{\"code\":\"not_found\",\"details\":[{\"type\":"
      "\"google.protobuf.StringValue\",\"value\":\"CgF4\",\"debug\":\"x\"}]}");
}

TEST_F(ConnectTest, ADetailOfAnUnknownTypeHasNoSuchForm) {
  const char* json =
      "{\"code\":\"not_found\",\"details\":[{\"type\":\"un.Known\",\"value\":"
      "\"AQ\"}]}";
  const CallEnd end = {absl::NotFoundError(""), StatusWith("un.Known", "\1")};
  EXPECT_EQ(ConnectError(end, schema_.get(), {}), json);
  EXPECT_EQ(ConnectError(end, nullptr, {}), json);
}

TEST_F(ConnectTest, DetailsThatAreNoneAreLeftOut) {
  for (const char* details : {"\xFF", "\x1A\x05\x0A", "\x1A\x01\xFF"}) {
    EXPECT_EQ(
        ConnectError({absl::NotFoundError("m"), details}, schema_.get(), {}),
        "{\"code\":\"not_found\",\"message\":\"m\"}");
  }
}

TEST_F(ConnectTest, EveryCodeHasItsName) {
  const char* names[] = {"canceled",
                         "unknown",
                         "invalid_argument",
                         "deadline_exceeded",
                         "not_found",
                         "already_exists",
                         "permission_denied",
                         "resource_exhausted",
                         "failed_precondition",
                         "aborted",
                         "out_of_range",
                         "unimplemented",
                         "internal",
                         "unavailable",
                         "data_loss",
                         "unauthenticated"};
  for (int code = 1; code <= 16; ++code) {
    EXPECT_EQ(ConnectCode(static_cast<absl::StatusCode>(code)),
              names[code - 1]);
  }
}

}  // namespace
}  // namespace headgate
