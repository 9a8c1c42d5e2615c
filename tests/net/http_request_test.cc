#include "gateway/ws/message_watch.h"
#include "tests/net/exchange_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

using HttpRequestTest = ExchangeTest;

TEST_F(HttpRequestTest, RuleSaysTheCall) {
  Connect();
  Begin(absl::StrCat("PUT /api/things/a%2Fb?x=1&x=+2 HTTP/1.1\r\nHost: h\r\n",
                     "Content-Type: text/json\r\nContent-Length: 2\r\n",
                     "Grpc-Timeout: 3S\r\nAuthorization: Bearer t\r\n\r\n{}"));
  const SessionRequest& request = session().request();
  EXPECT_EQ(request.method, "/p.S/Get");
  EXPECT_EQ(request.codec, &kHttpJsonDialect);
  EXPECT_EQ(request.media_type, "text/json");
  EXPECT_EQ(request.timeout, absl::Seconds(3));
  EXPECT_THAT(request.metadata, Contains(Pair("authorization", "Bearer t")));
  ASSERT_TRUE(request.binding);
  EXPECT_THAT(Texts(request.binding->variables), ElementsAre("name=a/b"));
  EXPECT_THAT(Texts(request.binding->query), ElementsAre("x=1", "x= 2"));
  EXPECT_EQ(request.binding->body, "name");
  EXPECT_EQ(request.binding->response_body, "name");
  EXPECT_EQ(host_->admitted_, 1);
  EXPECT_THAT(log_, ElementsAre("start /p.S/Get", "got {}", "got "));
}

// --- bodies ---

TEST_F(HttpRequestTest, PiecesAreReadAsTheyComeAndTheEndIsTheHalfClose) {
  Connect();
  Begin(
      "POST /api/things:talk HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n");
  EXPECT_THAT(log_, ElementsAre("start /p.S/Talk", "got {}"));
  Piece("1");  // An answer does not wait for the rest.
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 "));
  ExpectChunk("1\n");
  Send("3\r\n[1]\r");
  Settle();
  Send("\n0\r\n\r\n");
  Settle();
  EXPECT_THAT(log_, ElementsAre("start /p.S/Talk", "got {}", "written",
                                "got [1]", "got "));
  session().End(EndingOf(absl::OkStatus()));
  Expect("0\r\n\r\n");
}

TEST_F(HttpRequestTest, BodyIsNotReadBeforeItIsAskedFor) {
  reads_ = false;
  Connect();
  Begin(Post("/api/things:add", "abc"));
  EXPECT_THAT(log_, ElementsAre("start /p.S/Add"));
  transport().Read();
  Settle();
  transport().Read();
  Settle();
  EXPECT_THAT(log_, ElementsAre("start /p.S/Add", "got abc", "got "));
  Answer("{}");
  ReceiveAnswer();
}

TEST_F(HttpRequestTest, LongBodyComesInPiecesAndWhole) {
  const std::string body(300'000, 'x');
  Connect();
  Begin(Post("/api/things:add", body));
  ASSERT_TRUE(Until([&] { return log_.back() == "got "; }));
  std::string got;
  for (const std::string& entry : log_) {
    if (entry.rfind("got ", 0) == 0) {
      EXPECT_LE(entry.size(), 16 * 1024u + 4);
      got += entry.substr(4);
    }
  }
  EXPECT_EQ(got, body);
  Answer("{}");
  ReceiveAnswer();
  ExpectReusable();
}

// RFC 9110 section 10.1.1.
TEST_F(HttpRequestTest, ContinueIsSentWhenTheBodyIsFirstRead) {
  reads_ = false;
  Connect();
  Begin(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
      "Expect: 100-continue\r\n\r\n");
  Receive();
  EXPECT_EQ(received_, "");
  transport().Read();
  Expect("HTTP/1.1 100 Continue\r\n\r\n");
  Send("{}");
  ASSERT_TRUE(Until([&] { return log_.back() == "got {}"; }));
  transport().Read();
  Settle();
  Answer("[]");
  EXPECT_THAT(ReceiveAnswer().second, "[]");
  reads_ = true;
  ExpectReusable();
}

TEST_F(HttpRequestTest, BodyThatIsAlreadyThereIsNotAskedFor) {
  Connect();
  Begin(Post("/api/things/a", "{}", "Expect: 100-continue\r\n"));
  Answer("[]");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 "));
}

// The client then has not sent its body, and may or may not.
TEST_F(HttpRequestTest, RefusalGoesWithoutContinueAndTheConnectionCloses) {
  Connect();
  Send(
      "POST /api/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
      "Expect: 100-continue\r\n\r\n");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 404 "),
                          HasSubstr("\r\nConnection: close\r\n")));
  ExpectEnd();
}

TEST_F(HttpRequestTest, BodyTooLongIsRefusedByItsHead) {
  Connect();
  Send(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n"
      "\r\n");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 413 "));
  Expect("{\"code\":8,");
  EXPECT_THAT(sessions_, IsEmpty());
}

TEST_F(HttpRequestTest, ChunkedBodyTooLongIsSeenWhileItComes) {
  Connect();
  Begin(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  Send("100001\r\n" + std::string(0x100001, ' '));
  ASSERT_TRUE(Until([&] { return log_.back() == "too big"; }));
  session().End({CloseCode::kMessageTooBig,
                 {absl::ResourceExhaustedError("too long"), ""}},
                "{}");
  EXPECT_THAT(ReceiveHead(), AllOf(StartsWith("HTTP/1.1 413 "),
                                   HasSubstr("\r\nConnection: close\r\n")));
  Expect("{}");
  ExpectEnd();
}

// A stream has no length of its own.
TEST_F(HttpRequestTest, BodyOfAStreamMayBeLongerThanAMessage) {
  Connect();
  Begin(
      "POST /api/things:add HTTP/1.1\r\nHost: h\r\n"
      "Content-Length: 1048577\r\n\r\n");
  Send(std::string(1048577, 'x'));
  ASSERT_TRUE(Until([&] { return log_.back() == "got "; }));
  Answer("{}");
  ReceiveAnswer();
}

TEST_F(HttpRequestTest, BodyThatIsNoneIsRefusedWith400) {
  Connect();
  Begin(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 400 "),
                          HasSubstr("\r\nConnection: close\r\n")));
  EXPECT_THAT(body, HasSubstr("a chunk is longer than its size"));
  ExpectEnd();
  EXPECT_THAT(log_, Contains("closed broken"));
  EXPECT_THAT(host_->ended_, ::testing::SizeIs(1));
}

TEST_F(HttpRequestTest, BodyThatIsNoneCutsAnAnswerOff) {
  Connect();
  Begin(
      "POST /api/things:talk HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n");
  Piece("1");
  ReceiveHead();
  ExpectChunk("1\n");
  Send("x\r\n");
  ExpectEnd();
  EXPECT_THAT(log_, Contains("closed broken"));
}

// RFC 9112 section 6.3, and what smugglers live on.
TEST_F(HttpRequestTest, LengthThatIsNotClearIsRefusedAndTheConnectionCloses) {
  Connect();
  Send(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
      Get("/api/things/smuggled"));
  EXPECT_THAT(ReceiveAnswer().first,
              AllOf(StartsWith("HTTP/1.1 400 "),
                    HasSubstr("\r\nConnection: close\r\n")));
  ExpectEnd();
  EXPECT_THAT(sessions_, IsEmpty());
}

TEST_F(HttpRequestTest, BodyThatStallsIsRefusedWith408) {
  Connect();
  Begin(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
  Tick(absl::ZeroDuration());
  Send("c");  // Too little to count.
  Settle();
  Tick(settings_.message_timeout - absl::Milliseconds(1));
  EXPECT_THAT(log_, Not(Contains("closed broken")));
  Tick(absl::Milliseconds(1));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(body, StartsWith("{\"code\":4,"));
  ExpectEnd();
  EXPECT_THAT(log_, Contains("closed broken"));
}

TEST_F(HttpRequestTest, BodyThatComesSlowlyIsWaitedFor) {
  Connect();
  Begin(
      "POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: "
      "99999\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    Send(std::string(ws::MessageWatch::kLeastBytes, ' '));
    Settle();
    Tick(settings_.message_timeout - absl::Milliseconds(1));
  }
  EXPECT_THAT(log_, Not(Contains("closed broken")));
  client_.close();
}

// A client that streams may be silent for as long as it likes.
TEST_F(HttpRequestTest, StreamOfRequestsMayPause) {
  Connect();
  Begin(
      "POST /api/things:talk HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  Tick(absl::ZeroDuration());
  Tick(absl::Hours(1));
  Send("2\r\n{}\r\n0\r\n\r\n");
  ASSERT_TRUE(Until([&] { return log_.back() == "got "; }));
  session().End(EndingOf(absl::OkStatus()));
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 200 "));
}

// --- one request after the other ---

TEST_F(HttpRequestTest, RequestsInOneSegmentAreAnsweredInTheirOrder) {
  Connect();
  Begin(Post("/api/things/1", "one") + "\r\n" + Get("/api/things/2") +
        Get("/api/things/3"));
  for (const std::string name : {"1", "2", "3"}) {
    const std::size_t count = sessions_.size();
    EXPECT_EQ(Texts(session().request().binding->variables)[0], "name=" + name);
    Answer(name);
    EXPECT_EQ(ReceiveAnswer().second, name);
    if (name != "3") {
      ASSERT_TRUE(Until([&] { return sessions_.size() > count; }));
      Settle();
    }
  }
  EXPECT_THAT(sessions_, ::testing::SizeIs(3));
}

TEST_F(HttpRequestTest, RefusalLeavesAConnectionThatIsGood) {
  Connect();
  Send(Post("/api/nothing", "a body") + Get("/api/things/a", "Origin: x\r\n"));
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 403 "));
  ExpectReusable();
  EXPECT_THAT(host_->refused_, ElementsAre(404, 403));
}

TEST_F(HttpRequestTest, CloseIsHonoured) {
  for (const std::string& request :
       {Get("/api/things/a", "Connection: close\r\n"),
        std::string("GET /api/things/a HTTP/1.0\r\n\r\n")}) {
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Connect();
    Begin(request);
    Answer("{}");
    const auto [head, body] = ReceiveAnswer();
    EXPECT_THAT(head, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_EQ(body, "{}");
    ExpectEnd();
  }
}

// Else the rest would be taken for the next request.
TEST_F(HttpRequestTest, AnswerBeforeTheBodyHasComeClosesTheConnection) {
  Connect();
  Begin("POST /api/things/a HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n");
  session().End(EndingOf(absl::InvalidArgumentError("x")), "{}");
  EXPECT_THAT(ReceiveAnswer().first, HasSubstr("\r\nConnection: close\r\n"));
  ExpectEnd();
  Send(std::string(99, 'x'));  // Can still be sent.
}

TEST_F(HttpRequestTest, BodyThatNobodyReadIsPassedOver) {
  reads_ = false;
  Connect();
  Begin(Post("/api/things/a", "left over"));
  session().End(EndingOf(absl::InvalidArgumentError("x")), "{}");
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 400 "));
  ExpectReusable();
}

// What follows a request is kept, but not without end, and nothing is lost.
TEST_F(HttpRequestTest, PipelineIsBounded) {
  constexpr int kRequests = 2000;
  Connect(4096);
  client_.set_option(boost::asio::socket_base::send_buffer_size(4096));
  Begin(Get("/api/things/a"));
  std::string more;
  for (int i = 0; i < kRequests; ++i) {
    more += Get(absl::StrCat("/api/nothing/", i),
                std::string("A: ") + std::string(500, 'x') + "\r\n");
  }
  boost::system::error_code error;
  std::size_t sent = 0;
  for (int round = 0; round < 50; ++round) {
    sent += client_.write_some(
        boost::asio::buffer(more.data() + sent, more.size() - sent), error);
    Settle();
  }
  EXPECT_LT(sent, more.size());  // Nobody reads it.
  Answer("{}");
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 200 "));
  for (int i = 0; i < kRequests; ++i) {
    if (sent < more.size()) {
      sent += client_.write_some(
          boost::asio::buffer(more.data() + sent, more.size() - sent), error);
    }
    EXPECT_THAT(ReceiveAnswer().second,
                HasSubstr(absl::StrCat("/api/nothing/", i, "\"")));
  }
}

TEST_F(HttpRequestTest, IdleConnectionIsClosedAfterAWhile) {
  Connect();
  ExpectReusable();
  Tick(settings_.keep_alive_timeout - absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Tick(absl::Milliseconds(1));
  EXPECT_TRUE(host_->connections_.empty());
  ExpectEnd();
  EXPECT_THAT(host_->refused_, IsEmpty());
}

// The wait for a request is not its own slowness.
TEST_F(HttpRequestTest, SlowHeadOfALaterRequestIsRefusedWith408) {
  Connect();
  ExpectReusable();
  Tick(absl::Seconds(30));
  Send("GET ");
  Settle();
  Tick(settings_.handshake_timeout - absl::Milliseconds(1));
  EXPECT_THAT(host_->refused_, IsEmpty());
  Tick(absl::Milliseconds(1));
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 408 "));
  ExpectEnd();
}

TEST_F(HttpRequestTest, ReloadIsSeenByTheNextRequest) {
  Connect();
  ExpectReusable();
  auto changed = std::make_shared<ConnectionSettings>(settings_);
  changed->policy.router = std::make_shared<const Router>(std::vector<Route>{});
  host_->settings_ = changed;
  Send(Get("/api/things/a"));
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 404 "));
}

TEST_F(HttpRequestTest, WebSocketMayBeTheLastRequest) {
  Connect();
  ExpectReusable();
  host_->open_ = nullptr;
  Send(Request("/raw"));
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 101 "));
  ASSERT_TRUE(Until([&] { return host_->upstream().call_count() > 0; }));
}

// --- what no rule is for ---

TEST_F(HttpRequestTest, OtherVerbIsRefusedWithThoseThereAre) {
  Connect();
  Send("DELETE /api/things/a HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(head, HasSubstr("\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
  EXPECT_THAT(body, StartsWith("{\"code\":12,"));
}

TEST_F(HttpRequestTest, OptionsSaysTheVerbs) {
  Connect();
  Send("OPTIONS /api/things/a HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Content-Length")));
  Send("OPTIONS /api/nothing HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(sessions_, IsEmpty());
  EXPECT_EQ(host_->admitted_, 0);
}

TEST_F(HttpRequestTest, PreflightIsAnsweredByTheOriginPolicy) {
  const auto preflight = [](const std::string& origin) {
    return absl::StrCat(
        "OPTIONS /api/things/a HTTP/1.1\r\nHost: h\r\nOrigin: ", origin,
        "\r\nAccess-Control-Request-Method: PUT\r\n\r\n");
  };
  Connect();
  Send(preflight("http://h"));
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(head, HasSubstr("\r\nAccess-Control-Allow-Methods: GET, HEAD, "
                              "POST, PUT, OPTIONS\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nAccess-Control-Allow-Origin: http://h\r\n"));
  Send(preflight("http://evil.test"));
  const auto [refused, body] = ReceiveAnswer();
  EXPECT_THAT(refused, AllOf(StartsWith("HTTP/1.1 403 "),
                             Not(HasSubstr("Access-Control"))));
  ExpectReusable();
}

TEST_F(HttpRequestTest, WhatIsNotHttpsOwnIsJudgedAsForAWebSocket) {
  Connect();
  Send(Get("/api/things/a", "Authorization: \xFF\r\n"));
  const auto [head, body] = ReceiveAnswer();
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 401 "),
                          HasSubstr("\r\nWWW-Authenticate: Bearer\r\n")));
  Send("GET /api/things/a HTTP/1.1\r\n\r\n");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 400 "));
}

// Where no rules are served, HTTP is asked to upgrade.
TEST_F(HttpRequestTest, OtherRoutesWantAWebSocket) {
  Connect();
  Send(Get("/bin"));
  EXPECT_THAT(ReceiveHead(), AllOf(StartsWith("HTTP/1.1 426 "),
                                   HasSubstr("Connection: close, Upgrade")));
  Expect("{\"code\":9");
}

TEST_F(HttpRequestTest, FullGatewayRefusesAndTakesTheNextRequest) {
  host_->capacity_ = Capacity::kFull;
  Connect();
  Send(Get("/api/things/a"));
  EXPECT_THAT(
      ReceiveAnswer().first,
      AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("\r\nRetry-After: 5\r\n")));
}

TEST_F(HttpRequestTest, RouteWhoseUpstreamHasGoneIsUnavailable) {
  host_->open_ = [](SessionRequest, Transport&) { return nullptr; };
  Connect();
  Send(Get("/api/things/a"));
  EXPECT_THAT(ReceiveAnswer().first, StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(host_->admitted_, 0);
}

}  // namespace
}  // namespace headgate
