// When a WebSocket need not be looked at with each tick (Connection::Rest), and
// what wakes it. FakeHost checks that it says so once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/net/connection_fixture.h"

namespace headgate {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class WsRestTest : public ConnectionTest {
 protected:
  void OpenIdle(const std::string& path = "/raw", int buffer_bytes = 0) {
    Open(path, buffer_bytes);
    Settle();
    Tick(absl::ZeroDuration());
    ASSERT_TRUE(IsAtRest());
  }
  bool IsAtRest() const {
    EXPECT_THAT(host_->connections_, SizeIs(1));
    return !host_->resting_.empty();
  }
  bool UntilAwake() {
    return Until([&] { return host_->resting_.empty(); });
  }
  void ExpectRestAfterATick() {
    Settle();
    Tick(absl::Milliseconds(250));
    EXPECT_TRUE(IsAtRest());
  }
  // What wakes does so each time.
  void ExpectWakes(const std::function<void()>& act) {
    for (int i = 0; i < 2; ++i) {
      act();
      EXPECT_TRUE(UntilAwake());
      ExpectRestAfterATick();
    }
  }
  // A route whose client may send ten messages a second.
  void LimitTheRate() {
    Route route;
    route.path = "/raw";
    route.target = FixedMethod{"/s/m"};
    route.codec = &kRawDialect;
    route.messages = {.per_second = 10, .burst = 10};
    settings_.policy.router =
        std::make_shared<const Router>(std::vector<Route>{route});
  }
  void SendMessages(int count) {
    for (int i = 0; i < count; ++i) Send(Frame(kBinary, "x"));
    Settle();
  }
  // Until it does, stall_timeout is timed.
  void BackendTakes(int count) {
    for (int i = 0; i < count; ++i) call().observer().OnWritten();
  }
};

TEST_F(WsRestTest, AWebSocketIsAtRestOnceItWaitsForItsClient) {
  Connect();
  Settle();
  Tick(absl::ZeroDuration());
  EXPECT_FALSE(IsAtRest()) << "the handshake is timed";
  Send(Request("/raw"));
  ReceiveHead();
  EXPECT_FALSE(IsAtRest());
  ExpectRestAfterATick();
}

TEST_F(WsRestTest, AMessageWakesIt) {
  OpenIdle();
  ExpectWakes([&] {
    Send(Frame(kBinary, "x"));
    Settle();
    call().observer().OnWritten();
  });
}

// The rest of it is timed.
TEST_F(WsRestTest, APieceOfAMessageWakesItUntilTheMessageIsWhole) {
  OpenIdle();
  const std::string message = Frame(kBinary, std::string(2000, 'x'));
  Send(message.substr(0, 1000));
  EXPECT_TRUE(UntilAwake());
  Settle();
  Tick(absl::Milliseconds(250));
  EXPECT_FALSE(IsAtRest());
  Send(message.substr(1000));
  Settle();
  BackendTakes(1);
  ExpectRestAfterATick();
}

TEST_F(WsRestTest, APingWakesItAndSoDoesAPong) {
  OpenIdle();
  ExpectWakes([&] { Send(Frame(kPing, "x")); });
  ExpectWakes([&] { Send(Frame(kPong, "x")); });
}

TEST_F(WsRestTest, AnAnswerWakesIt) {
  OpenIdle("/bin");
  ExpectWakes([&] { call().observer().OnMessage("x"); });
}

// Of the end there are the closing handshake and its timeout.
TEST_F(WsRestTest, TheEndOfTheCallWakesIt) {
  OpenIdle();
  BackendEnds(absl::OkStatus());
  EXPECT_TRUE(UntilAwake());
  Settle();
  Tick(absl::ZeroDuration());
  EXPECT_FALSE(IsAtRest());
  Abort();
}

TEST_F(WsRestTest, TheClientsCloseWakesIt) {
  OpenIdle();
  Send(CloseFrame(1000));
  EXPECT_TRUE(UntilAwake());
  Settle();
  Tick(absl::ZeroDuration());
  EXPECT_FALSE(IsAtRest());
  Abort();
}

TEST_F(WsRestTest, DrainingWakesItUntilTheBackendIsSilent) {
  OpenIdle();
  host_->ForEach([&](Connection& c) { c.Drain(host_->drain_order()); });
  EXPECT_FALSE(IsAtRest());
  Tick(absl::Milliseconds(99));
  EXPECT_FALSE(IsAtRest());
  Abort();
}

TEST_F(WsRestTest, TheOperatorWakesIt) {
  OpenIdle();
  host_->ForEach([](Connection& c) { c.CloseSession(); });
  EXPECT_FALSE(IsAtRest());
  Abort();
}

// send_timeout.
TEST_F(WsRestTest, WhileAnAnswerIsBeingSentItIsAwake) {
  OpenIdle("/bin", 16 * 1024);
  call().observer().OnMessage(std::string(8'000'000, 'x'));
  Settle();
  Tick(absl::Milliseconds(250));
  EXPECT_FALSE(IsAtRest());
  ASSERT_TRUE(UntilReceived(8'000'000));
  received_.clear();
  ExpectRestAfterATick();
}

// stall_timeout.
TEST_F(WsRestTest, WhileMessagesWaitForTheBackendItIsAwake) {
  host_->limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  OpenIdle();
  SendMessages(2);
  Tick(absl::Milliseconds(250));
  EXPECT_FALSE(IsAtRest());
  call().observer().OnWritten();
  call().observer().OnWritten();
  ExpectRestAfterATick();
}

// keepalive.timeout.
TEST_F(WsRestTest, WhileAPingHasNoAnswerItIsAwake) {
  settings_.keepalive.interval = absl::Seconds(25);
  OpenIdle();
  Tick(absl::Seconds(25));
  Settle();
  EXPECT_FALSE(IsAtRest());
  Tick(absl::Milliseconds(250));
  EXPECT_FALSE(IsAtRest());
  Send(Frame(kPong, "headgate"));
  ExpectRestAfterATick();
}

// While it was at rest nobody has told the session how the time goes by.
TEST_F(WsRestTest, WhatMayBeSentHasComeInWhileItWasAtRest) {
  LimitTheRate();
  OpenIdle();
  SendMessages(10);
  BackendTakes(10);
  ExpectRestAfterATick();
  host_->now_ += absl::Seconds(1);
  SendMessages(10);
  EXPECT_TRUE(call().alive());
}

TEST_F(WsRestTest, WhatMayBeSentDoesNotComeInAfterwardsOnceMore) {
  LimitTheRate();
  OpenIdle();
  host_->now_ += absl::Seconds(1);
  SendMessages(10);
  Tick(absl::ZeroDuration());
  SendMessages(1);
  EXPECT_FALSE(call().alive());
  Abort();
}

TEST_F(WsRestTest, AConnectionAtRestMayBeLost) {
  OpenIdle();
  client_.close();
  EXPECT_TRUE(UntilEnded());
  EXPECT_THAT(host_->resting_, IsEmpty());
}

}  // namespace
}  // namespace headgate
