#include "gateway/h2/ping_pace.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate::h2 {
namespace {

using std::chrono::seconds;

// gRFC A8: servers count pings that come within 5 min of each other, and forget
// them when they send HEADERS or DATA.
class PingPaceTest : public ::testing::Test {
 protected:
  // In how many seconds to ping a server that was heard just now.
  long Due() {
    return std::chrono::duration_cast<seconds>(pace_.due(now_) - now_).count();
  }

  std::chrono::steady_clock::time_point now_;
  PingPace pace_{seconds(30), seconds(330)};
};

TEST_F(PingPaceTest, FirstPingComesSoon) { EXPECT_EQ(Due(), 30); }

TEST_F(PingPaceTest, PingThatOnlyItsAckHasFollowedIsFollowedByAPause) {
  pace_.OnSent(now_);
  EXPECT_EQ(Due(), 330);
  pace_.OnAck();
  EXPECT_EQ(Due(), 330);
  now_ += seconds(200);
  EXPECT_EQ(Due(), 130);
  now_ += seconds(125);
  EXPECT_EQ(Due(), 30);
}

TEST_F(PingPaceTest, AnswerAllowsAnotherPingSoon) {
  pace_.OnSent(now_);
  pace_.OnAck();
  pace_.OnAnswer();
  EXPECT_EQ(Due(), 30);
  pace_.OnSent(now_);
  EXPECT_EQ(Due(), 330);
}

// It may have been sent before the server had the ping.
TEST_F(PingPaceTest, AnswerBeforeTheAckDoesNotCount) {
  pace_.OnSent(now_);
  pace_.OnAnswer();
  pace_.OnAck();
  EXPECT_EQ(Due(), 330);
  EXPECT_FALSE(pace_.is_free());
}

}  // namespace
}  // namespace headgate::h2
