// A client's session and a server's, one in front of the other in memory.

#include "gateway/h2/session.h"

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/h2/peers.h"

namespace headgate::h2 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What one sends comes to the other in pieces of so many bytes; 0: as it is.
class SessionTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  SessionTest() {
    server_options_.role = Role::kServer;
    server_options_.flood = ServerFloodLimits();
  }
  void Make() {
    client_ = std::make_unique<Session>(client_options_, nullptr, now_);
    server_ = std::make_unique<Session>(server_options_, &acceptor_, now_);
    Exchange();
  }

  // Until neither has anything to say; how many bytes the client has sent.
  std::size_t Exchange() {
    std::size_t sent = 0;
    for (;;) {
      std::string to_server, to_client;
      client_status_.Update(client_->Send(1 << 20, to_server));
      sent += to_server.size();
      Give(to_server, *server_, server_status_);
      server_status_.Update(server_->Send(1 << 20, to_client));
      Give(to_client, *client_, client_status_);
      if (to_server.empty() && to_client.empty()) return sent;
    }
  }
  void Give(absl::string_view bytes, Session& to, absl::Status& status) {
    const std::size_t piece = piece_ == 0 ? bytes.size() : piece_;
    while (!bytes.empty()) {
      to.OnWireBytes(std::min(piece, bytes.size()));
      status.Update(to.Receive(bytes.substr(0, piece), now_));
      status.Update(to.CheckFlood(now_));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    }
  }
  LoggedStream& served(std::size_t i = 0) { return acceptor_.streams.at(i); }
  Log TakeLog() { return std::exchange(log_, {}); }

  std::size_t piece_ = GetParam();
  Time now_{seconds(1000)};
  Log log_;
  SessionOptions client_options_;
  SessionOptions server_options_;
  absl::Status client_status_, server_status_;
  std::unique_ptr<Session> client_, server_;
  LoggedAcceptor acceptor_{log_};
};

INSTANTIATE_TEST_SUITE_P(Pieces, SessionTest, ::testing::Values(0, 1, 7),
                         [](const auto& piece) {
                           return piece.param == 0
                                      ? std::string("Whole")
                                      : absl::StrCat("By", piece.param);
                         });

TEST_P(SessionTest, CallIsHeadMessagesAndTrailersBothWays) {
  Make();
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  call.Put("ask", /*last=*/true);
  Exchange();
  EXPECT_THAT(TakeLog(),
              ElementsAre("s0 field :method=POST", "s0 field :scheme=http",
                          "s0 field :path=/s/m", "s0 field :authority=h",
                          "s0 head", "s0 data", "s0 end"));
  EXPECT_EQ(served().received(), "ask");
  server_->Respond(served(), Views({{":status", "200"}}), /*has_body=*/true);
  served().Put("response");
  Exchange();
  EXPECT_THAT(TakeLog(),
              ElementsAre("c field :status=200", "c head", "c data"));
  served().EndWith({{"grpc-status", "0"}});
  Exchange();
  EXPECT_THAT(TakeLog(),
              ElementsAre("s0 gone: reset NO_ERROR", "c field grpc-status=0",
                          "c head, end", "c gone: reset NO_ERROR"));
  EXPECT_EQ(call.received(), "response");
  EXPECT_EQ(client_->stream_count(), 0u);
  EXPECT_EQ(server_->stream_count(), 0u);
  EXPECT_TRUE(client_status_.ok() && server_status_.ok());
}

// A body has rests of any length, and ends behind one, or with trailers.
TEST_P(SessionTest, BodiesGoOnAfterARest) {
  Make();
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  Exchange();
  server_->Respond(served(), Views({{":status", "200"}}), /*has_body=*/true);
  for (const std::string text : {"a", "b", "c"}) {
    call.Put(text);
    Exchange();
    served().Put(text);
    Exchange();
  }
  EXPECT_EQ(served().received(), "abc");
  EXPECT_EQ(call.received(), "abc");
  TakeLog();
  call.Put("", /*last=*/true);
  Exchange();
  EXPECT_THAT(TakeLog(), ElementsAre("s0 end"));
  served().EndWith({{"grpc-status", "0"}});
  Exchange();
  EXPECT_THAT(TakeLog(),
              ElementsAre("s0 gone: reset NO_ERROR", "c field grpc-status=0",
                          "c head, end", "c gone: reset NO_ERROR"));
}

// What is put while the last of the data before it is being sent.
TEST_P(SessionTest, BodiesGoOnWithinTheirFrames) {
  Make();
  LoggedStream call("c", log_);
  call.follow_ups = {"b", "c"};
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  call.Put("a");
  Exchange();
  EXPECT_EQ(served().received(), "abc");
  call.follow_ups = {"e"};
  call.Put("d");
  Exchange();
  EXPECT_EQ(served().received(), "abcde");
}

TEST_P(SessionTest, ResponseMayBeAHeadAlone) {
  Make();
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  call.Put("", /*last=*/true);
  Exchange();
  TakeLog();
  server_->Respond(served(), Views({{":status", "404"}}), /*has_body=*/false);
  Exchange();
  EXPECT_THAT(TakeLog(),
              ElementsAre("s0 gone: reset NO_ERROR", "c field :status=404",
                          "c head, end", "c gone: reset NO_ERROR"));
}

// A tunnel of RFC 8441: bytes both ways behind the heads.
TEST_P(SessionTest, ExtendedConnectIsAStreamOfBytes) {
  server_options_.connect_protocol = true;
  Make();
  EXPECT_TRUE(client_->peer_connect_protocol());
  LoggedStream tunnel("c", log_);
  ASSERT_TRUE(client_->Open(tunnel, Views({{":method", "CONNECT"},
                                           {":protocol", "websocket"},
                                           {":scheme", "https"},
                                           {":path", "/s/m"},
                                           {":authority", "h"}})));
  Exchange();
  EXPECT_THAT(TakeLog(), ::testing::Contains("s0 field :protocol=websocket"));
  server_->Respond(served(), Views({{":status", "200"}}), /*has_body=*/true);
  served().Put("down");
  tunnel.Put("up");
  Exchange();
  EXPECT_EQ(served().received(), "up");
  EXPECT_EQ(tunnel.received(), "down");
  EXPECT_EQ(server_->stream_count(), 1u);
}

TEST_P(SessionTest, ExtendedConnectNeedsTheServersSetting) {
  Make();
  EXPECT_FALSE(client_->peer_connect_protocol());
  LoggedStream tunnel("c", log_);
  ASSERT_TRUE(client_->Open(tunnel, Views({{":method", "CONNECT"},
                                           {":protocol", "websocket"},
                                           {":scheme", "https"},
                                           {":path", "/"},
                                           {":authority", "h"}})));
  Exchange();
  EXPECT_THAT(log_, ::testing::Contains("c gone: reset PROTOCOL_ERROR"));
}

TEST_P(SessionTest, ResetsAreTold) {
  Make();
  auto call = std::make_unique<LoggedStream>("c", log_);
  ASSERT_TRUE(client_->Open(*call, Views(kRequest)));
  Exchange();
  TakeLog();
  call.reset();  // With CANCEL.
  Exchange();
  EXPECT_THAT(TakeLog(), ElementsAre("s0 gone: reset CANCEL"));
  LoggedStream other("c", log_);
  ASSERT_TRUE(client_->Open(other, Views(kRequest)));
  Exchange();
  TakeLog();
  server_->Reset(served(1), kEnhanceYourCalm);
  Exchange();
  EXPECT_THAT(TakeLog(), ElementsAre("c gone: reset ENHANCE_YOUR_CALM"));
}

// A server that has said all does not wait for the rest of the request.
TEST_P(SessionTest, FinishResetsTheSideThatIsOpen) {
  Make();
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  Exchange();
  TakeLog();
  client_->Finish(call);
  Exchange();
  EXPECT_THAT(TakeLog(), ElementsAre("s0 gone: reset NO_ERROR"));
}

TEST_P(SessionTest, StreamsAboveTheLimitAreRefused) {
  server_options_.max_streams = 1;
  Make();
  EXPECT_EQ(client_->peer_max_streams(), 1u);
  LoggedStream call("c", log_), early("d", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  ASSERT_TRUE(client_->Open(early, Views(kRequest)));
  Exchange();
  EXPECT_EQ(acceptor_.streams.size(), 1u);  // nghttp2 holds the other back.
  call.Put("", /*last=*/true);
  server_->Respond(served(), Views({{":status", "200"}}), /*has_body=*/false);
  Exchange();
  EXPECT_EQ(acceptor_.streams.size(), 2u);
}

TEST_P(SessionTest, AcceptorMayRefuse) {
  Make();
  acceptor_.refuses = true;
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  Exchange();
  EXPECT_THAT(log_, ElementsAre("c gone: refused REFUSED_STREAM"));
  EXPECT_TRUE(server_status_.ok());
}

// --- windows ---

TEST_P(SessionTest, StreamThatIsNotConsumedStallsNoOther) {
  Make();
  LoggedStream stalled("c", log_), other("d", log_);
  ASSERT_TRUE(client_->Open(stalled, Views(kRequest)));
  ASSERT_TRUE(client_->Open(other, Views(kRequest)));
  Exchange();
  served(0).consumes = false;
  stalled.Put(std::string(100'000, 'x'));
  Exchange();
  EXPECT_EQ(served(0).received().size(), 64u * 1024);
  other.Put(std::string(300'000, 'y'));
  Exchange();
  EXPECT_EQ(served(1).received().size(), 300'000u);
  (void)server_->Consume(served(0), served(0).received().size());
  Exchange();
  EXPECT_EQ(served(0).received().size(), 100'000u);
}

// Not even by all of the connection's window.
TEST_P(SessionTest, StreamsThatAreNotConsumedLeaveTheConnectionsWindowAlone) {
  piece_ = 0;  // There is much.
  Make();
  std::deque<LoggedStream> stalled;
  for (std::size_t i = 0; i < 70; ++i) {  // 4.4 MiB, of 4.
    stalled.emplace_back("c", log_);
    ASSERT_TRUE(client_->Open(stalled.back(), Views(kRequest)));
    Exchange();
    served(i).consumes = false;
    stalled.back().Put(std::string(64 * 1024, 'x'));
    Exchange();
    ASSERT_EQ(served(i).received().size(), 64u * 1024) << i;
  }
}

// The connection's window as well: what came for a stream that is gone is given
// back, or it would be lost for good.
TEST_P(SessionTest, ConnectionsWindowOutlivesStreamsThatAreGone) {
  piece_ = 0;  // There is much.
  Make();
  for (int i = 0; i < 100; ++i) {  // 6.4 MB; the connection's window is 4 MiB.
    LoggedStream call("c", log_);
    ASSERT_TRUE(client_->Open(call, Views(kRequest)));
    Exchange();
    served(static_cast<std::size_t>(i)).consumes = false;
    call.Put(std::string(64 * 1024, 'x'));
    std::string bytes;
    ASSERT_TRUE(client_->Send(1 << 20, bytes).ok());
    // It is on its way when the stream goes.
    server_->Reset(served(static_cast<std::size_t>(i)), kCancel);
    Give(bytes, *server_, server_status_);
    Exchange();
    ASSERT_TRUE(server_status_.ok()) << server_status_;
  }
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  call.Put(std::string(64 * 1024, 'x'));
  Exchange();
  EXPECT_EQ(acceptor_.streams.back().received().size(), 64u * 1024);
}

// --- header lists ---

TEST_P(SessionTest, HeaderListAboveTheLimitEndsItsStreamAlone) {
  server_options_.max_header_list_bytes = 1000;
  Make();
  EXPECT_EQ(client_->peer_max_header_list_bytes(), 1000u);
  LoggedStream other("d", log_), call("c", log_);
  ASSERT_TRUE(client_->Open(other, Views(kRequest)));
  Fields many = kRequest;
  for (int i = 0; i < 40; ++i) many.emplace_back("x", absl::StrCat("v", i));
  ASSERT_TRUE(client_->Open(call, Views(many)));
  acceptor_.logs_fields = false;
  Exchange();
  EXPECT_THAT(log_, ::testing::Contains("s1 gone: list too long NO_ERROR"));
  EXPECT_THAT(log_, ::testing::Contains("c gone: reset INTERNAL_ERROR"));
  EXPECT_GT(served(1).ends().at(0).bytes, 1000u);
  EXPECT_TRUE(server_status_.ok()) << server_status_;
  // The table has what was behind the limit, so that this can be decoded.
  TakeLog();
  LoggedStream next("e", log_);
  acceptor_.logs_fields = true;
  ASSERT_TRUE(client_->Open(next, Views({{":method", "POST"},
                                         {":scheme", "http"},
                                         {":path", "/s/m"},
                                         {":authority", "h"},
                                         {"x", "v39"}})));
  Exchange();
  EXPECT_THAT(log_, ::testing::Contains("s2 field x=v39"));
}

// --- the end ---

TEST_P(SessionTest, DrainTakesWhatIsOnItsWayAndNoMore) {
  Make();
  LoggedStream first("c", log_), crossing("d", log_), late("e", log_);
  ASSERT_TRUE(client_->Open(first, Views(kRequest)));
  Exchange();
  server_->Drain(now_);
  ASSERT_TRUE(client_->Open(crossing, Views(kRequest)));
  std::string to_server, to_client;
  ASSERT_TRUE(client_->Send(1 << 20, to_server).ok());
  ASSERT_TRUE(server_->Send(1 << 20, to_client).ok());
  Give(to_client, *client_, client_status_);
  EXPECT_TRUE(client_->goaway_came());
  EXPECT_EQ(client_->goaway_text(), "NO_ERROR ");
  Give(to_server, *server_, server_status_);
  Exchange();
  EXPECT_EQ(server_->stream_count(), 2u);
  EXPECT_FALSE(client_->Open(late, Views(kRequest)) && false);
  Exchange();
  EXPECT_EQ(acceptor_.streams.size(), 2u);
  for (LoggedStream* call : {&first, &crossing}) call->Put("", /*last=*/true);
  for (LoggedStream& stream : acceptor_.streams) {
    server_->Respond(stream, Views({{":status", "200"}}), /*has_body=*/false);
  }
  Exchange();
  EXPECT_THAT(log_, ::testing::Contains("d gone: reset NO_ERROR"));
  EXPECT_TRUE(server_->is_done());
}

TEST_P(SessionTest, DrainDoesNotWaitForASilentClient) {
  Make();
  server_->Drain(now_);
  std::string first, second;
  ASSERT_TRUE(server_->Send(1 << 20, first).ok());
  server_->OnTime(now_ += milliseconds(999));
  ASSERT_TRUE(server_->Send(1 << 20, second).ok());
  EXPECT_THAT(second, IsEmpty());
  server_->OnTime(now_ += milliseconds(1));
  ASSERT_TRUE(server_->Send(1 << 20, second).ok());
  EXPECT_EQ(second, GoAway(0));
}

TEST_P(SessionTest, TerminateIsTheLastWord) {
  Make();
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  Exchange();
  TakeLog();
  client_->Terminate(kNoError);
  client_->DetachAll();
  Exchange();
  EXPECT_TRUE(client_->is_done());
  EXPECT_TRUE(server_->goaway_came());
}

TEST_P(SessionTest, DetachedStreamsHearNothing) {
  Make();
  LoggedStream call("c", log_);
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  Exchange();
  EXPECT_THAT(client_->DetachAll(), ElementsAre(&call));
  EXPECT_EQ(call.session(), nullptr);
  TakeLog();
  server_->Respond(served(), Views({{":status", "200"}}), /*has_body=*/false);
  Exchange();
  EXPECT_THAT(TakeLog(), ::testing::Each(::testing::StartsWith("s0")));
}

// --- time ---

// A client that opens no window holds a response; not for ever.
TEST_P(SessionTest, StalledStreamIsGivenUp) {
  server_options_.stall_timeout = seconds(30);
  Make();
  LoggedStream call("c", log_), other("d", log_);
  call.consumes = false;
  ASSERT_TRUE(client_->Open(call, Views(kRequest)));
  ASSERT_TRUE(client_->Open(other, Views(kRequest)));
  Exchange();
  for (LoggedStream& stream : acceptor_.streams) {
    server_->Respond(stream, Views({{":status", "200"}}), /*has_body=*/true);
  }
  served(0).Put(std::string(200'000, 'x'));
  Exchange();
  TakeLog();
  server_->OnTime(now_);
  server_->OnTime(now_ += seconds(29));
  // Some is taken: it starts again.
  (void)client_->Consume(call, 40'000);
  Exchange();
  EXPECT_GT(served(0).unsent(), 0u);
  server_->OnTime(now_ += seconds(1));
  server_->OnTime(now_ += seconds(29));
  EXPECT_THAT(TakeLog(), IsEmpty());
  server_->OnTime(now_ += seconds(1));
  Exchange();
  EXPECT_THAT(TakeLog(), ElementsAre("s0 gone: stalled NO_ERROR",
                                     "c gone: reset ENHANCE_YOUR_CALM"));
  EXPECT_EQ(server_->stream_count(), 1u);  // The other had nothing to send.
}

}  // namespace
}  // namespace headgate::h2
