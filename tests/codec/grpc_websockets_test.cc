#include "gateway/codec/grpc_websockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/base/gzip.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/dialect.h"
#include "tests/codec/events.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A message of the call as the stream has it.
std::string Framed(absl::string_view message, std::uint8_t flags = 0) {
  const MessagePrefix prefix = MakeMessagePrefix(flags, message.size());
  return absl::StrCat(absl::string_view(prefix.data(), prefix.size()), message);
}
// A piece of the stream as a WebSocket message.
WireMessage Data(absl::string_view piece) {
  return Binary(std::string(1, '\0') + std::string(piece));
}
WireMessage Head(absl::string_view lines = "") { return Binary(lines); }
WireMessage End() { return Binary("\x01"); }

class GrpcWebSocketsTest : public ::testing::Test {
 protected:
  std::vector<std::string> Hears(std::vector<WireMessage> messages) {
    return Hear(*codec_, std::move(messages));
  }
  // What the codec has to send, each message escaped.
  std::vector<std::string> Sent() {
    std::vector<std::string> messages;
    while (out_.has_messages()) {
      messages.push_back(absl::CEscape(out_.TakeMessage(0).payload));
    }
    return messages;
  }

  std::unique_ptr<Codec> codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
  Outgoing out_{Watermarks()};
};

// --- Headers

TEST_F(GrpcWebSocketsTest, TheFirstMessageIsTheHeaders) {
  EXPECT_THAT(Hears({Head("content-type: application/grpc-web+proto\r\n"
                          "Authorization:Bearer x\r\nempty:\r\n")}),
              ElementsAre("head content-type=application/grpc-web+proto "
                          "Authorization=Bearer x empty="));
}

TEST_F(GrpcWebSocketsTest, HeadersMayBeNone) {
  EXPECT_THAT(Hears({Head(""), Data(Framed("a"))}),
              ElementsAre("head", "request a"));
}

TEST_F(GrpcWebSocketsTest, LinesMayEndAsTheyLike) {
  EXPECT_THAT(Hears({Head("a: 1\nb:2 \r\n\r\n")}), ElementsAre("head a=1 b=2"));
  codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
  EXPECT_THAT(Hears({Head("a: 1\r\nb: 2")}), ElementsAre("head a=1 b=2"));
}

TEST_F(GrpcWebSocketsTest, WhatIsNoHeaderIsAFault) {
  for (const absl::string_view lines :
       {"a", "a\r\n", ": 1\r\n", "a b: 1\r\n", " a: 1\r\n", "a: 1\r\n\r\nb: 2",
        "\r\n\r\n", "a: 1\r\n b\r\n"}) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(Hears({Head(lines)}),
                ElementsAre(StartsWith("close 1002 INVALID_ARGUMENT: the "
                                       "headers of the call: ")))
        << absl::CEscape(lines);
  }
}

TEST_F(GrpcWebSocketsTest, HeadersHaveNoControlCharacters) {
  using namespace std::string_literals;
  for (const std::string& line : {"a: 1\rb: 2\r\n"s, "a: \0\r\n"s, "a: \x7F"s,
                                  "a\0: 1\r\n"s, "a\t: 1\r\n"s}) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(Hears({Head(line)}),
                ElementsAre(StartsWith("close 1002 INVALID_ARGUMENT")))
        << absl::CEscape(line);
  }
}

TEST_F(GrpcWebSocketsTest, HeadersAreBounded) {
  EXPECT_THAT(Hears({Head(std::string(1025, 'a'))}),
              ElementsAre("close 4008 RESOURCE_EXHAUSTED: the headers of the "
                          "call have 1025 bytes, max_metadata_bytes is 1024"));
}

// What a client that has mistaken the dialect sends first.
TEST_F(GrpcWebSocketsTest, AMessageInsteadOfTheHeadersIsAFault) {
  EXPECT_THAT(Hears({Data(Framed("a"))}),
              ElementsAre(StartsWith("close 1002 INVALID_ARGUMENT")));
  codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
  EXPECT_THAT(Hears({End()}),
              ElementsAre(StartsWith("close 1002 INVALID_ARGUMENT")));
}

TEST_F(GrpcWebSocketsTest, OnlyProtobufIsSpoken) {
  EXPECT_THAT(Hears({Head("Content-Type: application/grpc-web-text\r\n")}),
              ElementsAre(HasSubstr("content-type must be "
                                    "application/grpc-web+proto")));
}

// --- Requests

TEST_F(GrpcWebSocketsTest, AMessageOfTheCallIsOneOfTheSocket) {
  EXPECT_THAT(
      Hears({Head(), Data(Framed("a")), Data(Framed("")), End(), End()}),
      ElementsAre("head", "request a", "request ", "half-close", "half-close"));
}

// websocket_wrapper.go makes one stream of all messages.
TEST_F(GrpcWebSocketsTest, MessagesOfTheSocketAreOneStream) {
  const std::string stream = Framed("abc") + Framed("") + Framed("de");
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    std::vector<WireMessage> messages = {Head()};
    for (std::size_t at = 0; at < stream.size(); at += size) {
      messages.push_back(Data(stream.substr(at, size)));
    }
    messages.push_back(End());
    EXPECT_THAT(Hears(std::move(messages)),
                ElementsAre("head", "request abc", "request ", "request de",
                            "half-close"))
        << size;
  }
}

TEST_F(GrpcWebSocketsTest, IsInsideAMessageUntilItIsComplete) {
  EXPECT_TRUE(codec_->inside_message());
  Hears({Head()});
  EXPECT_FALSE(codec_->inside_message());
  Hears({Data("")});
  EXPECT_FALSE(codec_->inside_message());
  Hears({Data(Framed("ab").substr(0, 6))});
  EXPECT_TRUE(codec_->inside_message());
  Hears({Data("b")});
  EXPECT_FALSE(codec_->inside_message());
}

TEST_F(GrpcWebSocketsTest, TextIsTheWrongOpcode) {
  for (const char* text : {"", "a: 1"}) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(Hears({Text(text)}),
                ElementsAre(StartsWith("close 1003 INVALID_ARGUMENT")));
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(Hears({Head(), Text(text)}),
                ElementsAre("head", StartsWith("close 1003 INVALID_ARGUMENT")));
  }
}

TEST_F(GrpcWebSocketsTest, AnotherFirstByteIsAFault) {
  for (const absl::string_view payload :
       {absl::string_view(""), absl::string_view("\x01\x00", 2),
        absl::string_view("\x02"), absl::string_view("\xFF")}) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(Hears({Head(), Binary(payload)}),
                ElementsAre("head", StartsWith("close 1002 INVALID_ARGUMENT")));
  }
}

TEST_F(GrpcWebSocketsTest, AHalfCloseWithinAMessageIsAFault) {
  EXPECT_THAT(Hears({Head(), Data(Framed("ab").substr(0, 6)), End()}),
              ElementsAre("head",
                          "close 1002 INVALID_ARGUMENT: half-close "
                          "within a message"));
}

TEST_F(GrpcWebSocketsTest, UnknownFlagsAreAFault) {
  for (const std::uint8_t flags : {0x02, 0x80, 0x81, 0xFF}) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(Hears({Head(), Data(Framed("a", flags))}),
                ElementsAre("head", StartsWith("close 1002 INTERNAL")));
  }
}

TEST_F(GrpcWebSocketsTest, LengthsAreBounded) {
  EXPECT_THAT(Hears({Head(), Data(Framed(std::string(1024, 'a')))}),
              ElementsAre("head", StartsWith("request aaa")));
  EXPECT_THAT(Hears({Data(Framed(std::string(1025, 'a')))}),
              ElementsAre(StartsWith("close 1009 RESOURCE_EXHAUSTED")));
  codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
  EXPECT_THAT(
      Hears({Head(), Data(absl::string_view("\x00\xFF\xFF\xFF\xFF", 5))}),
      ElementsAre("head", StartsWith("close 1009 RESOURCE_EXHAUSTED")));
  EXPECT_LT(codec_->held_bytes(), 1024u);
}

// --- Compression

TEST_F(GrpcWebSocketsTest, GzipIsTakenWhereTheHeadersNameIt) {
  EXPECT_THAT(
      Hears({Head("grpc-encoding: gzip\r\n"),
             Data(Framed(GzipCompress("abc"), 1)), Data(Framed("d"))}),
      ElementsAre("head grpc-encoding=gzip", "request abc", "request d"));
}

TEST_F(GrpcWebSocketsTest, CompressedWithoutSayingHowIsAFault) {
  for (const char* head : {"", "grpc-encoding: identity\r\n"}) {
    codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
    EXPECT_THAT(
        Hears({Head(head), Data(Framed(GzipCompress("abc"), 1))}),
        ElementsAre(StartsWith("head"), StartsWith("close 1002 INTERNAL")));
  }
}

TEST_F(GrpcWebSocketsTest, AnotherEncodingIsUnimplemented) {
  EXPECT_THAT(Hears({Head("grpc-encoding: br\r\n")}),
              ElementsAre(StartsWith("close 4012 UNIMPLEMENTED")));
}

TEST_F(GrpcWebSocketsTest, TheDecompressedSizeIsBounded) {
  EXPECT_THAT(Hears({Head("grpc-encoding: gzip\r\n"),
                     Data(Framed(GzipCompress(std::string(1025, 'a')), 1))}),
              ElementsAre("head grpc-encoding=gzip",
                          StartsWith("close 1009 RESOURCE_EXHAUSTED")));
}

TEST_F(GrpcWebSocketsTest, WhatIsNotGzipIsAFault) {
  EXPECT_THAT(Hears({Head("grpc-encoding: gzip\r\n"), Data(Framed("abc", 1))}),
              ElementsAre("head grpc-encoding=gzip",
                          StartsWith("close 1002 INTERNAL")));
}

// --- Responses

constexpr char kHeadBlock[] =
    "\\200\\000\\000\\000*content-type: application/grpc-web+proto\\r\\n";

TEST_F(GrpcWebSocketsTest, HeadersMessagesAndTrailersAreMessagesOfTheirOwn) {
  codec_->EncodeHead({{"a", "1"}}, out_);
  ASSERT_TRUE(codec_->EncodeMessage("hi", out_).ok());
  ASSERT_TRUE(codec_->EncodeMessage("", out_).ok());
  codec_->EncodeEnd(EndingOf({absl::OkStatus(), "", {{"t", "2"}}}), out_);
  EXPECT_THAT(
      Sent(),
      ElementsAre("\\200\\000\\000\\0000content-type: "
                  "application/grpc-web+proto\\r\\na: 1\\r\\n",
                  "\\000\\000\\000\\000\\002hi", "\\000\\000\\000\\000\\000",
                  "\\200\\000\\000\\000\\026grpc-status: 0\\r\\nt: 2\\r\\n"));
  ASSERT_NE(out_.end(), nullptr);
  EXPECT_EQ(out_.end()->ending.close, CloseCode::kNormal);
  // A block ends its message, so messages are never joined.
  EXPECT_EQ(codec_->coalesce_bytes(), 0u);
}

// The JS client of deephaven-core takes the first block for the headers.
TEST_F(GrpcWebSocketsTest, HeadersPrecedeMessagesAndTrailersInAnyCase) {
  ASSERT_TRUE(codec_->EncodeMessage("", out_).ok());
  EXPECT_THAT(Sent(), ElementsAre(kHeadBlock, "\\000\\000\\000\\000\\000"));
  codec_ = MakeGrpcWebSocketsCodec({1024, 1024});
  codec_->EncodeEnd(EndingOf(absl::NotFoundError("gone")), out_);
  EXPECT_THAT(Sent(), ElementsAre(kHeadBlock,
                                  "\\200\\000\\000\\000$grpc-status: 5\\r\\n"
                                  "grpc-message: gone\\r\\n"));
  EXPECT_EQ(out_.end()->ending.close, CloseCode{4005});
}

}  // namespace
}  // namespace headgate
