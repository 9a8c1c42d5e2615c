// How the HTTP/2 transport goes on when servers refuse streams, say GOAWAY,
// break off or are silent. With TLS and without.

#include <chrono>
#include <string>

#include <gmock/gmock.h>

#include "gateway/base/status.h"
#include "tests/upstream/h2/wires_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class H2ConnectionsTest : public H2WiresFixture {};

INSTANTIATE_TEST_SUITE_P(Wires, H2ConnectionsTest, BothWires(), NameOfWire);

TEST_P(H2ConnectionsTest, ServersLimitOfStreamsIsKept) {
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
TEST_P(H2ConnectionsTest, ServersLimitOfStreamsMayBeLowered) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 3}}));
  Open();
  WireCall& second = Open();
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

TEST_P(H2ConnectionsTest, ServerThatTakesNoStreamsIsUnavailable) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}}));
  WireCall& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(call.end->status), HasSubstr(server_.address()));
  EXPECT_TRUE(upstream_->is_failing());
}

// RFC 9113 section 6.8.
TEST_P(H2ConnectionsTest, CallsBelowGoAwayFinishAndNewOnesGoElsewhere) {
  WireCall& first = Open();
  peer(0).Send(h2::GoAway(1));
  ASSERT_TRUE(RunUntil([&] { return first.draining; }));
  EXPECT_FALSE(first.end);
  WireCall& second = Open();
  ASSERT_EQ(server_.connections().size(), 2u);
  EXPECT_EQ(peer(1).Count(NGHTTP2_HEADERS), 1);
  peer(0).Send(h2::Head(1) + h2::Message(1, "a") + h2::Trailers(1));
  ASSERT_TRUE(RunUntil([&] { return first.end.has_value(); }));
  EXPECT_TRUE(first.end->status.ok());
  EXPECT_THAT(first.messages, ElementsAre("a"));
  EXPECT_TRUE(RunUntil([&] { return peer(0).ended(); }));
  EXPECT_FALSE(second.end);
  EXPECT_FALSE(second.draining);
  EXPECT_EQ(upstream_->channel_count(), 1u);
}

// RFC 9113 section 8.7: what a server has not seen may be tried again.
TEST_P(H2ConnectionsTest, CallsAboveGoAwayAreTriedAgain) {
  WireCall& call = Open();
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

TEST_P(H2ConnectionsTest, RefusedStreamIsTriedAgainAFewTimes) {
  WireCall& call = Open();
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
TEST_P(H2ConnectionsTest, RefusedStreamSendsAllAgainThatItHadSentInPart) {
  server_.set_greeting(
      h2::Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 20}}));
  WireCall& call = Open();
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

TEST_P(H2ConnectionsTest, RefusedStreamThatHasSentMuchIsUnavailable) {
  WireCall& call = Open();
  call.Write(std::string(20'000, 'x'));
  ASSERT_TRUE(RunUntil([&] { return call.written == 1; }));
  peer().Send(h2::Reset(1, NGHTTP2_REFUSED_STREAM));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
}

TEST_P(H2ConnectionsTest, AnsweredStreamIsNotTriedAgain) {
  EXPECT_EQ(CodeOfAnswer(h2::Head(1) + h2::Reset(1, NGHTTP2_REFUSED_STREAM)),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_.StreamsOpened(), 1);
}

// A connection that greets with GOAWAY is as good as none; it is not tried
// without a pause.
TEST_P(H2ConnectionsTest, ServerThatOnlySaysGoAwayIsUnavailable) {
  server_.set_greeting(h2::Settings() + h2::GoAway(0));
  WireCall& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(server_.connections().size(), 2u);
}

TEST_P(H2ConnectionsTest, IdleConnectionAnswersPings) {
  Open().Destroy();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  peer().Send(h2::Frame(NGHTTP2_PING, 0, 0, "12345678"));
  ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == 1; }));
}

TEST_P(H2ConnectionsTest, ConnectionThatBrokeIsMadeAnew) {
  WireCall& first = Open();
  peer().Close();
  ASSERT_TRUE(RunUntil([&] { return first.end.has_value(); }));
  Open();
  EXPECT_EQ(server_.connections().size(), 2u);
}

// There may be thousands of them, and as many sessions that end.
TEST_P(H2ConnectionsTest, CallsOfALostConnectionLeaveTimeToOthers) {
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

TEST_P(H2ConnectionsTest, DeadlineResetsTheStream) {
  Open();  // Connecting counts as well, and is not what this is about.
  CallRequest request{"/s/m", {}};
  request.timeout = absl::Milliseconds(200);
  WireCall& call = Open(std::move(request));
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(3) >= 0; }));
  EXPECT_EQ(peer().ResetOf(3), NGHTTP2_CANCEL);
}

// "grpc-timeout" is what is left when the head is sent (grpc/grpc
// doc/PROTOCOL-HTTP2.md), not what there was when the call began.
TEST_P(H2ConnectionsTest, TimeoutIsWhatIsLeft) {
  server_.set_greeting("");
  CallRequest request{"/s/m", {}};
  request.timeout = absl::Seconds(10);
  WireCall& call = Start(std::move(request));
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
TEST_P(H2ConnectionsTest, SilentServerIsLostByTheNextCallAsWell) {
  timing_.ping_after_answer = std::chrono::milliseconds(20);
  timing_.ping_pause = std::chrono::hours(1);
  options_.settings.keepalive_timeout = absl::Milliseconds(200);
  Connect();
  WireCall& first = Open();
  ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == 1; }));
  first.Destroy();
  ASSERT_TRUE(RunUntil([&] { return peer().ResetOf(1) >= 0; }));
  WireCall& second = Open();
  ASSERT_TRUE(RunUntil([&] { return second.end.has_value(); }));
  EXPECT_EQ(second.end->status.message(),
            "the upstream does not answer: keepalive");
  EXPECT_EQ(peer().Count(NGHTTP2_PING), 1);
}

// Pings are for connections with calls (grpc/grpc doc/keepalive.md), and what
// waits to send one is no work without them.
TEST_P(H2ConnectionsTest, KeepaliveIsNoWorkWithoutCalls) {
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
TEST_P(H2ConnectionsTest, SilentServerIsPingedByDefaultAndNotTooOften) {
  timing_.ping_after_answer = std::chrono::milliseconds(20);
  timing_.ping_pause = std::chrono::hours(1);
  options_.settings.keepalive_timeout = absl::Seconds(2);
  Connect();
  WireCall& call = Open();
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

TEST_P(H2ConnectionsTest, ServerThatAnswersNoPingIsLostByDefault) {
  timing_.ping_after_answer = std::chrono::milliseconds(20);
  options_.settings.keepalive_timeout = absl::Milliseconds(20);
  Connect();
  WireCall& call = Open();
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(call.end->status.message(),
            "the upstream does not answer: keepalive");
}

TEST_P(H2ConnectionsTest, AnsweredPingKeepsTheConnection) {
  options_.settings.keepalive_interval = absl::Milliseconds(20);
  options_.settings.keepalive_timeout = absl::Seconds(1);
  Connect();
  WireCall& call = Open();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(RunUntil([&] { return peer().Count(NGHTTP2_PING) == i; }));
    peer().Send(
        h2::Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string(8, 0)));
  }
  EXPECT_FALSE(call.end);
}

}  // namespace
}  // namespace headgate
