#include "gateway/upstream/h2/ping_pace.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate {
namespace {

using std::chrono::seconds;

// gRFC A8: servers count pings that come within 5 min of each other, and forget
// them when they send HEADERS or DATA.
class H2PingPaceTest : public ::testing::Test {
 protected:
  // In how many seconds to ping a server that was heard just now.
  long Due() {
    return std::chrono::duration_cast<seconds>(pace_.due(now_) - now_).count();
  }

  H2PingPace::Clock::time_point now_;
  H2PingPace pace_{seconds(30), seconds(330)};
};

TEST_F(H2PingPaceTest, FirstPingComesSoon) { EXPECT_EQ(Due(), 30); }

TEST_F(H2PingPaceTest, PingThatOnlyItsAckHasFollowedIsFollowedByAPause) {
  pace_.OnSent(now_);
  EXPECT_EQ(Due(), 330);
  pace_.OnAck();
  EXPECT_EQ(Due(), 330);
  now_ += seconds(200);
  EXPECT_EQ(Due(), 130);
  now_ += seconds(125);
  EXPECT_EQ(Due(), 30);
}

TEST_F(H2PingPaceTest, AnswerAllowsAnotherPingSoon) {
  pace_.OnSent(now_);
  pace_.OnAck();
  pace_.OnAnswer();
  EXPECT_EQ(Due(), 30);
  pace_.OnSent(now_);
  EXPECT_EQ(Due(), 330);
}

// It may have been sent before the server had the ping.
TEST_F(H2PingPaceTest, AnswerBeforeTheAckDoesNotCount) {
  pace_.OnSent(now_);
  pace_.OnAnswer();
  pace_.OnAck();
  EXPECT_EQ(Due(), 330);
  EXPECT_FALSE(pace_.is_free());
}

}  // namespace
}  // namespace headgate
