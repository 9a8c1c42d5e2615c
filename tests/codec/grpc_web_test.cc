#include "gateway/codec/grpc_web.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/base/gzip.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/message_frames.h"
#include "tests/codec/events.h"
#include "tests/codec/test_schema.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A message with its prefix.
std::string Frame(const std::string& message, std::uint8_t flags = 0) {
  const MessagePrefix prefix = MakeMessagePrefix(flags, message.size());
  return std::string(prefix.data(), prefix.size()) + message;
}

class GrpcWebTest : public ::testing::Test {
 protected:
  std::unique_ptr<Codec> Make(const Dialect& dialect,
                              const char* method = "/test.Nodes/Bidi") {
    json_.max_message_bytes = 2000;
    const CodecInputs inputs = {.packet = packet_,
                                .json = json_,
                                .schema = schema_,
                                .method = schema_->FindMethod(method),
                                .body = body_};
    return *dialect.make(inputs);
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

  // "head 200 TYPE name=value ...", "data ...", "end".
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
          absl::StrCat("data ", absl::CEscape(out_.TakeMessage(0).payload)));
    }
    if (out_.end() != nullptr) log.emplace_back("end");
    return log;
  }

  const std::shared_ptr<const Schema> schema_ = TestSchema();
  const PacketOptions packet_ = {};
  JsonCodecOptions json_;
  BodyFormat body_;
  Outgoing out_{Watermarks()};
};

// --- Requests ---

TEST_F(GrpcWebTest, MessagesMayComeInAnyPieces) {
  const std::string body = Frame("one") + Frame("") + Frame("three");
  for (std::size_t piece = 1; piece <= body.size(); ++piece) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < body.size(); at += piece) {
      pieces.push_back(body.substr(at, piece));
    }
    EXPECT_THAT(
        HearBody(*Make(kGrpcWebDialect), pieces),
        ElementsAre("request one", "request ", "request three", "half-close"));
  }
}

TEST_F(GrpcWebTest, TextMayBePaddedInTheMiddle) {
  const std::string body = absl::Base64Escape(Frame("one").substr(0, 1)) +
                           absl::Base64Escape(Frame("one").substr(1)) +
                           absl::Base64Escape(Frame("x"));
  for (std::size_t piece = 1; piece <= body.size(); ++piece) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < body.size(); at += piece) {
      pieces.push_back(body.substr(at, piece));
    }
    EXPECT_THAT(HearBody(*Make(kGrpcWebTextDialect), pieces),
                ElementsAre("request one", "request x", "half-close"));
  }
}

TEST_F(GrpcWebTest, TextThatIsNotBase64IsAFaultBehindWhatCameBefore) {
  EXPECT_THAT(HearBody(*Make(kGrpcWebTextDialect),
                       {absl::Base64Escape(Frame("ab")), "A*"}),
              ElementsAre("request ab",
                          "close 4003 INVALID_ARGUMENT: the body is not "
                          "base64"));
  EXPECT_THAT(HearBody(*Make(kGrpcWebTextDialect),
                       {absl::Base64Escape(Frame("a")) + "A"}),
              ElementsAre("request a",
                          "close 4003 INVALID_ARGUMENT: the body ends inside "
                          "a message"));
}

TEST_F(GrpcWebTest, ABodyThatIsCutShortIsAFault) {
  for (const std::size_t size : {1, 4, 5, 7}) {
    EXPECT_THAT(
        HearBody(*Make(kGrpcWebDialect), {Frame("one").substr(0, size)}),
        ElementsAre("close 4003 INVALID_ARGUMENT: the body ends inside "
                    "a message"));
  }
}

TEST_F(GrpcWebTest, AMethodThatTakesOneMessageWantsIt) {
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect, "/test.Nodes/Unary"), {}),
              ElementsAre("close 4003 INVALID_ARGUMENT: the body has no "
                          "message, and the method takes one"));
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect, "/test.Nodes/Client"), {}),
              ElementsAre("half-close"));
}

// Clients send no trailers, and what has a flag that is not known would be read
// as something else.
TEST_F(GrpcWebTest, UnknownFlagsAreRefused) {
  for (const int flags : {0x02, 0x80, 0x81, 0xFF}) {
    EXPECT_THAT(
        HearBody(*Make(kGrpcWebDialect),
                 {Frame("", static_cast<std::uint8_t>(flags))}),
        ElementsAre(HasSubstr("INVALID_ARGUMENT: a message has unknown flags")))
        << flags;
  }
}

TEST_F(GrpcWebTest, GzipIsTakenWhereAHeaderNamesIt) {
  const std::string frame = Frame(GzipCompress("hello"), 1);
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect), {frame}),
              ElementsAre("close 4013 INTERNAL: a message is compressed, and "
                          "no header says how"));
  body_.encoding = "gzip";
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect), {frame, Frame("plain")}),
              ElementsAre("request hello", "request plain", "half-close"));
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect), {Frame("hello", 1)}),
              ElementsAre("close 4003 INVALID_ARGUMENT: a message is not valid "
                          "gzip"));
  body_.encoding = "br";
  EXPECT_THAT(Hear(*Make(kGrpcWebDialect), {{Opcode::kText, frame}}),
              ElementsAre(HasSubstr("INTERNAL")));
  EXPECT_THAT(
      Hear(*Make(kGrpcWebDialect), {{Opcode::kText, ""}}),
      ElementsAre("close 4012 UNIMPLEMENTED: the request is compressed with "
                  "br; gzip and identity are supported"));
}

TEST_F(GrpcWebTest, TheDecompressedSizeIsLimited) {
  const char* too_big =
      "close 1009 RESOURCE_EXHAUSTED: a message is longer than "
      "max_message_bytes (2000)";
  body_.encoding = "gzip";
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect),
                       {Frame(GzipCompress(std::string(2001, 'x')), 1)}),
              ElementsAre(too_big));
  EXPECT_THAT(HearBody(*Make(kGrpcWebDialect),
                       {Frame(std::string(2001, 'x')).substr(0, 5)}),
              ElementsAre(too_big));
}

TEST_F(GrpcWebTest, JsonIsConverted) {
  EXPECT_THAT(HearBody(*Make(kGrpcWebJsonDialect), {Frame("{\"name\":\"a\"}")}),
              ElementsAre("request \\n\\001a", "half-close"));
  EXPECT_THAT(HearBody(*Make(kGrpcWebTextJsonDialect),
                       {absl::Base64Escape(Frame("{\"name\":\"a\"}"))}),
              ElementsAre("request \\n\\001a", "half-close"));
  EXPECT_THAT(HearBody(*Make(kGrpcWebJsonDialect), {Frame("{\"name\":1}")}),
              ElementsAre(HasSubstr("INVALID_ARGUMENT: line 1")));
  EXPECT_THAT(HearBody(*Make(kGrpcWebJsonDialect), {Frame("{}{}")}),
              ElementsAre(HasSubstr("INVALID_ARGUMENT")));
}

// --- Responses ---

TEST_F(GrpcWebTest, OneResponseAndItsTrailersAreAWholeBody) {
  const auto codec = Make(kGrpcWebDialect, "/test.Nodes/Unary");
  codec->EncodeHead({{"x-branch", "main"}, {"content-type", "no"}}, out_);
  EXPECT_TRUE(codec->EncodeMessage("m", out_).ok());
  EXPECT_THAT(Sent(), IsEmpty());
  codec->EncodeEnd(EndingOf(CallEnd{absl::OkStatus(), "", {{"t-bin", "\1"}}}),
                   out_);
  EXPECT_THAT(Sent(),
              ElementsAre("head 200 whole "
                          "Content-Type=application/grpc-web+proto "
                          "x-branch=main",
                          "data \\000\\000\\000\\000\\001m"
                          "\\200\\000\\000\\000\\033grpc-status: 0\\r\\n"
                          "t-bin: AQ\\r\\n",
                          "end"));
}

TEST_F(GrpcWebTest, AStreamsResponsesLeaveAtOnce) {
  const auto codec = Make(kGrpcWebDialect);
  codec->EncodeHead({{"a", "b"}}, out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre("head 200 Content-Type=application/grpc-web+proto a=b"));
  EXPECT_TRUE(codec->EncodeMessage("m", out_).ok());
  EXPECT_THAT(Sent(), ElementsAre("data \\000\\000\\000\\000\\001m"));
  out_.set_head_is_sent(true);
  codec->EncodeEnd(EndingOf(absl::NotFoundError("no")), out_);
  EXPECT_THAT(Sent(),
              ElementsAre("data \\200\\000\\000\\000\\\"grpc-status: 5\\r\\n"
                          "grpc-message: no\\r\\n",
                          "end"));
}

// nice-grpc-web takes a status OK in the head for a fault.
TEST_F(GrpcWebTest, AnEmptyStreamHasItsStatusInTheBodyAlone) {
  const auto codec = Make(kGrpcWebDialect);
  codec->EncodeEnd(EndingOf(absl::OkStatus()), out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre("head 200 Content-Type=application/grpc-web+proto",
                  "data \\200\\000\\000\\000\\020grpc-status: 0\\r\\n", "end"));
}

// connect-es wants all trailers where the status is.
TEST_F(GrpcWebTest, AFailureBeforeTheFirstResponseIsInTheHeadAsWell) {
  for (const char* method : {"/test.Nodes/Unary", "/test.Nodes/Server"}) {
    Outgoing out{Watermarks()};
    const auto codec = Make(kGrpcWebDialect, method);
    codec->EncodeHead({{"a", "b"}}, out);
    codec->EncodeEnd(
        EndingOf(CallEnd{
            absl::NotFoundError("n\xC3\xA4"), "\x08\x05", {{"t", "1"}}}),
        out);
    const auto head = out.TakeHead();
    EXPECT_TRUE(head->is_whole);
    EXPECT_THAT(absl::StrJoin(head->metadata, " ", absl::PairFormatter("=")),
                "a=b grpc-status=5 grpc-message=n%C3%A4 "
                "grpc-status-details-bin=CAU t=1");
    EXPECT_THAT(out.TakeMessage(0).payload,
                HasSubstr("grpc-status: 5\r\ngrpc-message: n%C3%A4\r\n"
                          "grpc-status-details-bin: CAU\r\nt: 1\r\n"));
    EXPECT_FALSE(out.has_messages());
  }
}

TEST_F(GrpcWebTest, TextIsEncodedMessageByMessage) {
  const auto codec = Make(kGrpcWebTextDialect);
  EXPECT_TRUE(codec->EncodeMessage("m", out_).ok());
  codec->EncodeEnd(EndingOf(absl::OkStatus()), out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre("head 200 Content-Type=application/grpc-web-text+proto",
                  absl::StrCat("data ", absl::Base64Escape(Frame("m"))),
                  absl::StrCat("data ", absl::Base64Escape(
                                            Frame("grpc-status: 0\r\n", 0x80))),
                  "end"));
}

TEST_F(GrpcWebTest, TheAcceptHeaderMayAskForTheOtherForm) {
  const auto type_for = [&](const Dialect& dialect, const char* accept) {
    Outgoing out{Watermarks()};
    body_.accept = accept;
    Make(dialect)->EncodeEnd(EndingOf(absl::OkStatus()), out);
    return out.TakeHead()->fields.at(0).second;
  };
  EXPECT_EQ(type_for(kGrpcWebDialect, "application/grpc-web-text"),
            "application/grpc-web-text+proto");
  EXPECT_EQ(type_for(kGrpcWebTextDialect, "application/grpc-web+proto"),
            "application/grpc-web+proto");
  EXPECT_EQ(type_for(kGrpcWebJsonDialect, "application/grpc-web-text"),
            "application/grpc-web-text+json");
  EXPECT_EQ(type_for(kGrpcWebTextJsonDialect, "*/*"),
            "application/grpc-web-text+json");
  EXPECT_EQ(type_for(kGrpcWebTextDialect, "*/*"),
            "application/grpc-web-text+proto");
  EXPECT_EQ(type_for(kGrpcWebDialect, ""), "application/grpc-web+proto");
}

TEST_F(GrpcWebTest, LongResponsesAreCompressedForClientsThatTakeIt) {
  body_.accepts_gzip = true;
  const auto codec = Make(kGrpcWebDialect);
  EXPECT_TRUE(codec->EncodeMessage(std::string(5000, 'x'), out_).ok());
  EXPECT_TRUE(codec->EncodeMessage("short", out_).ok());
  const std::string huge(300 * 1024, 'x');
  EXPECT_TRUE(codec->EncodeMessage(std::string(huge), out_).ok());
  EXPECT_EQ(
      absl::StrJoin(out_.TakeHead()->fields, " ", absl::PairFormatter("=")),
      "Content-Type=application/grpc-web+proto Grpc-Encoding=gzip");
  const std::string frame = out_.TakeMessage(0).payload;
  EXPECT_EQ(frame[0], '\1');
  EXPECT_EQ(GzipDecompress(frame.substr(5), 5000).value(),
            std::string(5000, 'x'));
  EXPECT_EQ(out_.TakeMessage(0).payload, Frame("short"));
  EXPECT_EQ(out_.TakeMessage(0).payload, Frame(huge));
}

TEST_F(GrpcWebTest, AFailureWithoutACodecHasTheSameForm) {
  const WholeResponse failure =
      kGrpcWebTextDialect.failure({absl::UnavailableError("away"), ""});
  EXPECT_EQ(failure.head.http_status, 200);
  EXPECT_EQ(failure.body,
            absl::Base64Escape(
                Frame("grpc-status: 14\r\ngrpc-message: away\r\n", 0x80)));
}

}  // namespace
}  // namespace headgate
