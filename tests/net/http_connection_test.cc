#include "tests/net/connection_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class HttpConnectionTest : public ConnectionTest {
 protected:
  // A whole refusal: status line, a JSON body of the announced length, FIN.
  void ExpectRefusal(int status, const std::string& body) {
    const std::string head = ReceiveHead();
    EXPECT_THAT(head, StartsWith(absl::StrCat("HTTP/1.1 ", status, " ")));
    EXPECT_THAT(head, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(head, HasSubstr("Connection: close"));
    EXPECT_THAT(
        head, HasSubstr(absl::StrCat("Content-Length: ", body.size(), "\r\n")));
    Expect(body);
    ExpectEnd();
    EXPECT_THAT(host_->refused_, ElementsAre(status));
  }
};

TEST_F(HttpConnectionTest, RefusalHasABodyAndACleanEnd) {
  Connect();
  Send(Request("/nowhere"));
  ExpectRefusal(404,
                "{\"code\":5,\"message\":\"nothing is served at /nowhere\"}\n");
}

TEST_F(HttpConnectionTest, HeadersOverTheLimitAreRefusedWith431) {
  Connect();
  Send(Request("/raw", "X: " + std::string(5000, 'x') + "\r\n"));
  ExpectRefusal(431,
                "{\"code\":8,\"message\":\"the headers are longer than "
                "max_header_bytes (1024)\"}\n");
}

// The answer must survive what the client is still sending: a reset would take
// it away.
TEST_F(HttpConnectionTest, RefusalIsReadableWhileTheClientGoesOnSending) {
  Connect();
  Send("GET /" + std::string(3000, 'x'));
  Settle();
  Send(std::string(200'000, 'y'));
  Settle();
  Send(std::string(200'000, 'z'));
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 431 "));
  Expect("{\"code\":8");
}

// A request exactly at the limit passes, one byte more does not.
TEST_F(HttpConnectionTest, LimitOfTheHeadersIsExact) {
  const std::size_t used = Request("/raw", "X: \r\n").size();
  for (const int over : {0, 1}) {
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Connect();
    Send(
        Request("/raw", "X: " + std::string(1024 - used + over, 'x') + "\r\n"));
    EXPECT_THAT(ReceiveHead(),
                StartsWith(over == 0 ? "HTTP/1.1 101" : "HTTP/1.1 431"));
  }
}

TEST_F(HttpConnectionTest, WhatIsNotHttpIsRefusedWith400) {
  Connect();
  Send("\x16\x03\x01 this is TLS\r\n\r\n");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 400 "));
  Expect("{\"code\":3,\"message\":\"not an HTTP/1.1 request: ");
}

TEST_F(HttpConnectionTest, SlowHandshakeIsRefusedWith408) {
  for (const std::string& start : {std::string(), std::string("GET /ra")}) {
    host_->refused_.clear();
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Connect();
    if (!start.empty()) Send(start);
    Settle();
    Tick(settings_.handshake_timeout - absl::Milliseconds(1));
    EXPECT_THAT(host_->refused_, IsEmpty());
    Tick(absl::Milliseconds(1));
    ExpectRefusal(
        408, "{\"code\":4,\"message\":\"no complete request within 5s\"}\n");
    Send("w HTTP/1.1\r\n\r\n");  // Too late; it is not answered again.
    Settle();
    client_.close();
    ASSERT_TRUE(UntilEnded());
    EXPECT_THAT(host_->refused_, ElementsAre(408));
  }
}

TEST_F(HttpConnectionTest, RefusedClientThatStaysIsCutOff) {
  Connect();
  Send(Request("/nowhere"));
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 404 "));
  Tick(absl::ZeroDuration());  // Its kernel has taken the answer.
  Tick(settings_.close_timeout - absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Tick(absl::Milliseconds(1));
  EXPECT_TRUE(host_->connections_.empty());
}

// RFC 6455 section 4.1: the client waits for the answer before it sends data.
TEST_F(HttpConnectionTest, DataBeforeTheAnswerIsRefused) {
  Connect();
  Send(Request("/raw") + Frame(kText, "early"));
  ExpectRefusal(
      400,
      "{\"code\":3,\"message\":\"data before the handshake was answered\"}\n");
  EXPECT_EQ(host_->admitted_, 0);
}

TEST_F(HttpConnectionTest, ConnectionWithoutARequestIsNoRefusal) {
  Connect();
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_THAT(host_->refused_, IsEmpty());
}

TEST_F(HttpConnectionTest, FullGatewayAnswers503WithRetryAfter) {
  host_->capacity_ = Capacity::kFull;
  Connect();
  Send(Request("/raw"));
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(head, HasSubstr("Retry-After: "));
  Expect("{\"code\":14,\"message\":\"there are too many sessions\"}\n");
  ExpectEnd();
}

// RFC 9110 section 9.3.2: the answer to HEAD has no content.
TEST_F(HttpConnectionTest, HeadIsRefusedWithoutABody) {
  Connect();
  Send("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 404 "));
  ExpectEnd();
}

// A route with `refusals: close`: a browser's script sees code and reason.
TEST_F(HttpConnectionTest, RefusalByCloseIsAcceptedAndClosed) {
  Connect();
  Send(Request("/told",
               "Origin: http://elsewhere\r\n"
               "Sec-WebSocket-Protocol: headgate.raw.v1\r\n"));
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 "));
  // Without the echo a browser would fail the connection and hide the reason.
  EXPECT_THAT(head, HasSubstr("Sec-WebSocket-Protocol: headgate.raw.v1\r\n"));
  ExpectClose(4007, "origin http://elsewhere is not allowed");
  Send(CloseFrame(4007));
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_THAT(host_->refused_, ElementsAre(403));
  EXPECT_THAT(host_->ended_, IsEmpty());
  EXPECT_EQ(host_->upstream().call_count(), 0u);
}

TEST_F(HttpConnectionTest, RefusalByCloseSurvivesDrainAbortAndSilence) {
  for (const bool abort : {false, true}) {
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Connect();
    Send(Request("/told", "Origin: http://elsewhere\r\n"));
    EXPECT_THAT(ReceiveHead(), StartsWith("HTTP/1.1 101 "));
    Drain();
    Settle();
    if (abort) {
      Abort();
    } else {
      TickPastCloseTimeout();
    }
    EXPECT_TRUE(host_->connections_.empty());
  }
}

// Idle connections do not hold a drain up; a request that has begun is
// answered.
// docs/security.md: requests that many clients send at once.
TEST_F(HttpConnectionTest, WhereOthersHaveWorkedLongARequestWaits) {
  bool had_worked_long = true;
  host_->open_ = [&](SessionRequest, Transport&) {
    had_worked_long = turn_.has_worked_long();
    return nullptr;
  };
  Connect();
  WorkLong();
  Send(Request("/raw"));
  ASSERT_TRUE(Until([&] { return !host_->requests_.empty(); }));
  EXPECT_FALSE(had_worked_long);
}

TEST_F(HttpConnectionTest, DrainEndsConnectionsThatHaveSentNothing) {
  Connect();
  Drain();
  EXPECT_TRUE(host_->connections_.empty());
  ExpectEnd();
}

TEST_F(HttpConnectionTest, DrainAnswersARequestThatHasBegun) {
  Connect();
  const std::string request = Request("/raw");
  Send(request.substr(0, 10));
  Settle();
  host_->capacity_ = Capacity::kDraining;
  Drain();
  EXPECT_FALSE(host_->connections_.empty());
  Send(request.substr(10));
  const std::string head = ReceiveHead();
  EXPECT_THAT(head, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(head, HasSubstr("Retry-After: "));
  Expect("{\"code\":14,\"message\":\"the gateway is shutting down\"}\n");
  ExpectEnd();
}

TEST_F(HttpConnectionTest, AbortEndsARequestOnItsWay) {
  Connect();
  Send("GET / HT");
  Settle();
  Abort();
  EXPECT_TRUE(host_->connections_.empty());
  host_ = std::make_unique<FakeHost>(log_, turn_);
  EXPECT_TRUE(Until([&] { return io_.stopped(); }));
}

}  // namespace
}  // namespace headgate
