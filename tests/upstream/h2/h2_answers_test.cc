// What the HTTP/2 transport makes of servers that say anything: each must end
// in a status. With TLS and without.

#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "gateway/base/gzip.h"
#include "tests/upstream/h2/wires_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

class H2AnswersTest : public H2WiresFixture {};

INSTANTIATE_TEST_SUITE_P(Wires, H2AnswersTest, BothWires(), NameOfWire);

TEST_P(H2AnswersTest, AnswerIsReadFromAnyPieces) {
  const std::string answer =
      h2::Headers(1, {{":status", "103"}, {"link", "x"}}) + h2::Head(1) +
      h2::Message(1, "a") + h2::Data(1, h2::Framed("bc").substr(0, 3)) +
      h2::Data(1, "") + h2::Data(1, h2::Framed("bc").substr(3)) +
      h2::Data(1, h2::Framed("") + h2::Framed("d")) +
      h2::Frame(0xFA, 0xFF, 1, "unknown") + h2::Trailers(1, "10");
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{7}, answer.size()}) {
    Connect();
    WireCall& call = Open();
    for (std::size_t at = 0; at < answer.size(); at += size) {
      peer().Send(answer.substr(at, size));
      worker_.restart();
      worker_.poll();
    }
    ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
    EXPECT_THAT(call.messages, ElementsAre("a", "bc", "", "d"));
    EXPECT_EQ(call.end->status.code(), absl::StatusCode::kAborted);
  }
}

TEST_P(H2AnswersTest, GzipIsTakenMessageByMessage) {
  WireCall& call = Open();
  peer().Send(h2::Headers(1, {{":status", "200"},
                              {"content-type", "application/grpc"},
                              {"grpc-encoding", "gzip"}}) +
              h2::Data(1, h2::Framed(GzipCompress("packed"), true)) +
              h2::Message(1, "plain") + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_THAT(call.messages, ElementsAre("packed", "plain"));
  EXPECT_TRUE(call.end->status.ok());
}

TEST_P(H2AnswersTest, AnswersThatAreNotGrpcAreTranslated) {
  EXPECT_EQ(CodeOfAnswer(h2::Headers(1, {{":status", "404"}}, true)),
            absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeOfAnswer(h2::Headers(1, {{":status", "502"},
                                         {"content-type", "text/html"}}) +
                         h2::Data(1, "<html>")),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOfAnswer(h2::Headers(1, {{":status", "200"},
                                         {"content-type", "text/html"}}) +
                         h2::Data(1, "<html>", true)),
            absl::StatusCode::kUnknown);
}

TEST_P(H2AnswersTest, AnswersWithoutAStatusAreUnknown) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Data(1, h2::Framed("a"), true)),
            absl::StatusCode::kUnknown);
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Headers(1, {{"x", "y"}}, true)),
            absl::StatusCode::kUnknown);
}

// grpc/grpc doc/compression.md.
TEST_P(H2AnswersTest, MessagesThatCannotBeReadAreInternal) {
  const std::string gzip_head =
      h2::Headers(1, {{":status", "200"},
                      {"content-type", "application/grpc"},
                      {"grpc-encoding", "gzip"}});
  for (const std::string& answer :
       {h2::Head(1) + h2::Data(1, h2::Framed("a", true)),
        h2::Headers(1, {{":status", "200"},
                        {"content-type", "application/grpc"},
                        {"grpc-encoding", "snappy"}}) +
            h2::Data(1, h2::Framed("a", true)),
        gzip_head + h2::Data(1, h2::Framed("no gzip", true)),
        h2::Head(1) + h2::Data(1, std::string("\7\0\0\0\0", 5)),
        h2::Head(1) + h2::Data(1, h2::Framed("abc").substr(0, 6)) +
            h2::Trailers(1),
        h2::Head(1) + h2::Data(1, std::string(1, 0)) + h2::Trailers(1)}) {
    EXPECT_EQ(CodeOfAnswer(answer), absl::StatusCode::kInternal);
  }
}

TEST_P(H2AnswersTest, HalfAMessageBeforeAnErrorIsTheError) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Data(1, std::string(2, 0)) +
                         h2::Trailers(1, "10")),
            absl::StatusCode::kAborted);
}

TEST_P(H2AnswersTest, MessagesAboveTheLimitAreResourceExhausted) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) +
                         h2::Data(1, std::string("\0\xFF\xFF\xFF\xFF", 5))),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOfAnswer(
                h2::Headers(1, {{":status", "200"},
                                {"content-type", "application/grpc"},
                                {"grpc-encoding", "gzip"}}) +
                h2::Data(1, h2::Framed(GzipCompress(std::string(1 << 20, 'x')),
                                       true))),
            absl::StatusCode::kResourceExhausted);
}

TEST_P(H2AnswersTest, MessagesBeforeOneAboveTheLimitAreDelivered) {
  WireCall& call = Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 1; }));
  peer().Send(h2::Head(1) + h2::Message(1, "a") + h2::Message(1, "b") +
              h2::Data(1, std::string("\0\xFF\xFF\xFF\xFF", 5)) +
              h2::Trailers(1));
  Settle();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_THAT(call.messages, ElementsAre("a", "b"));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kResourceExhausted);
}

// RFC 9113 section 8.1.1: a malformed answer is a stream error.
TEST_P(H2AnswersTest, MalformedAnswersAreInternal) {
  for (const std::string& answer :
       {h2::Head(1) + h2::Head(1),
        h2::Headers(1, {{"content-type", "application/grpc"}}),
        h2::Head(1) + h2::Headers(1, {{":status", "200"}}, true),
        h2::Headers(1, {{":status", "200"}, {":path", "/"}}),
        h2::Headers(1,
                    {{":status", "200"}, {"Upper", "x"}, {"connection", "x"}}),
        h2::Headers(1, {{":status", "100"}}, true),
        h2::WindowUpdate(1, 0x7FFF'FFFF)}) {
    EXPECT_EQ(CodeOfAnswer(answer), absl::StatusCode::kInternal)
        << absl::CHexEscape(answer.substr(0, 40));
  }
}

// RFC 9113 section 5.4.1.
TEST_P(H2AnswersTest, ConnectionErrorsAreUnavailable) {
  for (const std::string& bytes :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
        h2::Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xFF\xFF"),
        h2::Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 0, "x"),
        h2::Frame(NGHTTP2_DATA, 0, 0, "x"),
        h2::Frame(NGHTTP2_DATA, 0, 7, "x"),
        h2::Frame(NGHTTP2_DATA, 0, 1, std::string(1 << 20, 'x')),
        h2::Frame(NGHTTP2_SETTINGS, 0, 0, "x"),
        h2::Frame(NGHTTP2_SETTINGS, 0, 1, ""),
        h2::Frame(NGHTTP2_PING, 0, 0, "x"),
        h2::Frame(NGHTTP2_RST_STREAM, 0, 1, "x"),
        h2::Reset(0, 0),
        h2::Reset(7, 0),
        h2::Frame(NGHTTP2_GOAWAY, 0, 0, "x"),
        h2::Frame(NGHTTP2_CONTINUATION, 0, 1, "x"),
        h2::Frame(NGHTTP2_HEADERS, 0, 1, h2::Encode({{":status", "200"}})) +
            h2::Data(1, "x"),
        h2::Frame(NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1,
                  h2::Number(2) + h2::Encode({{":path", "/"}})),
        h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0xFFFF'FFFF}}),
        h2::Settings({{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1}}),
        h2::WindowUpdate(0, 0),
        h2::WindowUpdate(0, 0x7FFF'FFFF)}) {
    EXPECT_EQ(CodeOfAnswer(bytes), absl::StatusCode::kUnavailable)
        << absl::CHexEscape(bytes.substr(0, 40));
  }
}

TEST_P(H2AnswersTest, ConnectionsThatBreakAreUnavailable) {
  for (const std::string& bytes :
       {std::string(), std::string("\0\0", 2), h2::Head(1),
        h2::Head(1).substr(0, 20),
        h2::Head(1) + h2::Data(1, std::string(1, 0))}) {
    EXPECT_EQ(CodeOfLastWords(bytes), absl::StatusCode::kUnavailable);
  }
}

TEST_P(H2AnswersTest, StatusBeforeTheConnectionBreaksIsTheStatus) {
  EXPECT_EQ(CodeOfLastWords(h2::Head(1) + h2::Trailers(1, "5")),
            absl::StatusCode::kNotFound);
}

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Errors".
TEST_P(H2AnswersTest, ResetIsTranslatedInAnyState) {
  const std::pair<std::uint32_t, absl::StatusCode> kTable[] = {
      {NGHTTP2_NO_ERROR, absl::StatusCode::kInternal},
      {NGHTTP2_INTERNAL_ERROR, absl::StatusCode::kInternal},
      {NGHTTP2_CANCEL, absl::StatusCode::kCancelled},
      {NGHTTP2_ENHANCE_YOUR_CALM, absl::StatusCode::kResourceExhausted},
  };
  for (const auto& [code, expected] : kTable) {
    EXPECT_EQ(CodeOfAnswer(h2::Reset(1, code)), expected);
    EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Reset(1, code)), expected);
    EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Data(1, std::string(1, 0)) +
                           h2::Reset(1, code)),
              expected);
  }
}

TEST_P(H2AnswersTest, MetadataBeyondTheLimitIsResourceExhausted) {
  // A field that is indexed once and named many times (RFC 7541 section 6.1):
  // few bytes on the wire.
  const std::string field = absl::StrCat("\x40", h2::Literal("x"),
                                         h2::Literal(std::string(3000, 'x')));
  const std::string block =
      h2::Encode({{":status", "200"}, {"content-type", "application/grpc"}}) +
      field + std::string(1000, '\xBE');
  EXPECT_EQ(CodeOfAnswer(
                h2::Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block)),
            absl::StatusCode::kResourceExhausted);
}

TEST_P(H2AnswersTest, MetadataBelowTheLimitIsTaken) {
  const std::string block = h2::Encode({{":status", "200"},
                                        {"content-type", "application/grpc"},
                                        {"x-a", std::string(30'000, 'a')},
                                        {"x-b", std::string(30'000, 'b')}});
  std::string frames =
      h2::Frame(NGHTTP2_HEADERS, 0, 1, block.substr(0, 16'000));
  for (std::size_t at = 16'000; at < block.size(); at += 16'000) {
    frames +=
        h2::Frame(NGHTTP2_CONTINUATION, at + 16'000 < block.size() ? 0 : 4, 1,
                  block.substr(at, 16'000));
  }
  CallRequest request{"/s/m", {}};
  request.metadata_delivery = MetadataDelivery::kDelivered;
  WireCall& call = Open(std::move(request));
  peer().Send(frames);
  ASSERT_TRUE(RunUntil([&] { return call.headers || call.end; }));
  ASSERT_TRUE(call.headers);
  EXPECT_EQ(call.headers->size(), 2u);
}

// A client may wait for it before it sends anything.
TEST_P(H2AnswersTest, AResponseThatBeginsIsToldWithoutMetadataToo) {
  CallRequest request{"/s/m", {}};
  request.metadata_delivery = MetadataDelivery::kDelivered;
  WireCall& call = Open(std::move(request));
  peer().Send(h2::Head(1));
  ASSERT_TRUE(RunUntil([&] { return call.headers || call.end; }));
  ASSERT_TRUE(call.headers);
  EXPECT_TRUE(call.headers->empty());
  EXPECT_FALSE(call.end);
}

// Whatever comes, in any order and broken anywhere: a status, and no harm.
TEST_P(H2AnswersTest, NoiseEndsInAStatus) {
  std::mt19937 random(1);
  const std::vector<std::string> frames = {
      h2::Head(1),
      h2::Message(1, "a"),
      h2::Trailers(1),
      h2::Data(1, std::string(3, 0)),
      h2::Reset(1, 8),
      h2::GoAway(0),
      h2::GoAway(1),
      h2::Settings({{3, 1}, {4, 0}}),
      h2::Settings({{4, 100'000}, {5, 20'000}}),
      h2::WindowUpdate(1, 10),
      h2::WindowUpdate(0, 10),
      h2::Frame(NGHTTP2_PING, 0, 0, "12345678"),
      h2::Frame(NGHTTP2_PING, 1, 0, "12345678"),
      h2::Frame(NGHTTP2_SETTINGS, 1, 0, ""),
      h2::Frame(0x42, 0, 1, "?"),
      h2::Headers(1, {{":status", "100"}})};
  for (int i = 0; i < 300; ++i) {
    Connect();
    WireCall& call = Open();
    call.Write(std::string(random() % 100'000, 'x'));
    std::string bytes;
    for (int count = static_cast<int>(random() % 10); count > 0; --count) {
      bytes += frames[random() % frames.size()];
    }
    if (random() % 2 == 0 && !bytes.empty()) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    auto& connection = peer();
    while (!bytes.empty()) {
      const std::size_t size = 1 + random() % bytes.size();
      connection.Send(bytes.substr(0, size));
      bytes.erase(0, size);
      worker_.restart();
      worker_.poll();
    }
    // The next connection, of another attempt, is of no use either.
    server_.set_greeting("nonsense that is no frame at all");
    for (auto& one : server_.connections()) one.Close();
    ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); })) << i;
    server_.set_greeting(h2::Settings());
    calls_.clear();
  }
}

}  // namespace
}  // namespace headgate
