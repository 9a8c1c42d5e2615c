#include "gateway/codec/grpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/gzip.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/dialect.h"
#include "tests/codec/events.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

constexpr char kGrpcHeadFields[] =
    " Content-Type=application/grpc Grpc-Accept-Encoding=identity,gzip";

std::string Prefixed(const std::string& message, std::uint8_t flags = 0) {
  const MessagePrefix prefix = MakeMessagePrefix(flags, message.size());
  return std::string(prefix.data(), prefix.size()) + message;
}

class GrpcTest : public ::testing::Test {
 protected:
  std::unique_ptr<Codec> Make() {
    json_.max_message_bytes = 2000;
    const CodecInputs inputs = {
        .packet = packet_, .json = json_, .body = body_};
    return *kGrpcDialect.make(inputs);
  }

  // The request's body, cut into pieces of this size, its end behind it.
  std::vector<std::string> HearBody(const std::string& body,
                                    std::size_t piece = 1000) {
    std::vector<WireMessage> messages;
    for (std::size_t at = 0; at < body.size(); at += piece) {
      messages.push_back(Text(body.substr(at, piece)));
    }
    messages.push_back(Text(""));
    return Hear(*Make(), std::move(messages));
  }

  // "head 200 NAME=VALUE ...", "data ...", "end NAME=VALUE ...".
  std::vector<std::string> Sent() {
    std::vector<std::string> log;
    const auto add = [&log](const FieldList& fields) {
      for (const auto& [name, value] : fields) {
        absl::StrAppend(&log.back(), " ", name, "=", value);
      }
    };
    if (const auto head = out_.TakeHead()) {
      log.push_back(absl::StrCat("head ", head->http_status,
                                 head->is_whole ? " whole" : ""));
      add(head->fields);
      add(head->metadata);
    }
    while (out_.has_messages()) {
      log.push_back(
          absl::StrCat("data ", absl::CEscape(out_.TakeMessage(0).payload)));
    }
    if (out_.end() != nullptr) {
      log.emplace_back("end");
      add(out_.end()->trailers);
    }
    return log;
  }

  PacketOptions packet_;
  JsonCodecOptions json_;
  BodyFormat body_;
  Outgoing out_{Watermarks()};
};

TEST_F(GrpcTest, MessagesMayComeInAnyPieces) {
  const std::string body = Prefixed("one") + Prefixed("") + Prefixed("three");
  for (std::size_t piece = 1; piece <= body.size(); ++piece) {
    EXPECT_THAT(
        HearBody(body, piece),
        ElementsAre("request one", "request ", "request three", "half-close"));
  }
}

TEST_F(GrpcTest, BodyMustEndBetweenMessages) {
  EXPECT_THAT(HearBody(Prefixed("one").substr(0, 6)),
              ElementsAre("close 4003 INVALID_ARGUMENT: the body ends inside "
                          "a message"));
}

TEST_F(GrpcTest, MessageAboveTheLimitEndsTheCall) {
  EXPECT_THAT(HearBody(Prefixed(std::string(2001, 'x')).substr(0, 5)),
              ElementsAre("close 1009 RESOURCE_EXHAUSTED: a message is longer "
                          "than max_message_bytes (2000)"));
}

TEST_F(GrpcTest, CompressedMessageNeedsAHeaderThatSaysHow) {
  const std::string body =
      Prefixed(GzipCompress("hello"), kCompressedFlag) + Prefixed("plain");
  EXPECT_THAT(HearBody(body),
              ElementsAre("close 4013 INTERNAL: a message is compressed, and "
                          "no header says how"));
  body_.encoding = "gzip";
  EXPECT_THAT(HearBody(body),
              ElementsAre("request hello", "request plain", "half-close"));
}

// grpc/grpc doc/compression.md.
TEST_F(GrpcTest, UnknownCompressionIsUnimplemented) {
  body_.encoding = "snappy";
  EXPECT_THAT(HearBody(Prefixed("x")),
              ElementsAre("close 4012 UNIMPLEMENTED: the request is compressed "
                          "with snappy; gzip and identity are supported"));
}

TEST_F(GrpcTest, ResponseIsHeadMessagesAndTrailers) {
  const auto codec = Make();
  codec->EncodeHead({{"branch", "main"}, {"id-bin", "\1\2\3"}}, out_);
  ASSERT_TRUE(codec->EncodeMessage("one", out_).ok());
  codec->EncodeEnd(
      {CloseCode::kNormal, {absl::OkStatus(), "", {{"books", "7"}}}}, out_);
  EXPECT_THAT(Sent(), ElementsAre(absl::StrCat("head 200", kGrpcHeadFields,
                                               " branch=main id-bin=AQID"),
                                  "data \\000\\000\\000\\000\\003one",
                                  "end grpc-status=0 books=7"));
}

// Trailers-Only: one HEADERS frame with END_STREAM.
TEST_F(GrpcTest, FailureBeforeAnythingElseIsAllInTheHead) {
  Make()->EncodeEnd(EndingOf(absl::NotFoundError("no 50% such")), out_);
  EXPECT_THAT(Sent(),
              ElementsAre(absl::StrCat("head 200 whole", kGrpcHeadFields,
                                       " grpc-status=5 grpc-message=no 50%25 "
                                       "such"),
                          "end"));
}

TEST_F(GrpcTest, FailureBehindInitialMetadataIsInTrailers) {
  const auto codec = Make();
  codec->EncodeHead({{"branch", "main"}}, out_);
  codec->EncodeEnd(EndingOf(absl::AbortedError("x")), out_);
  EXPECT_THAT(Sent(), ElementsAre(absl::StrCat("head 200", kGrpcHeadFields,
                                               " branch=main"),
                                  "end grpc-status=10 grpc-message=x"));
}

TEST_F(GrpcTest, ClientThatCompressesGetsCompressedResponses) {
  body_.encoding = "gzip";
  body_.accepts_gzip = true;
  const auto codec = Make();
  const std::string message(10'000, 'x');
  ASSERT_TRUE(codec->EncodeMessage(std::string(message), out_).ok());
  const auto head = out_.TakeHead();
  EXPECT_THAT(head->fields,
              ::testing::Contains(::testing::Pair("Grpc-Encoding", "gzip")));
  const std::string data = out_.TakeMessage(0).payload;
  EXPECT_EQ(data[0], 1);
  EXPECT_EQ(*GzipDecompress(data.substr(5), 20'000), message);
}

}  // namespace
}  // namespace headgate
