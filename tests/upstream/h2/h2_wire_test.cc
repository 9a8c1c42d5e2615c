// What the HTTP/2 transport says on the wire, and what it makes of servers that
// say anything: each must end in a status. With TLS and without.

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "gateway/base/gzip.h"
#include "gateway/base/status.h"
#include "gateway/upstream/h2_upstream.h"
#include "tests/testing/test_folder.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {
namespace {

using Call = WireCall;

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

enum class Wire { kPlaintext, kTls };

class H2WireTest : public H2WireFixture,
                   public ::testing::WithParamInterface<Wire> {
 protected:
  H2WireTest() {
    if (GetParam() == Wire::kPlaintext) return;
    static const Authority authority("test");
    static const Identity identity = authority.Issue("server");
    TlsTestServerOptions options;
    options.identity = identity;
    server_.set_tls(options);
    options_.settings.tls.emplace();
    options_.settings.tls->ca =
        folder_.Write("ca.crt", authority.certificate());
    Connect();
  }

 private:
  const TestFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Wires, H2WireTest,
                         ::testing::Values(Wire::kPlaintext, Wire::kTls),
                         [](const auto& wire) {
                           return wire.param == Wire::kTls ? "Tls"
                                                           : "Plaintext";
                         });

// --- requests ---

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Requests": the order is the document's.
TEST_P(H2WireTest, RequestHeadIsGrpcs) {
  CallRequest request;
  request.method = "/chat.Chat/Talk";
  request.metadata = {{"x-b", "1"}, {"x-raw-bin", "\xFF"}, {"x-b", "2"}};
  request.timeout = absl::Seconds(1000);
  Open(std::move(request));
  const RawServer::Frame* head = nullptr;
  for (const auto& frame : peer().frames()) {
    if (frame.type == NGHTTP2_HEADERS) head = &frame;
  }
  ASSERT_NE(head, nullptr);
  EXPECT_THAT(
      head->fields,
      ElementsAre(Pair(":method", "POST"),
                  Pair(":scheme", GetParam() == Wire::kTls ? "https" : "http"),
                  Pair(":path", "/chat.Chat/Talk"),
                  Pair(":authority", server_.address()), Pair("te", "trailers"),
                  Pair("content-type", "application/grpc"),
                  Pair("user-agent", HasSubstr("headgate/")),
                  Pair("grpc-timeout", ::testing::MatchesRegex("[0-9]{1,8}m")),
                  Pair("grpc-accept-encoding", "identity,gzip"),
                  Pair("x-b", "1"), Pair("x-raw-bin", "/w"), Pair("x-b", "2")));
}

// RFC 9113 section 10.5.1.
std::size_t ListBytes(const RawServer::Frame& head) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : head.fields) {
    bytes += name.size() + value.size() + 32;
  }
  return bytes;
}

TEST_P(H2WireTest, OwnHeaderListBytesCoversWhatIsSentBesidesMetadata) {
  options_.settings.compression = UpstreamSettings::Compression::kGzip;
  Connect();
  CallRequest request{"/s/m", {}};
  request.timeout = absl::Seconds(1000);
  Open(std::move(request));
  const auto head = std::find_if(
      peer().frames().begin(), peer().frames().end(),
      [](const auto& frame) { return frame.type == NGHTTP2_HEADERS; });
  const std::size_t own = OwnHeaderListBytes(options_.settings);
  EXPECT_LE(ListBytes(*head), own + 4);
  EXPECT_GT(ListBytes(*head), own - 150);
}

// RFC 9113 section 10.5.1: a server may end the connection over a longer list.
TEST_P(H2WireTest, ServersLimitOfAHeaderListIsKept) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 1000}}));
  Call& other = Open();
  const std::size_t base = ListBytes(peer().frames().back());
  ASSERT_LT(base, 900u);
  Call& longer = Start({"/s/m", {{"a", std::string(968 - base, 'x')}}});
  longer.Read();
  ASSERT_TRUE(RunUntil([&] { return longer.end.has_value(); }));
  EXPECT_EQ(longer.end->status,
            absl::ResourceExhaustedError(
                "the call's headers are 1001 bytes, the upstream takes 1000"));
  Open({"/s/m", {{"a", std::string(967 - base, 'x')}}});
  EXPECT_EQ(ListBytes(peer().frames().back()), 1000u);
  EXPECT_EQ(server_.connections().size(), 1u);
  EXPECT_FALSE(other.end);
  // It may say otherwise at any time.
  peer().Send(h2::Settings({{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 0}}));
  Settle();
  Call& none = Start();
  none.Read();
  ASSERT_TRUE(RunUntil([&] { return none.end.has_value(); }));
  EXPECT_EQ(none.end->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(other.end);
}

TEST_P(H2WireTest, ReservedNamesAreNotSent) {
  CallRequest request;
  request.method = "/s/m";
  request.metadata = {{"te", "x"},         {"grpc-timeout", "1S"},
                      {"user-agent", "x"}, {"content-type", "x"},
                      {"host", "x"},       {"connection", "close"}};
  Open(std::move(request));
  for (const auto& frame : peer().frames()) {
    EXPECT_THAT(frame.fields, Not(Contains(Pair(::testing::_, "x"))));
    EXPECT_THAT(frame.fields, Not(Contains(Key("grpc-timeout"))));
    EXPECT_THAT(frame.fields, Not(Contains(Key("connection"))));
  }
}

// RFC 9113 section 3.4, 6.5.2.
TEST_P(H2WireTest, SettingsComeFirst) {
  Open();
  const RawServer::Frame& first = peer().frames()[0];
  EXPECT_EQ(first.type, NGHTTP2_SETTINGS);
  EXPECT_EQ(
      first.payload,
      absl::StrCat(h2::Number(NGHTTP2_SETTINGS_ENABLE_PUSH, 2), h2::Number(0),
                   h2::Number(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2),
                   h2::Number(64 * 1024),
                   h2::Number(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 2),
                   h2::Number(64 * 1024)));
  EXPECT_GT(peer().WindowGiven(0), 1'000'000);
}

TEST_P(H2WireTest, MessagesAndHalfCloseArePutTogether) {
  Call& call = Start();
  call.Write("a", WriteHint::kMoreFollows);
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
  call.Write("b");
  call.WritesDone();
  ASSERT_TRUE(RunUntil(
      [&] { return !server_.connections().empty() && peer().HalfClosed(1); }));
  EXPECT_EQ(peer().DataOf(1), h2::Framed("a") + h2::Framed("b"));
  EXPECT_EQ(peer().Count(NGHTTP2_DATA), 1);
}

TEST_P(H2WireTest, CancelledCallIsResetWithCancel) {
  Open().Destroy();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  EXPECT_EQ(peer().ResetOf(1), NGHTTP2_CANCEL);
}

TEST_P(H2WireTest, CallDestroyedBeforeItIsSentLeavesNoTrace) {
  Open();
  Start().Destroy();
  Call& next = Open();
  Settle();
  EXPECT_EQ(server_.StreamsOpened(), 2);
  EXPECT_EQ(peer().Count(NGHTTP2_RST_STREAM), 0);
  EXPECT_FALSE(next.end);
}

// RFC 9113 section 8.1: a server may answer before it has all of the request.
TEST_P(H2WireTest, StatusBeforeTheHalfCloseEndsTheStreamWithoutError) {
  Call& call = Open();
  peer().Send(h2::Head(1) + h2::Trailers(1, "5"));
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  EXPECT_EQ(peer().ResetOf(1), NGHTTP2_NO_ERROR);
  ASSERT_TRUE(call.end);
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kNotFound);
  call.Write("unheard");  // After OnDone: nothing happens.
}

TEST_P(H2WireTest, EndedStreamIsNotReset) {
  Call& call = Open();
  call.WritesDone();
  ASSERT_TRUE(RunUntil([&] { return peer().HalfClosed(1); }));
  peer().Send(h2::Head(1) + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  call.Destroy();
  Settle();
  EXPECT_EQ(peer().ResetOf(1), -1);
}

// --- answers ---

TEST_P(H2WireTest, AnswerIsReadFromAnyPieces) {
  const std::string answer =
      h2::Headers(1, {{":status", "103"}, {"link", "x"}}) + h2::Head(1) +
      h2::Message(1, "a") + h2::Data(1, h2::Framed("bc").substr(0, 3)) +
      h2::Data(1, "") + h2::Data(1, h2::Framed("bc").substr(3)) +
      h2::Data(1, h2::Framed("") + h2::Framed("d")) +
      h2::Frame(0xFA, 0xFF, 1, "unknown") + h2::Trailers(1, "10");
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{7}, answer.size()}) {
    Connect();
    Call& call = Open();
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

TEST_P(H2WireTest, GzipIsTakenMessageByMessage) {
  Call& call = Open();
  peer().Send(h2::Headers(1, {{":status", "200"},
                              {"content-type", "application/grpc"},
                              {"grpc-encoding", "gzip"}}) +
              h2::Data(1, h2::Framed(GzipCompress("packed"), true)) +
              h2::Message(1, "plain") + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_THAT(call.messages, ElementsAre("packed", "plain"));
  EXPECT_TRUE(call.end->status.ok());
}

TEST_P(H2WireTest, AnswersThatAreNotGrpcAreTranslated) {
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

TEST_P(H2WireTest, AnswersWithoutAStatusAreUnknown) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Data(1, h2::Framed("a"), true)),
            absl::StatusCode::kUnknown);
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Headers(1, {{"x", "y"}}, true)),
            absl::StatusCode::kUnknown);
}

// grpc/grpc doc/compression.md.
TEST_P(H2WireTest, MessagesThatCannotBeReadAreInternal) {
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

TEST_P(H2WireTest, HalfAMessageBeforeAnErrorIsTheError) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Data(1, std::string(2, 0)) +
                         h2::Trailers(1, "10")),
            absl::StatusCode::kAborted);
}

TEST_P(H2WireTest, MessagesAboveTheLimitAreResourceExhausted) {
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

TEST_P(H2WireTest, MessagesBeforeOneAboveTheLimitAreDelivered) {
  Call& call = Start();
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
TEST_P(H2WireTest, MalformedAnswersAreInternal) {
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
TEST_P(H2WireTest, ConnectionErrorsAreUnavailable) {
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

TEST_P(H2WireTest, ConnectionsThatBreakAreUnavailable) {
  for (const std::string& bytes :
       {std::string(), std::string("\0\0", 2), h2::Head(1),
        h2::Head(1).substr(0, 20),
        h2::Head(1) + h2::Data(1, std::string(1, 0))}) {
    EXPECT_EQ(CodeOfLastWords(bytes), absl::StatusCode::kUnavailable);
  }
}

TEST_P(H2WireTest, StatusBeforeTheConnectionBreaksIsTheStatus) {
  EXPECT_EQ(CodeOfLastWords(h2::Head(1) + h2::Trailers(1, "5")),
            absl::StatusCode::kNotFound);
}

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Errors".
TEST_P(H2WireTest, ResetIsTranslatedInAnyState) {
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

TEST_P(H2WireTest, MetadataBeyondTheLimitIsResourceExhausted) {
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

TEST_P(H2WireTest, MetadataBelowTheLimitIsTaken) {
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
  Call& call = Open(std::move(request));
  peer().Send(frames);
  ASSERT_TRUE(RunUntil([&] { return call.headers || call.end; }));
  ASSERT_TRUE(call.headers);
  EXPECT_EQ(call.headers->size(), 2u);
}

// A client may wait for it before it sends anything.
TEST_P(H2WireTest, AResponseThatBeginsIsToldWithoutMetadataToo) {
  CallRequest request{"/s/m", {}};
  request.metadata_delivery = MetadataDelivery::kDelivered;
  Call& call = Open(std::move(request));
  peer().Send(h2::Head(1));
  ASSERT_TRUE(RunUntil([&] { return call.headers || call.end; }));
  ASSERT_TRUE(call.headers);
  EXPECT_TRUE(call.headers->empty());
  EXPECT_FALSE(call.end);
}

// Whatever comes, in any order and broken anywhere: a status, and no harm.
TEST_P(H2WireTest, NoiseEndsInAStatus) {
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
    Call& call = Open();
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

// --- flow control ---

TEST_P(H2WireTest, ClosedWindowHoldsTheWritePending) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}));
  Call& call = Open();
  call.Write("abc");
  Settle();
  EXPECT_EQ(call.written, 0);
  EXPECT_EQ(peer().Count(NGHTTP2_DATA), 0);
  peer().Send(h2::WindowUpdate(1, 7));
  Settle();
  EXPECT_EQ(call.written, 0);
  EXPECT_EQ(peer().DataOf(1), h2::Framed("abc").substr(0, 7));
  peer().Send(h2::WindowUpdate(1, 1));
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
  Settle();
  EXPECT_EQ(peer().DataOf(1), h2::Framed("abc"));
}

// RFC 9113 section 6.9.2: SETTINGS change the windows of running streams.
TEST_P(H2WireTest, WindowMayBeTakenAwayAndGivenBySettings) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}}));
  Call& call = Open();
  call.Write(std::string(20, 'x'));
  ASSERT_TRUE(RunUntil([&] { return peer().DataOf(1).size() == 10; }));
  peer().Send(h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}));
  Settle();
  EXPECT_EQ(call.written, 0);
  peer().Send(h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100}}));
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
}

TEST_P(H2WireTest, StreamThatIsNotReadStallsNoOther) {
  Call& stalled = Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 1; }));
  Call& other = Open();
  // The whole window of the first.
  std::string answer = h2::Head(1);
  for (int i = 0; i < 4; ++i) {
    answer += h2::Message(1, std::string(16 * 1024 - kMessagePrefixBytes, 'x'));
  }
  peer().Send(answer + h2::Head(3));
  Settle();
  EXPECT_EQ(peer().WindowGiven(1), 0);
  // More than the window of the connection would hold.
  std::int64_t sent = 0;
  const std::int64_t connection_window = peer().WindowGiven(0);
  while (sent < connection_window + (1 << 20)) {
    const std::string message(16 * 1024 - kMessagePrefixBytes, 'y');
    peer().Send(h2::Message(3, message));
    sent += 16 * 1024;
    ASSERT_TRUE(
        RunUntil([&] { return peer().WindowGiven(3) > sent - 40'000; }));
  }
  ASSERT_TRUE(RunUntil([&] {
    return static_cast<std::int64_t>(other.messages.size()) * 16 * 1024 == sent;
  }));
  EXPECT_GT(peer().WindowGiven(0), connection_window);
  EXPECT_EQ(peer().WindowGiven(1), 0);
  stalled.Read();
  ASSERT_TRUE(RunUntil([&] { return peer().WindowGiven(1) > 0; }));
  EXPECT_EQ(stalled.messages.size(), 4u);
}

// A message longer than the window arrives, because its Read opens it.
TEST_P(H2WireTest, ReadOpensTheWindowForItsWholeMessage) {
  Call& call = Open();
  const std::string bytes = h2::Framed(std::string(kMaxAnswerBytes, 'x'));
  peer().Send(h2::Head(1));
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    ASSERT_TRUE(RunUntil([&] {
      return 64 * 1024 + peer().WindowGiven(1) >
             static_cast<std::int64_t>(sent);
    }));
    const std::size_t size = std::min<std::size_t>(
        {16'384, bytes.size() - sent,
         64 * 1024 + static_cast<std::size_t>(peer().WindowGiven(1)) - sent});
    peer().Send(h2::Data(1, bytes.substr(sent, size)));
    sent += size;
  }
  ASSERT_TRUE(RunUntil([&] { return call.messages.size() == 1; }));
}

// --- connections ---

TEST_P(H2WireTest, ServersLimitOfStreamsIsKept) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2}}));
  for (int i = 0; i < 5; ++i) Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 5; }));
  EXPECT_EQ(server_.connections().size(), 3u);
  for (const auto& connection : server_.connections()) {
    EXPECT_LE(connection.Count(NGHTTP2_HEADERS), 2);
  }
  EXPECT_EQ(upstream_->channel_count(), 3u);
}

// RFC 9113 section 5.1.2: what is open above a limit that was lowered goes on.
TEST_P(H2WireTest, ServersLimitOfStreamsMayBeLowered) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 3}}));
  Open();
  Call& second = Open();
  peer(0).Send(h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1}}));
  ASSERT_TRUE(RunUntil([&] { return peer(0).Count(NGHTTP2_SETTINGS) == 3; }));
  Open();  // Elsewhere.
  EXPECT_EQ(peer(0).Count(NGHTTP2_HEADERS), 2);
  EXPECT_EQ(peer(1).Count(NGHTTP2_HEADERS), 1);
  peer(0).Send(h2::Head(3) + h2::Message(3, "a") + h2::Trailers(3));
  ASSERT_TRUE(RunUntil([&] { return second.end.has_value(); }));
  EXPECT_TRUE(second.end->status.ok());
  EXPECT_THAT(second.messages, ElementsAre("a"));
  Open();  // One is open and one is the limit.
  EXPECT_EQ(peer(0).Count(NGHTTP2_HEADERS), 2);
}

TEST_P(H2WireTest, ServerThatTakesNoStreamsIsUnavailable) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}}));
  Call& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(call.end->status), HasSubstr(server_.address()));
  EXPECT_TRUE(upstream_->is_failing());
}

// RFC 9113 section 6.8.
TEST_P(H2WireTest, CallsBelowGoAwayFinishAndNewOnesGoElsewhere) {
  Call& first = Open();
  peer(0).Send(h2::GoAway(1));
  Settle();
  EXPECT_FALSE(first.end);
  Call& second = Open();
  ASSERT_EQ(server_.connections().size(), 2u);
  EXPECT_EQ(peer(1).Count(NGHTTP2_HEADERS), 1);
  peer(0).Send(h2::Head(1) + h2::Message(1, "a") + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return first.end.has_value(); }));
  EXPECT_TRUE(first.end->status.ok());
  EXPECT_THAT(first.messages, ElementsAre("a"));
  EXPECT_TRUE(RunUntil([&] { return peer(0).ended(); }));
  EXPECT_FALSE(second.end);
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// RFC 9113 section 8.7: what a server has not seen may be tried again.
TEST_P(H2WireTest, CallsAboveGoAwayAreTriedAgain) {
  Call& call = Open();
  call.Write("a");
  call.WritesDone();
  ASSERT_TRUE(RunUntil([&] { return peer(0).HalfClosed(1); }));
  peer(0).Send(h2::GoAway(0));
  ASSERT_TRUE(RunUntil([&] {
    return server_.connections().size() == 2 && peer(1).HalfClosed(1);
  }));
  EXPECT_EQ(peer(1).DataOf(1), h2::Framed("a"));
  EXPECT_EQ(call.written, 1);
  peer(1).Send(h2::Head(1) + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_TRUE(call.end->status.ok());
}

TEST_P(H2WireTest, RefusedStreamIsTriedAgainAFewTimes) {
  Call& call = Open();
  for (int id = 1; !call.end && id < 20; id += 2) {
    peer().Send(h2::Reset(id, NGHTTP2_REFUSED_STREAM));
    ASSERT_TRUE(RunUntil([&] {
      return call.end || peer().Count(NGHTTP2_HEADERS, id + 2) == 1;
    }));
  }
  ASSERT_TRUE(call.end);
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_.StreamsOpened(), 3);
}

// A message of which the server's window has let a part go is sent from its
// beginning.
TEST_P(H2WireTest, RefusedStreamSendsAllAgainThatItHadSentInPart) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 20}}));
  Call& call = Open();
  call.Write("first", WriteHint::kMoreFollows);
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
  call.Write("the second, of which some is sent");
  call.WritesDone();
  ASSERT_TRUE(RunUntil([&] { return peer().DataOf(1).size() == 20; }));
  peer().Send(h2::Reset(1, NGHTTP2_REFUSED_STREAM));
  ASSERT_TRUE(RunUntil([&] { return peer().DataOf(3).size() == 20; }));
  peer().Send(h2::WindowUpdate(3, 1000));
  ASSERT_TRUE(RunUntil([&] { return peer().HalfClosed(3); }));
  EXPECT_EQ(
      peer().DataOf(3),
      h2::Framed("first") + h2::Framed("the second, of which some is sent"));
}

TEST_P(H2WireTest, RefusedStreamThatHasSentMuchIsUnavailable) {
  Call& call = Open();
  call.Write(std::string(20'000, 'x'));
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
  peer().Send(h2::Reset(1, NGHTTP2_REFUSED_STREAM));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
}

TEST_P(H2WireTest, AnsweredStreamIsNotTriedAgain) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Reset(1, NGHTTP2_REFUSED_STREAM)),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_.StreamsOpened(), 1);
}

// A connection that greets with GOAWAY is as good as none; it is not tried
// without a pause.
TEST_P(H2WireTest, ServerThatOnlySaysGoAwayIsUnavailable) {
  server_.set_greeting(h2::Settings() + h2::GoAway(0));
  Call& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(server_.connections().size(), 2u);
}

TEST_P(H2WireTest, IdleConnectionAnswersPings) {
  Open().Destroy();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  peer().Send(h2::Frame(NGHTTP2_PING, 0, 0, "12345678"));
  ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == 1; }));
}

TEST_P(H2WireTest, ConnectionThatBrokeIsMadeAnew) {
  Call& first = Open();
  peer().Close();
  ASSERT_TRUE(RunUntil([&] { return first.end.has_value(); }));
  Open();
  EXPECT_EQ(server_.connections().size(), 2u);
}

// There may be thousands of them, and as many sessions that end.
TEST_P(H2WireTest, CallsOfALostConnectionLeaveTimeToOthers) {
  constexpr int kCalls = 3;
  int ended = 0;
  for (int i = 0; i < kCalls; ++i) {
    Open().on_end = [&] {
      ++ended;
      turn_clock_.WorkLong(turn_);
    };
  }
  peer().Close();
  int before = 0;
  ASSERT_TRUE(RunUntil([&] {  // After each handler of the event loop.
    EXPECT_LE(ended - before, 1);
    before = ended;
    return ended == kCalls;
  }));
}

// --- time ---

TEST_P(H2WireTest, DeadlineResetsTheStream) {
  Open();  // Connecting counts as well, and is not what this is about.
  CallRequest request{"/s/m", {}};
  request.timeout = absl::Milliseconds(200);
  Call& call = Open(std::move(request));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(3) >= 0; }));
  EXPECT_EQ(peer().ResetOf(3), NGHTTP2_CANCEL);
}

// "grpc-timeout" is what is left when the head is sent (grpc/grpc
// doc/PROTOCOL-HTTP2.md), not what there was when the call began.
TEST_P(H2WireTest, TimeoutIsWhatIsLeft) {
  server_.set_greeting("");
  CallRequest request{"/s/m", {}};
  request.timeout = absl::Seconds(10);
  Call& call = Start(std::move(request));
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return !server_.connections().empty(); }));
  worker_.restart();
  worker_.run_for(std::chrono::milliseconds(50));
  peer().Send(h2::Settings());
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 1; }));
  for (const auto& frame : peer().frames()) {
    for (const auto& [name, value] : frame.fields) {
      if (name != "grpc-timeout") continue;
      ASSERT_EQ(value.back(), 'u') << value;
      std::int64_t left = 0;
      ASSERT_TRUE(absl::SimpleAtoi(value.substr(0, value.size() - 1), &left));
      EXPECT_LE(left, 9'950'000);
      EXPECT_GT(left, 0);
      return;
    }
  }
  FAIL() << "no grpc-timeout";
}

// A PING that has no ACK when the last call goes is still the question when the
// next one begins: it need not wait until another PING may be sent.
TEST_P(H2WireTest, SilentServerIsLostByTheNextCallAsWell) {
  timing_.ping_after_answer = std::chrono::milliseconds(20);
  timing_.ping_pause = std::chrono::hours(1);
  options_.settings.keepalive_timeout = absl::Milliseconds(200);
  Connect();
  Call& first = Open();
  ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == 1; }));
  first.Destroy();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  Call& second = Open();
  ASSERT_TRUE(RunUntil([&] { return second.end.has_value(); }));
  EXPECT_EQ(second.end->status.message(),
            "the upstream does not answer: keepalive");
  EXPECT_EQ(peer().Count(NGHTTP2_PING), 1);
}

// Pings are for connections with calls (grpc/grpc doc/keepalive.md), and what
// waits to send one is no work without them.
TEST_P(H2WireTest, KeepaliveIsNoWorkWithoutCalls) {
  options_.settings.keepalive_interval = absl::Hours(1);
  Connect();
  Open().Destroy();
  server_.Close();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  peer().Close();
  upstream_.reset();
  worker_.restart();
  worker_.run_for(std::chrono::seconds(20));
  EXPECT_TRUE(worker_.stopped());
}

// By default there are pings as well, no more than gRPC's servers take by
// default (gRFC A8).
TEST_P(H2WireTest, SilentServerIsPingedByDefaultAndNotTooOften) {
  timing_.ping_after_answer = std::chrono::milliseconds(20);
  timing_.ping_pause = std::chrono::hours(1);
  options_.settings.keepalive_timeout = absl::Seconds(2);
  Connect();
  Call& call = Open();
  const std::string ack =
      h2::Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string(8, 0));
  ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == 1; }));
  peer().Send(ack);
  worker_.restart();
  worker_.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(peer().Count(NGHTTP2_PING), 1);
  peer().Send(h2::Head(1) + h2::Message(1, "a"));
  ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == 2; }));
  EXPECT_FALSE(call.end);
}

TEST_P(H2WireTest, ServerThatAnswersNoPingIsLostByDefault) {
  timing_.ping_after_answer = std::chrono::milliseconds(20);
  options_.settings.keepalive_timeout = absl::Milliseconds(20);
  Connect();
  Call& call = Open();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(call.end->status.message(),
            "the upstream does not answer: keepalive");
}

TEST_P(H2WireTest, AnsweredPingKeepsTheConnection) {
  options_.settings.keepalive_interval = absl::Milliseconds(20);
  options_.settings.keepalive_timeout = absl::Seconds(1);
  Connect();
  Call& call = Open();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == i; }));
    peer().Send(
        h2::Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string(8, 0)));
  }
  EXPECT_FALSE(call.end);
}

}  // namespace
}  // namespace headgate
