// Pings to clients (docs/protocol.md, "Keepalive").

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/net/connection_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WsKeepaliveTest : public ConnectionTest {
 protected:
  WsKeepaliveTest() {
    settings_.keepalive.interval = absl::Seconds(25);
    settings_.keepalive.timeout = absl::Seconds(10);
  }
  void OpenAndWait() {
    Open("/raw");
    Settle();
    Tick(absl::ZeroDuration());
  }
  void TickFor(absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(1)) {
      Tick(absl::Seconds(1));
    }
  }
  void ExpectPing() {
    Expect(ping_);
    Settle();  // The gateway knows that it is out.
  }
  const std::string ping_ = Frame(kPing, "headgate", false);
};

TEST_F(WsKeepaliveTest, SilenceIsAnsweredWithAPing) {
  OpenAndWait();
  TickFor(absl::Seconds(24));
  Settle();
  EXPECT_EQ(received_, "");
  TickFor(absl::Seconds(1));
  ExpectPing();
}

TEST_F(WsKeepaliveTest, APongIsALifeSignAndMeasured) {
  OpenAndWait();
  TickFor(absl::Seconds(25));
  ExpectPing();
  TickFor(absl::Seconds(3));
  Send(Frame(kPong, "headgate"));
  Settle();
  EXPECT_THAT(host_->round_trips_, ElementsAre(absl::Seconds(3)));
  TickFor(absl::Seconds(24));
  EXPECT_FALSE(host_->connections_.empty());
}

// RFC 6455 section 5.5.3: a pong may come unasked. It is a frame, and so a sign
// of life, but no answer.
TEST_F(WsKeepaliveTest, APongUnaskedForIsNotMeasured) {
  OpenAndWait();
  Send(Frame(kPong, "headgate"));
  Settle();
  TickFor(absl::Seconds(26));
  ExpectPing();
  Send(Frame(kPong, "other"));
  Settle();
  EXPECT_THAT(host_->round_trips_, IsEmpty());
}

TEST_F(WsKeepaliveTest, WhoAnswersNoPingIsGivenUp) {
  OpenAndWait();
  TickFor(absl::Seconds(25));
  ExpectPing();
  TickFor(absl::Seconds(1));  // Its kernel has taken the ping.
  TickFor(absl::Seconds(9));
  EXPECT_FALSE(host_->connections_.empty());
  TickFor(absl::Seconds(1));
  EXPECT_TRUE(host_->connections_.empty());
  EXPECT_EQ(report().cause, TransportEnd::Cause::kKeepaliveTimeout);
  EXPECT_EQ(report().limit, Limit::kKeepalive);
}

// The piece of a long message is a sign of life, too.
TEST_F(WsKeepaliveTest, AnythingFromTheClientEndsTheSilence) {
  settings_.message_timeout = absl::InfiniteDuration();
  OpenAndWait();
  const std::string message = Frame(kBinary, std::string(5000, 'x'));
  for (std::size_t i = 0; i < 5; ++i) {
    TickFor(absl::Seconds(20));
    Send(message.substr(i * 1000, 1000));
    Settle();
  }
  EXPECT_EQ(received_, "");
  EXPECT_FALSE(host_->connections_.empty());
}

// Its frames wait in the connection while its messages wait for the backend.
TEST_F(WsKeepaliveTest, WhoIsNotReadFromIsNotTakenForDead) {
  host_->limits_.stall_timeout = absl::Hours(1);
  host_->limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  OpenAndWait();
  Send(Frame(kBinary, "a") + Frame(kBinary, "b"));
  Settle();
  TickFor(absl::Seconds(26));
  ExpectPing();
  TickFor(absl::Seconds(20));
  EXPECT_FALSE(host_->connections_.empty());
  Abort();
}

}  // namespace
}  // namespace headgate
