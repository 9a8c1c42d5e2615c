#include "gateway/net/refused_connection.h"

#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/net/socket_stream.h"
#include "tests/net/connection_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

// Connections for which there is no room.
class RefusedConnectionTest : public ConnectionTest {
 protected:
  void Refuse(Capacity capacity = Capacity::kFull) {
    RefuseConnection(Accept(), capacity, *host_);
  }
  // The whole of the answer, then FIN.
  void ExpectAnswer(const std::string& message) {
    EXPECT_THAT(ReceiveHead(), AllOf(StartsWith("HTTP/1.1 503 "),
                                     HasSubstr("Connection: close\r\n"),
                                     HasSubstr("Retry-After: ")));
    Expect("{\"code\":14,\"message\":\"" + message + "\"}\n");
    ExpectEnd();
  }
};

TEST_F(RefusedConnectionTest, TheFirstRequestIsAnsweredWith503) {
  Refuse();
  Settle();
  Receive();
  EXPECT_EQ(received_, "");  // Not before the client has asked.
  Send(kGet);
  ExpectAnswer("there are too many connections");
  EXPECT_THAT(host_->connections_refused_,
              ElementsAre("max_connections 127.0.0.1"));
}

TEST_F(RefusedConnectionTest, AClientWithTooManyIsToldSo) {
  Refuse(Capacity::kAddressFull);
  Send(kGet);
  ExpectAnswer("there are too many connections of this address");
  EXPECT_THAT(host_->connections_refused_,
              ElementsAre("max_connections_per_address 127.0.0.1"));
}

// RFC 9113 section 6.8: with 0 for the last stream a client knows that nothing
// of its requests was processed.
TEST_F(RefusedConnectionTest, AClientOfHttp2GetsGoaway) {
  Refuse();
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  Expect(std::string("\0\0\0\4\0\0\0\0\0", 9));
  Expect(std::string("\0\0\x26\7\0\0\0\0\0\0\0\0\0\0\0\0\x0B", 17));
  Expect("there are too many connections");
  ExpectEnd();
}

class RefusedTlsConnectionTest : public RefusedConnectionTest {
 protected:
  void RefuseTls(AcceptedConnection accepted) {
    RefuseConnection(
        std::make_shared<SocketStream>(std::move(accepted.socket),
                                       std::move(accepted.place), nullptr),
        accepted.listener, accepted.address, /*needs_tls=*/true,
        Capacity::kFull, *host_);
  }
  // internal_error, and FIN.
  void ExpectAlert() {
    Expect(std::string("\x15\3\1\0\2\2\x50", 7));
    ExpectEnd();
  }
};

constexpr char kBeginOfClientHello[] = "\x16\3\1";

TEST_F(RefusedTlsConnectionTest, AClientHelloIsAnsweredWithAnAlert) {
  RefuseTls(Accept());
  Settle();
  Receive();
  EXPECT_EQ(received_, "");
  Send(kBeginOfClientHello);
  ExpectAlert();
}

TEST_F(RefusedTlsConnectionTest, AlsoWhereManyWaitIfItHasCome) {
  host_->refused_wait_ = false;
  AcceptedConnection accepted = Accept();
  Send(kBeginOfClientHello);
  Settle();
  RefuseTls(std::move(accepted));
  ExpectAlert();
}

TEST_F(RefusedTlsConnectionTest, WhatIsNotTlsIsClosed) {
  RefuseTls(Accept());
  Send(kGet);
  ExpectEnd();
}

TEST_F(RefusedConnectionTest, AlsoWhereManyWaitIfItHasSpokenAlready) {
  host_->refused_wait_ = false;
  AcceptedConnection accepted = Accept();
  Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  Settle();
  RefuseConnection(std::move(accepted), Capacity::kFull, *host_);
  Expect(std::string("\0\0\0\4\0\0\0\0\0", 9));
  Expect(std::string("\0\0\x26\7\0\0\0\0\0\0\0\0\0\0\0\0\x0B", 17));
  Expect("there are too many connections");
  ExpectEnd();
}

TEST_F(RefusedConnectionTest, WhatTheClientSendsOnDoesNotTakeTheAnswerAway) {
  Refuse();
  Send(kGet);
  Settle();
  Send(std::string(20'000, 'x'));
  ExpectAnswer("there are too many connections");
}

TEST_F(RefusedConnectionTest, ASilentClientIsToldAfterASecondAndCutOff) {
  Refuse();
  Tick(kRefusalPatience - absl::Milliseconds(1));
  EXPECT_EQ(host_->connections_.size(), 1u);
  Tick(absl::Milliseconds(1));
  EXPECT_THAT(host_->connections_, IsEmpty());
  ExpectAnswer("there are too many connections");
}

TEST_F(RefusedConnectionTest, AClientThatStaysIsCutOff) {
  Refuse();
  Send(kGet);
  ExpectAnswer("there are too many connections");
  EXPECT_EQ(host_->connections_.size(), 1u);
  Tick(kRefusalPatience);
  EXPECT_THAT(host_->connections_, IsEmpty());
}

TEST_F(RefusedConnectionTest, WhereManyWaitTheAnswerIsSentAtOnce) {
  host_->refused_wait_ = false;
  Refuse();
  EXPECT_THAT(host_->connections_, IsEmpty());
  ExpectAnswer("there are too many connections");
}

TEST_F(RefusedConnectionTest, DrainingEndsIt) {
  Refuse();
  Drain();
  EXPECT_TRUE(UntilEnded());
}

// --- with a PROXY header ---

TEST_F(RefusedConnectionTest, AProxysClientCountsByTheAddressInTheHeader) {
  settings_.proxy_protocol = true;
  Connect();
  Send("PROXY TCP4 203.0.113.7 192.0.2.1 5 80\r\n");
  EXPECT_TRUE(Until([&] { return !host_->connected_as_.empty(); }));
  EXPECT_THAT(host_->connected_as_, ElementsAre("203.0.113.7"));
  EXPECT_EQ(host_->connected_, 2);
}

TEST_F(RefusedConnectionTest, AProxysClientWithTooManyIsToldSo) {
  settings_.proxy_protocol = true;
  host_->connection_capacity_ = Capacity::kAddressFull;
  Connect();
  Send("PROXY TCP6 2001:db8:0:1::7 ::1 5 80\r\n");
  Send(kGet);
  ExpectAnswer("there are too many connections of this address");
  EXPECT_THAT(host_->connected_as_, ElementsAre("2001:db8:0:1::"));
  EXPECT_THAT(host_->connections_refused_,
              ElementsAre("max_connections_per_address 2001:db8:0:1::7"));
}

// --- what makes room ---

TEST_F(RefusedConnectionTest, ANewConnectionHasASecondToSendItsRequest) {
  Connect();
  const Connection& connection = **host_->idle_.begin();
  EXPECT_FALSE(connection.MayMakeRoom(host_->now_ + absl::Milliseconds(999)));
  EXPECT_TRUE(connection.MayMakeRoom(host_->now_ + absl::Seconds(1)));
}

TEST_F(RefusedConnectionTest, AProxyHasASecondToSendItsHeader) {
  settings_.proxy_protocol = true;
  Connect();
  Send("PROXY TCP4");
  Settle();
  ASSERT_FALSE(host_->idle_.empty());
  const Connection& connection = **host_->idle_.begin();
  EXPECT_FALSE(connection.MayMakeRoom(host_->now_ + absl::Milliseconds(999)));
  EXPECT_TRUE(connection.MayMakeRoom(host_->now_ + absl::Seconds(1)));
}

TEST_F(RefusedConnectionTest, AWebSocketMakesNoRoom) {
  Open("/raw");
  EXPECT_THAT(host_->idle_, IsEmpty());
  for (const auto& [key, connection] : host_->connections_) {
    EXPECT_FALSE(connection->MayMakeRoom(host_->now_ + absl::Hours(1)));
  }
}

}  // namespace
}  // namespace headgate
