#include "tests/net/exchange_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Cause = TransportEnd::Cause;

class HttpLifeTest : public ExchangeTest {
 protected:
  // The upstream's rules are still to come.
  void Forget() { host_->rules_ = absl::UnavailableError("not known yet"); }
  void Tell(absl::StatusOr<SchemaSnapshot> snapshot) {
    ASSERT_TRUE(Until([&] { return host_->asked_ != nullptr; }));
    const auto callback = std::move(host_->asked_);
    callback(snapshot);
  }
  void TellRules() {
    const auto rules = ApiRules();
    Tell(SchemaSnapshot{rules->schema(), rules});
  }
};

// --- the client leaves ---

TEST_F(HttpLifeTest, ClientThatLeavesCancelsTheCallAtOnce) {
  for (const bool reset : {false, true}) {
    log_.clear();
    client_ = TcpSocket(io_.get_executor());
    Connect();
    Begin(Get("/api/things/a"));
    if (reset) {
      client_.set_option(boost::asio::socket_base::linger(true, 0));
    }
    client_.close();
    ASSERT_TRUE(UntilEnded());
    EXPECT_THAT(log_,
                ElementsAre("start /p.S/Get", "got ", "closed lost", "gone"));
  }
}

TEST_F(HttpLifeTest, ClientThatLeavesWithinItsBodyCancelsTheCall) {
  Connect();
  Begin(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_THAT(log_,
              ElementsAre("start /p.S/Get", "got ab", "closed lost", "gone"));
}

TEST_F(HttpLifeTest, ClientThatLeavesAmongTheAnswersCancelsTheCall) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  Piece("{}");
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_THAT(log_, Contains("closed lost"));
}

// Also when it has sent its next request already.
TEST_F(HttpLifeTest, ClientThatLeavesBehindAPipelinedRequestCancelsTheCall) {
  Connect();
  Begin(Get("/api/things/a") + Get("/api/things/b"));
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_THAT(sessions_, ::testing::SizeIs(1));
  EXPECT_THAT(log_, Contains("closed lost"));
}

// The last of an answer still reaches who has only stopped sending.
TEST_F(HttpLifeTest, AnswerOnItsWaySurvivesTheEndOfTheClientsSide) {
  Connect();
  Begin(Get("/api/things/a"));
  Piece("{}");
  session().End(EndingOf(absl::OkStatus()));
  client_.shutdown(TcpSocket::shutdown_send);
  EXPECT_EQ(ReceiveAnswer().second, "{}");
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().cause, Cause::kClosedByGateway);
}

TEST_F(HttpLifeTest, ClientThatTakesNothingIsCutOff) {
  Connect(4096);
  Begin(Get("/api/things/a:watch"));
  session().Respond(std::string(1 << 20, 'x'));
  Settle();
  Tick(absl::ZeroDuration());
  Tick(settings_.send_timeout - absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Receive();  // It takes something.
  Settle();
  Tick(absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Settle();
  Tick(absl::ZeroDuration());
  Tick(settings_.send_timeout);
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_THAT(log_, Contains("closed send timeout"));
}

// --- the gateway stops ---

TEST_F(HttpLifeTest, DrainEndsAnExchangeWithItsStatus) {
  Connect();
  Begin(Get("/api/things/a"));
  Drain();
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 503 "),
                          HasSubstr("\r\nRetry-After: 5\r\n"),
                          HasSubstr("\r\nConnection: close\r\n")));
  EXPECT_EQ(body, R"({"code":14})");
  ExpectEnd();
}

TEST_F(HttpLifeTest, DrainEndsAStreamWithALastLine) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  Piece("{}");
  ReceiveHead();
  ExpectChunk("{}\n");
  Drain();
  ExpectChunk("{\"code\":14}\n");
  Expect("0\r\n\r\n");
  ExpectEnd();
}

TEST_F(HttpLifeTest, DrainClosesIdleConnectionsAtOnce) {
  Connect();
  ExpectReusable();
  Drain();
  EXPECT_TRUE(host_->connections_.empty());
  ExpectEnd();
}

// An answer that promised more than the draining gateway keeps.
TEST_F(HttpLifeTest, DrainBehindTheHeadStillClosesTheConnection) {
  Connect();
  Begin(Get("/api/things/a:watch"));
  Piece("{}");
  EXPECT_THAT(ReceiveHead(), Not(HasSubstr("Connection")));
  ExpectChunk("{}\n");
  session().ends_at_drain_ = false;
  Drain();
  session().End(EndingOf(absl::OkStatus()));
  Expect("0\r\n\r\n");
  ExpectEnd();
}

TEST_F(HttpLifeTest, AbortEndsEverything) {
  Connect();
  Begin(Get("/api/things/a"));
  Abort();
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_THAT(log_, Contains("closed aborted"));
  EXPECT_THAT(host_->ended_, ::testing::SizeIs(1));
}

// --- the upstream is still asked for its rules ---

TEST_F(HttpLifeTest, RequestWaitsForTheRules) {
  Forget();
  Connect();
  Send(Post("/api/things/a", "{}"));
  TellRules();
  ASSERT_TRUE(Until([&] { return log_.back() == "got "; }));
  EXPECT_THAT(log_, ElementsAre("start /p.S/Get", "got {}", "got "));
  Answer("{}");
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpLifeTest, WithoutRulesTheUpstreamIsUnavailable) {
  Forget();
  Connect();
  Send(Get("/api/things/a"));
  Tell(absl::UnavailableError("nobody is there"));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 503 "),
                          HasSubstr("\r\nRetry-After: 5\r\n")));
  EXPECT_EQ(body, "{\"code\":14,\"message\":\"nobody is there\"}\n");
  host_->rules_ = ApiRules();
  ExpectReusable();
}

TEST_F(HttpLifeTest, ClientThatLeavesIsNotLookedUpFor) {
  Forget();
  Connect();
  Send(Get("/api/things/a"));
  ASSERT_TRUE(Until([&] { return host_->asked_ != nullptr; }));
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(host_->asked_, nullptr);
  EXPECT_EQ(host_->admitted_, 0);
}

TEST_F(HttpLifeTest, DrainAnswersWhoWaitsForTheRules) {
  Forget();
  Connect();
  Send(Get("/api/things/a"));
  ASSERT_TRUE(Until([&] { return host_->asked_ != nullptr; }));
  Drain();
  EXPECT_EQ(host_->asked_, nullptr);
  EXPECT_THAT(ReceiveAnswer().first,
              AllOf(StartsWith("HTTP/1.1 503 "),
                    HasSubstr("\r\nConnection: close\r\n")));
  ExpectEnd();
}

TEST_F(HttpLifeTest, AbortGivesTheLookUpUp) {
  Forget();
  Connect();
  Send(Get("/api/things/a"));
  ASSERT_TRUE(Until([&] { return host_->asked_ != nullptr; }));
  Abort();
  EXPECT_EQ(host_->asked_, nullptr);
  EXPECT_TRUE(host_->connections_.empty());
}

TEST_F(HttpLifeTest, WebSocketWaitsForTheRules) {
  Forget();
  host_->open_ = nullptr;
  Connect();
  Send(Request("/api/things:talk"));
  TellRules();
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 101 "));
  ASSERT_TRUE(Until([&] { return !host_->requests_.empty(); }));
  const SessionRequest& request = host_->requests_[0];
  EXPECT_EQ(request.method, "/p.S/Talk");
  EXPECT_EQ(request.codec, &kJsonDialect);
}

// RFC 6455 section 4.1, also while the rules are asked for.
TEST_F(HttpLifeTest, WebSocketThatDoesNotWaitIsRefused) {
  Forget();
  Connect();
  Send(Request("/api/things:talk"));
  ASSERT_TRUE(Until([&] { return host_->asked_ != nullptr; }));
  Send(Frame(kText, "early"));
  Settle();
  TellRules();
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 400 "));
  Expect("{\"code\":3,\"message\":\"data before");
  EXPECT_EQ(host_->admitted_, 0);
}

TEST_F(HttpLifeTest, WebSocketThatNoRuleIsForIsRefused) {
  Forget();
  Connect();
  Send(Request("/api/nothing"));
  TellRules();
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 404 "));
  Expect("{\"code\":5");
}

// --- a session of the gateway's own ---

// The state machine of WebSockets, over HTTP: what it tells fits together.
TEST_F(HttpLifeTest, GatewaysSessionEndsAnExchangeWhoseMethodIsUnknown) {
  host_->open_ = nullptr;
  Connect();
  Send(Get("/api/things/a"));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 501 "));
  EXPECT_THAT(body, HasSubstr("\"code\":12"));
  ASSERT_TRUE(Until([&] { return !host_->ended_.empty(); }));
  EXPECT_EQ(report().cause, Cause::kClosedByGateway);
}

// --- making room for another connection ---

TEST_F(HttpLifeTest, ConnectionMakesRoomBetweenTwoRequestsOnly) {
  Connect();
  Send("GET /api/things/a HTTP/1.1\r\n");
  Settle();
  Begin("Host: h\r\n\r\n");
  EXPECT_THAT(host_->idle_, IsEmpty());
  Answer("{}");
  EXPECT_TRUE(Until([&] { return !host_->idle_.empty(); }));
  EXPECT_TRUE((*host_->idle_.begin())->MayMakeRoom(host_->now_));
  Begin(Get("/api/things/b"));
  EXPECT_THAT(host_->idle_, IsEmpty());
}

// Otherwise half a head would keep its place until the handshake timeout.
TEST_F(HttpLifeTest, HalfAHeadMakesRoomAfterASecond) {
  Connect();
  const auto expect_a_second = [&](const std::string& half) {
    Send(half);
    Settle();
    ASSERT_FALSE(host_->idle_.empty());
    const Connection& connection = **host_->idle_.begin();
    EXPECT_FALSE(connection.MayMakeRoom(host_->now_ + absl::Milliseconds(999)));
    EXPECT_TRUE(connection.MayMakeRoom(host_->now_ + absl::Seconds(1)));
  };
  expect_a_second("GET /api/things/a HTTP/1.1\r\n");
  Begin("Host: h\r\n\r\n");
  Answer("{}");
  EXPECT_TRUE(Until([&] { return !host_->idle_.empty(); }));
  host_->now_ += absl::Seconds(10);
  expect_a_second("GET /api/things/b HTTP/1.1\r\n");
}

// --- lack of memory

TEST_F(HttpLifeTest, ForLackOfMemoryTheAnswerIs503) {
  Connect();
  Begin(Get("/api/things/a"));
  Connection& connection = *host_->connections_.begin()->second;
  EXPECT_GE(connection.held_bytes(), 1000u);
  connection.CloseForMemory(host_->now_, kMemoryPatience);
  Settle();
  EXPECT_THAT(log_, Contains("closed for memory"));
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 503 "));
  received_.clear();
}

TEST_F(HttpLifeTest, ForUrgentLackOfMemoryAClientIsCutOffAtOnce) {
  Connect();
  Begin(Get("/api/things/a"));
  host_->connections_.begin()->second->CloseForMemory(host_->now_,
                                                      absl::ZeroDuration());
  EXPECT_THAT(log_, Contains("closed for memory"));
  EXPECT_THAT(host_->connections_, IsEmpty());
}

}  // namespace
}  // namespace headgate
