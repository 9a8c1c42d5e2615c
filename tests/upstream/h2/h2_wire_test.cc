// What the HTTP/2 transport says on the wire. With TLS and without.

#include <string>

#include <gmock/gmock.h>

#include "gateway/base/gzip.h"
#include "tests/upstream/h2/wires_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

class H2WireTest : public H2WiresFixture {};

INSTANTIATE_TEST_SUITE_P(Wires, H2WireTest, BothWires(), NameOfWire);

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
  WireCall& other = Open();
  const std::size_t base = ListBytes(peer().frames().back());
  ASSERT_LT(base, 900u);
  WireCall& longer = Start({"/s/m", {{"a", std::string(968 - base, 'x')}}});
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
  WireCall& none = Start();
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
  WireCall& call = Start();
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
  WireCall& next = Open();
  Settle();
  EXPECT_EQ(server_.StreamsOpened(), 2);
  EXPECT_EQ(peer().Count(NGHTTP2_RST_STREAM), 0);
  EXPECT_FALSE(next.end);
}

// RFC 9113 section 8.1: a server may answer before it has all of the request.
TEST_P(H2WireTest, StatusBeforeTheHalfCloseEndsTheStreamWithoutError) {
  WireCall& call = Open();
  peer().Send(h2::Head(1) + h2::Trailers(1, "5"));
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  EXPECT_EQ(peer().ResetOf(1), NGHTTP2_NO_ERROR);
  ASSERT_TRUE(call.end);
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kNotFound);
  call.Write("unheard");  // After OnDone: nothing happens.
}

TEST_P(H2WireTest, EndedStreamIsNotReset) {
  WireCall& call = Open();
  call.WritesDone();
  ASSERT_TRUE(RunUntil([&] { return peer().HalfClosed(1); }));
  peer().Send(h2::Head(1) + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  call.Destroy();
  Settle();
  EXPECT_EQ(peer().ResetOf(1), -1);
}

// --- flow control ---

TEST_P(H2WireTest, ClosedWindowHoldsTheWritePending) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}));
  WireCall& call = Open();
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
  WireCall& call = Open();
  call.Write(std::string(20, 'x'));
  ASSERT_TRUE(RunUntil([&] { return peer().DataOf(1).size() == 10; }));
  peer().Send(h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}));
  Settle();
  EXPECT_EQ(call.written, 0);
  peer().Send(h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100}}));
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
}

TEST_P(H2WireTest, StreamThatIsNotReadStallsNoOther) {
  WireCall& stalled = Start();
  ASSERT_TRUE(RunUntil([&] { return server_.StreamsOpened() == 1; }));
  WireCall& other = Open();
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
  WireCall& call = Open();
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

}  // namespace
}  // namespace headgate
