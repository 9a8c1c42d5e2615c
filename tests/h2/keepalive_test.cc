#include "gateway/h2/keepalive.h"

#include <chrono>

#include <gtest/gtest.h>

namespace headgate::h2 {
namespace {

using std::chrono::seconds;
using Verdict = Keepalive::Verdict;

class KeepaliveTest : public ::testing::Test {
 protected:
  KeepaliveTest() { keepalive_.Start(now_); }

  long Due() {
    return std::chrono::duration_cast<seconds>(keepalive_.due() - now_).count();
  }
  Verdict CheckWhenDue() { return keepalive_.Check(now_ = keepalive_.due()); }
  void Receive(seconds after) { keepalive_.OnReceived(now_ += after); }

  Time now_{seconds(1000)};
  Keepalive keepalive_{seconds(30), seconds(330), seconds(20)};
};

TEST_F(KeepaliveTest, SilencePingsAndThenEnds) {
  EXPECT_EQ(Due(), 30);
  EXPECT_EQ(CheckWhenDue(), Verdict::kPing);
  EXPECT_TRUE(keepalive_.is_probing());
  EXPECT_EQ(Due(), 20);
  EXPECT_EQ(keepalive_.Check(now_ + seconds(19)), Verdict::kWait);
  EXPECT_EQ(CheckWhenDue(), Verdict::kDead);
}

TEST_F(KeepaliveTest, WhateverComesPutsItOff) {
  Receive(seconds(20));
  EXPECT_EQ(Due(), 30);
  EXPECT_EQ(CheckWhenDue(), Verdict::kPing);
  Receive(seconds(19));
  keepalive_.pace().OnAck();
  EXPECT_FALSE(keepalive_.is_probing());
  EXPECT_EQ(Due(), 330 - 19);  // Only the ACK has come.
  keepalive_.pace().OnAnswer();
  EXPECT_EQ(Due(), 30);
}

// All calls have gone and others begin: the PING that has no ACK is still the
// question, and another one need not wait for the pause.
TEST_F(KeepaliveTest, PingThatIsOutStaysTheQuestionForLaterCalls) {
  ASSERT_EQ(CheckWhenDue(), Verdict::kPing);
  now_ += seconds(5);
  keepalive_.Start(now_);
  EXPECT_EQ(Due(), 30);
  EXPECT_EQ(CheckWhenDue(), Verdict::kWait);
  EXPECT_TRUE(keepalive_.is_probing());
  EXPECT_EQ(Due(), 20);
  EXPECT_EQ(CheckWhenDue(), Verdict::kDead);
}

// The same of one that measures the round trip.
TEST_F(KeepaliveTest, PingForAnotherReasonIsAsGood) {
  keepalive_.pace().OnSent(now_);
  Receive(seconds(1));  // What was on its way.
  EXPECT_EQ(Due(), 30);
  EXPECT_EQ(CheckWhenDue(), Verdict::kWait);
  EXPECT_EQ(CheckWhenDue(), Verdict::kDead);
}

TEST_F(KeepaliveTest, LateAckIsALife) {
  ASSERT_EQ(CheckWhenDue(), Verdict::kPing);
  Receive(seconds(3));
  keepalive_.pace().OnAck();
  EXPECT_EQ(Due(), 327);
  EXPECT_EQ(keepalive_.Check(now_ + seconds(30)), Verdict::kWait);
}

}  // namespace
}  // namespace headgate::h2
