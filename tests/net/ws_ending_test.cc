#include "tests/net/connection_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Cause = TransportEnd::Cause;

using WsEndingTest = ConnectionTest;

// RFC 6455 section 5.5.1: the Close frame is echoed, and the server closes
// first. The call is cancelled at once, not when TCP has ended.
TEST_F(WsEndingTest, ClientsCloseCancelsTheCallAtOnceAndIsEchoed) {
  Open("/raw");
  Send(CloseFrame(4321, "bye"));
  ASSERT_TRUE(Until([&] { return !call().alive(); }));
  EXPECT_FALSE(host_->connections_.empty());  // TCP is still there.
  ExpectClose(4321, "");
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().cause, Cause::kClosedByClient);
  EXPECT_EQ(static_cast<int>(report().close), 4321);
}

TEST_F(WsEndingTest, CloseWithoutCodeIsReportedAs1005) {
  Open("/raw");
  Send(Frame(kClose, ""));
  ASSERT_TRUE(Until([&] { return !call().alive(); }));
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().close, CloseCode::kNoStatus);
}

// A client that closes and then keeps TCP open is not waited for.
TEST_F(WsEndingTest, ClientThatClosedButStaysIsCutOff) {
  Open("/raw");
  Send(CloseFrame(1000));
  ASSERT_TRUE(Until([&] { return !call().alive(); }));
  Tick(absl::ZeroDuration());
  Tick(settings_.close_timeout - absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Tick(absl::Milliseconds(1));
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_EQ(report().cause, Cause::kClosedByClient);
}

TEST_F(WsEndingTest, CloseBehindAMessageIsSeenAfterIt) {
  Open("/raw");
  Send(Frame(kBinary, "x") + CloseFrame(1000));
  ASSERT_TRUE(Until([&] { return !call().alive(); }));
  EXPECT_THAT(log_, Contains(HasSubstr("write ")));
}

TEST_F(WsEndingTest, FinWithoutCloseIsALostConnection) {
  Open("/raw");
  client_.shutdown(TcpSocket::shutdown_send);
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().cause, Cause::kLost);
  EXPECT_EQ(report().close, CloseCode::kAbnormal);
  EXPECT_THAT(log_, Contains("cancel"));
}

TEST_F(WsEndingTest, ResetIsALostConnection) {
  Open("/raw");
  client_.set_option(boost::asio::socket_base::linger(true, 0));
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().cause, Cause::kLost);
  EXPECT_THAT(log_, Contains("cancel"));
}

// Half a message, then the end: it is not delivered.
TEST_F(WsEndingTest, MessageCutOffIsNotDelivered) {
  Open("/raw");
  Send(Frame(kBinary, std::string(5000, 'x')).substr(0, 3000));
  client_.shutdown(TcpSocket::shutdown_send);
  ASSERT_TRUE(UntilEnded());
  EXPECT_TRUE(call().written().empty());
}

TEST_F(WsEndingTest, StatusOfTheCallIsTheCloseCode) {
  Open("/raw");
  BackendEnds(absl::NotFoundError("no room"));
  ExpectClose(4005, "no room");
  Send(CloseFrame(4005));
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
  EXPECT_EQ(report().cause, Cause::kClosedByGateway);
}

// What is still on its way when the gateway closes is dropped, and its pings
// are not answered after the Close frame (section 5.5.1).
TEST_F(WsEndingTest, DataAfterOurCloseIsDropped) {
  Open("/raw");
  BackendEnds(absl::OkStatus());
  ExpectClose(1000, "");
  Send(Frame(kText, "late") + Frame(kPing, "late") +
       Frame(0x01, std::string(70'000, 'x')) + Frame(0x80, "") +
       CloseFrame(1000));
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
}

TEST_F(WsEndingTest, ClientThatDoesNotAnswerOurCloseIsCutOff) {
  Open("/raw");
  BackendEnds(absl::OkStatus());
  ExpectClose(1000, "");
  Tick(absl::ZeroDuration());
  Tick(settings_.close_timeout - absl::Milliseconds(1));
  EXPECT_FALSE(host_->connections_.empty());
  Tick(absl::Milliseconds(1));
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_EQ(report().cause, Cause::kClosedByGateway);
  EXPECT_EQ(report().close, CloseCode::kNormal);
}

// A client that reads nothing is given up after send_timeout, one that reads
// a little is not.
TEST_F(WsEndingTest, ClientThatTakesNothingIsGivenUp) {
  Open("/bin", 16 * 1024);
  call().observer().OnMessage(std::string(8'000'000, 'x'));
  Settle();
  Tick(absl::ZeroDuration());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(UntilReceived(received_.size() + 1'000'000));
    Settle();
    Tick(settings_.send_timeout);
    ASSERT_FALSE(host_->connections_.empty());
  }
  Tick(settings_.send_timeout - absl::Milliseconds(1));
  ASSERT_FALSE(host_->connections_.empty());
  Tick(absl::Milliseconds(1));
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_EQ(report().cause, Cause::kSendTimeout);
  EXPECT_THAT(log_, Contains("cancel"));
}

TEST_F(WsEndingTest, SilenceAloneIsNoTimeout) {
  Open("/raw");
  for (int i = 0; i < 10; ++i) Tick(absl::Hours(1));
  Settle();
  EXPECT_FALSE(host_->connections_.empty());
  EXPECT_THAT(log_, Not(Contains("cancel")));
}

// A client that closes while it reads nothing: the Close cannot be answered,
// and must not keep the call or the connection.
TEST_F(WsEndingTest, CloseFromAClientThatReadsNothingEndsTheCall) {
  Open("/bin", 16 * 1024);
  call().observer().OnMessage(std::string(8'000'000, 'x'));
  Settle();
  Send(CloseFrame(1001));
  ASSERT_TRUE(Until([&] { return !call().alive(); }));
  TickPastCloseTimeout();
  EXPECT_TRUE(host_->connections_.empty());
}

TEST_F(WsEndingTest, DrainClosesWith1001AfterTheAnswersOnTheirWay) {
  Open("/bin");
  call().observer().OnMessage("a");
  call().observer().OnMessage("b");
  Drain();
  EXPECT_THAT(log_, Contains("cancel"));
  Expect(Frame(kBinary, "a", false));
  Expect(Frame(kBinary, "b", false));
  ExpectClose(1001, "the gateway is shutting down");
  Drain();  // Twice is once.
  Send(CloseFrame(1001));
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
}

// The 101 is still to be sent.
TEST_F(WsEndingTest, DrainDuringTheHandshakeClosesWith1001) {
  Connect();
  Send(Request("/raw"));
  ASSERT_TRUE(Until([&] { return host_->seen_.size() == 2; }));
  Drain();
  EXPECT_THAT(ReceiveHead(), HasSubstr("101"));
  ExpectClose(1001, "the gateway is shutting down");
  Send(CloseFrame(1001));
  ExpectEnd();
  client_.close();
  ASSERT_TRUE(UntilEnded());
}

// In one round of the event loop the client makes room for more of a long
// message and is gone: the write, which got on, is called once more after that.
TEST_F(WsEndingTest, EndsInTheMidstOfAWriteThatGetsOn) {
  Open("/raw");
  std::string message("\x12\x80\x80\x80\x08", 5);  // 16 MiB follow.
  message.append(16 << 20, 'x');                   // More than sockets buffer.
  call().observer().OnMessage(message);
  Settle();
  Receive();
  client_.shutdown(TcpSocket::shutdown_send);
  EXPECT_TRUE(UntilEnded());
  Settle();
  EXPECT_TRUE(host_->AllGone());
}

TEST_F(WsEndingTest, AbortEndsAtOnceInEveryPhase) {
  Open("/raw");
  Abort();
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_FALSE(call().alive());
  EXPECT_EQ(report().cause, Cause::kAborted);
  EXPECT_TRUE(Until([&] {
    Receive();
    return bool(end_);
  }));
}

// The worker stops right after Abort: no handler may touch its host again.
TEST_F(WsEndingTest, AbortedConnectionsTouchTheirHostNoMore) {
  Open("/bin", 16 * 1024);
  call().observer().OnMessage(std::string(8'000'000, 'x'));
  Send(Frame(kPing, "p"));
  Settle();
  Abort();
  host_ = std::make_unique<FakeHost>(log_, turn_);
  EXPECT_TRUE(Until([&] { return io_.stopped(); }));
}

TEST_F(WsEndingTest, AbortDuringTheHandshakeGivesThePlaceBack) {
  Connect();
  Send(Request("/raw"));
  ASSERT_TRUE(Until([&] { return host_->seen_.size() == 2; }));
  EXPECT_EQ(host_->admitted_, 1);
  Abort();
  EXPECT_EQ(host_->admitted_, 0);
  EXPECT_FALSE(call().alive());
}

// The call does not wait for the client of a broken WebSocket to hang up.
TEST_F(WsEndingTest, ViolationCancelsTheCallAtOnce) {
  Open("/bin");
  Send(Frame(0x83, ""));  // A reserved opcode.
  ExpectClose(1002, "a reserved opcode");
  EXPECT_FALSE(call().alive());
  EXPECT_FALSE(host_->connections_.empty());  // TCP is still there.
  TickPastCloseTimeout();
  EXPECT_EQ(report().cause, Cause::kBrokenByClient);
  EXPECT_EQ(report().close, CloseCode::kProtocolError);
}

// After a violation the connection waits for its client to hang up. Whatever
// comes meanwhile must do no harm, and nothing may outlast close_timeout.
TEST_F(WsEndingTest, FailedConnectionSurvivesWhatComesMeanwhile) {
  const std::pair<const char*, std::function<void()>> events[] = {
      {"nothing", [] {}},
      {"drain", [&] { Drain(); }},
      {"a message", [&] { Send(Frame(kBinary, "more")); }},
      {"a Close frame", [&] { Send(CloseFrame(1000)); }},
      {"FIN", [&] { client_.shutdown(TcpSocket::shutdown_send); }},
      {"abort", [&] { Abort(); }},
      {"reset",
       [&] {
         client_.set_option(boost::asio::socket_base::linger(true, 0));
         client_.close();
       }},
  };
  for (const auto& [name, event] : events) {
    SCOPED_TRACE(name);
    log_.clear();
    host_ = std::make_unique<FakeHost>(log_, turn_);
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Open("/bin");
    Send(Frame(0x83, ""));  // A reserved opcode.
    ExpectClose(1002, "a reserved opcode");
    event();
    Settle();
    TickPastCloseTimeout();
    EXPECT_TRUE(host_->connections_.empty());
    ASSERT_TRUE(Until([&] { return io_.stopped(); }));
    ASSERT_TRUE(host_->AllGone());
    ASSERT_EQ(host_->admitted_, 0);
  }
}

// The client breaks the session's rules and then those of WebSocket, in one
// segment: our Close and the reading of the violation meet, and neither may
// keep the connection, its memory or its worker.
TEST_F(WsEndingTest, ViolationBehindTheMessageThatEndsTheSession) {
  const std::string bad_message = Frame(kText, "not for protobuf");
  const std::string followers[] = {
      Frame(0x83, ""),
      Frame(kPing, "") + Frame(0x83, ""),
      Frame(kPong, "") + Frame(0x83, ""),
      Frame(kPing, "") + Frame(kPing, "") + Frame(kText, "x", false),
      Frame(kPing, "") + CloseFrame(1000),
      Frame(kPong, "") + CloseFrame(999),
      Frame(kPing, "") + Frame(0x01, "\xFF"),
      CloseFrame(1000),
      CloseFrame(1000) + Frame(0x83, ""),
      Frame(kBinary, "x") + Frame(kPing, "") + Frame(0x80, ""),
  };
  for (const std::string& follower : followers) {
    SCOPED_TRACE(absl::CHexEscape(follower));
    log_.clear();
    host_ = std::make_unique<FakeHost>(log_, turn_);
    received_.clear();
    end_ = {};
    client_ = TcpSocket(io_.get_executor());
    Open("/bin");
    Send(bad_message + follower);
    ASSERT_TRUE(UntilReceived(4));
    EXPECT_EQ(static_cast<unsigned char>(received_[0]), 0x88);
    Settle();
    TickPastCloseTimeout();
    EXPECT_TRUE(host_->connections_.empty());
    EXPECT_FALSE(call().alive());
    ASSERT_TRUE(Until([&] { return io_.stopped(); })) << "work is left over";
    ASSERT_TRUE(host_->AllGone());
  }
}

}  // namespace
}  // namespace headgate
