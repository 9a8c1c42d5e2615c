#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/session/multiplex_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Log;
using ::testing::Not;
using ::testing::StartsWith;

// What one empty message costs in a queue.
constexpr std::size_t kItem = WatermarkQueue<std::string>::kItemBytes;

class MultiplexFlowTest : public MultiplexFixture {};

// --- What the backend has not taken

TEST_F(MultiplexFlowTest, AClientThatOverrunsTheWindowEndsThatCallAlone) {
  table().call_window_bytes = 100;
  Start();
  Send(Packet(kTalk, 1, "a") + Packet(kTalk, 2, "b"));
  Send(Packet(kTalk, 1, std::string(200, 'x')));  // Fills the window.
  EXPECT_TRUE(upstream_->call(0).alive());
  Steps();
  Send(Packet(kTalk, 1));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 RESOURCE_EXHAUSTED more "
                                   "than call_window (100) waits for the "
                                   "backend",
                                   "cancel", "ws read"));
  EXPECT_TRUE(upstream_->call(1).alive());
}

TEST_F(MultiplexFlowTest, ASlowBackendDoesNotStopTheReadingFromTheClient) {
  table().call_window_bytes = 100;
  Start();
  Send(Packet(kTalk, 1, "a"));
  Steps();
  Send(Packet(kTalk, 1, std::string(200, 'x')));
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  Send(Packet(kTalk, 2, "b"));
  EXPECT_THAT(upstream_->call(1).written(), ElementsAre("b"));
}

// Empty messages cost what they hold in the queue.
TEST_F(MultiplexFlowTest, EmptyMessagesCountInTheWindow) {
  table().call_window_bytes = 10 * kItem;
  Start();
  for (int i = 0; i < 12; ++i) Send(Packet(kTalk, 1));
  EXPECT_TRUE(upstream_->call(0).alive());
  Send(Packet(kTalk, 1));
  EXPECT_FALSE(upstream_->call(0).alive());
}

// A client cannot see more than that what it sent was not too much: there is no
// second mark that the backend must get down to first.
TEST_F(MultiplexFlowTest, BelowTheWindowThereIsAlwaysRoom) {
  table().call_window_bytes = 4 * kItem;
  Start();
  for (int i = 0; i < 6; ++i) Send(Packet(kTalk, 1));
  backend(0).OnWritten();
  for (int i = 0; i < 5; ++i) {
    Send(Packet(kTalk, 1));
    ASSERT_TRUE(upstream_->call(0).alive());
    backend(0).OnWritten();
  }
}

TEST_F(MultiplexFlowTest, AMessageLongerThanTheWindowGoesToABackendThatIsIdle) {
  table().call_window_bytes = 10;
  Start();
  Send(Packet(kTalk, 1, std::string(100, 'x')));
  backend(0).OnWritten();
  Send(Packet(kTalk, 1, std::string(100, 'y')));
  EXPECT_EQ(upstream_->call(0).written().size(), 2u);
}

// stall_timeout counts from the last message that the backend took.
TEST_F(MultiplexFlowTest, ABackendThatTakesNothingEndsItsCallAlone) {
  table().call_window_bytes = 1;
  limits_.stall_timeout = absl::Seconds(30);
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 1) + Packet(kTalk, 2));
  backend(1).OnWritten();
  session_->OnTick(now_);
  session_->OnTick(now_ + absl::Seconds(29));
  EXPECT_TRUE(upstream_->call(0).alive());
  Steps();
  session_->OnTick(now_ + absl::Seconds(30));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 RESOURCE_EXHAUSTED the "
                                   "backend has taken no message for 30s",
                                   "cancel"));
  EXPECT_TRUE(upstream_->call(1).alive());
}

TEST_F(MultiplexFlowTest, TheOneMessageThatIsNotTakenEndsItsCall) {
  limits_.stall_timeout = absl::Seconds(30);
  Start();
  Send(Packet(kTalk, 1));
  session_->OnTick(now_);
  session_->OnTick(now_ + absl::Seconds(29));
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ + absl::Seconds(30));
  EXPECT_FALSE(upstream_->call(0).alive());
}

TEST_F(MultiplexFlowTest, AMessageTakenRestartsTheStall) {
  table().call_window_bytes = 1;
  limits_.stall_timeout = absl::Seconds(30);
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 1));
  session_->OnTick(now_);
  backend(0).OnWritten();
  Send(Packet(kTalk, 1));
  session_->OnTick(now_ + absl::Seconds(20));
  session_->OnTick(now_ + absl::Seconds(45));
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ + absl::Seconds(50));
  EXPECT_FALSE(upstream_->call(0).alive());
}

// --- What the client has not taken

TEST_F(MultiplexFlowTest, JoinsAnswersThatWait) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kWalk, 2));
  backend(0).OnMessage("a");
  backend(0).OnMessage("b");
  backend(1).OnMessage("c");
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 b, 2#2 c"));
}

TEST_F(MultiplexFlowTest, JoinsNoMoreThanCoalesceBytes) {
  route_->packet.coalesce_bytes = 26;
  Start();
  Send(Packet(kTalk, 1));
  for (const char* answer : {"a", "b", "c", "d"}) {
    backend(0).OnMessage(answer);
  }
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 b, 1#1 c"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 d"));
}

TEST_F(MultiplexFlowTest, JoinsNothingWhereTheRouteSaysSo) {
  route_->packet.coalesce = PacketOptions::Coalesce::kOff;
  Start();
  Send(Packet(kTalk, 1));
  for (const char* answer : {"a", "", ""}) backend(0).OnMessage(answer);
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 "));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 "));
}

// The client's window closes: no backend is read until there is room.
TEST_F(MultiplexFlowTest, ASlowClientStopsTheReadingFromEveryBackend) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  backend(0).OnMessage("a");
  Steps();
  backend(0).OnMessage("b");
  backend(1).OnMessage("c");
  EXPECT_THAT(Steps(), IsEmpty());
  session_->OnWritten();
  EXPECT_THAT(Steps(),
              ElementsAre("ws binary 1#1 b, 1#2 c", "read", "#1 read"));
}

// One that floods gets one answer in before the others have theirs.
TEST_F(MultiplexFlowTest, CallsTakeTurnsWhenTheClientIsSlow) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  route_->packet.coalesce = PacketOptions::Coalesce::kOff;
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2) + Packet(kTalk, 3));
  backend(2).OnMessage("first");
  // All have one more ready than may be read; the flood is the quickest.
  backend(2).OnMessage("c");
  backend(0).OnMessage("a");
  backend(1).OnMessage("b");
  Steps();
  Log order;
  for (int i = 0; i < 9; ++i) {
    session_->OnWritten();
    for (const std::string& step : Steps()) {
      if (step.rfind("ws binary", 0) == 0) order.push_back(step);
    }
    for (const std::size_t call : {2, 0, 1}) {
      if (upstream_->call(call).reading()) backend(call).OnMessage("more");
    }
    Steps();
  }
  EXPECT_THAT(order, ElementsAre("ws binary 1#3 c", "ws binary 1#1 a",
                                 "ws binary 1#2 b", "ws binary 1#3 more",
                                 "ws binary 1#1 more", "ws binary 1#2 more",
                                 "ws binary 1#3 more", "ws binary 1#1 more",
                                 "ws binary 1#2 more"));
}

TEST_F(MultiplexFlowTest, ACallThatEndedWhileItWaitedIsNotRead) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  table().call_window_bytes = 1;
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 1));
  backend(0).OnMessage("a");
  backend(0).OnMessage("b");  // From now on no answer is asked for.
  session_->OnTick(now_);
  session_->OnTick(now_ + limits_.stall_timeout);
  ASSERT_FALSE(upstream_->call(0).alive());
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre(StartsWith("ws binary 1#1 b, end#1 ")));
}

// What a client sends may be answered, by an end packet if nothing else: while
// it takes no answers, nothing more is taken from it.
TEST_F(MultiplexFlowTest, AFloodOfUnknownTypesWaitsForTheClientToRead) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1000};
  route_->packet.coalesce = PacketOptions::Coalesce::kOff;
  Start();
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += Packet(77, i);
  Steps();
  Send(std::move(flood));
  EXPECT_THAT(Steps(), ElementsAre(StartsWith("ws binary end#0 UNIMPL")));
  // Neither is the rest taken by a tick, nor is more read.
  session_->OnTick(now_);
  EXPECT_THAT(Steps(), IsEmpty());
  Log answers;
  bool read = false;
  for (int i = 0; i < 1000 && !read; ++i) {
    session_->OnWritten();
    for (const std::string& step : Steps()) {
      if (step == "ws read") {
        read = true;
      } else {
        answers.push_back(step);
      }
    }
  }
  EXPECT_TRUE(read);
  // Once all but the last ones are written, which there is room for.
  EXPECT_THAT(answers, Each(HasSubstr(" UNIMPLEMENTED ")));
  EXPECT_GT(answers.size(), 950u);
}

TEST_F(MultiplexFlowTest, GoesOnInTheMiddleOfAMessageOnceThereIsRoom) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Steps();
  Send(Packet(77, 1) + Packet(77, 2) + Packet(kTalk, 3, "a"));
  EXPECT_THAT(Steps(), ElementsAre(StartsWith("ws binary end#1")));
  session_->OnWritten();
  EXPECT_THAT(Steps(),
              ElementsAre(StartsWith("ws binary end#2"), "start /s/Talk",
                          "read", "write a", "ws read"));
}

TEST_F(MultiplexFlowTest, AStatusWaitsForNoRoom) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  backend(0).OnMessage("a");
  backend(0).OnMessage("b");
  Steps();
  backend(1).OnDone({absl::OkStatus(), ""});
  EXPECT_FALSE(upstream_->call(1).alive());
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 b, end#2 OK", "read"));
}

// --- While the method is looked up

class MultiplexLookupTest : public MultiplexFlowTest {
 protected:
  MultiplexLookupTest() { schemas_->answers_at_once = false; }
};

TEST_F(MultiplexLookupTest, KeepsWhatTheClientSends) {
  Start();
  Steps();
  Send(Packet(kGreetings, 1, "a") + Packet(kGreetings, 1, "b") + End(1));
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  schemas_->Answer();
  EXPECT_THAT(Steps(), ElementsAre(absl::StrCat("start ", kLotsOfGreetings),
                                   "read", "write a"));
  backend(0).OnWritten();
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("write b", "writes-done"));
}

TEST_F(MultiplexLookupTest, KeepsNoMoreThanTheWindow) {
  table().call_window_bytes = 100;
  Start();
  Send(Packet(kTalk, 1, "a") + Packet(kTalk, 2, std::string(200, 'x')));
  Steps();
  Send(Packet(kTalk, 2));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#2 RESOURCE_EXHAUSTED more "
                                   "than call_window (100) waits for the "
                                   "backend",
                                   "ws read"));
  EXPECT_EQ(schemas_->waiting(), 1u);
}

// Whether the descriptors are there is nothing that a client can know.
TEST_F(MultiplexLookupTest, TakesALongFirstMessageAsAnIdleBackendDoes) {
  table().call_window_bytes = 10;
  Start();
  Send(Packet(kTalk, 1, std::string(100, 'x')));
  schemas_->Answer();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(std::string(100, 'x')));
  EXPECT_TRUE(upstream_->call(0).alive());
}

TEST_F(MultiplexLookupTest, WhatItKeptFitsTheCallsOwnWindow) {
  table().call_window_bytes = 10 * kItem;
  Start();
  for (int i = 0; i < 11; ++i) Send(Packet(kTalk, 1));
  schemas_->Answer();
  EXPECT_TRUE(upstream_->call(0).alive());
}

// Guessing the kind of the call would leave a unary one hanging.
TEST_F(MultiplexLookupTest, AnUpstreamThatCannotBeAskedEndsTheCall) {
  schemas_->why_unknown = absl::UnavailableError("connection refused");
  Start();
  Send(Packet(kTalk, 1, "a") + Packet(kBidi, 2));
  Steps();
  schemas_->Answer();
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws binary end#1 UNAVAILABLE connection refused",
                  absl::StrCat("start ", kBidiHello), "read", "write "));
}

TEST_F(MultiplexLookupTest, AFaultInWhatItKeptEndsTheCall) {
  Start();
  Send(Packet(kUnary, 1, "a") + Packet(kUnary, 1, "b") +
       Packet(kUnary, 1, "c"));
  Steps();
  schemas_->Answer();
  EXPECT_THAT(Steps(),
              ElementsAre(absl::StrCat("start ", kSayHello), "read", "write a",
                          "ws binary end#1 INVALID_ARGUMENT a second request "
                          "message, and the method takes one",
                          "cancel"));
}

TEST_F(MultiplexLookupTest, DataAfterTheEndPacketIsAFaultThereToo) {
  Start();
  Send(Packet(kTalk, 1) + End(1));
  Steps();
  Send(Packet(kTalk, 1));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 INVALID_ARGUMENT data "
                                   "after half-close",
                                   "ws read"));
}

TEST_F(MultiplexLookupTest, HalfCloseIsSaidOnceThereToo) {
  Start();
  Send(Packet(kTalk, 1));
  Steps();
  Send(End(1) + End(1));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 INVALID_ARGUMENT "
                                   "half-close after half-close",
                                   "ws read"));
  EXPECT_EQ(schemas_->waiting(), 0u);
}

TEST_F(MultiplexLookupTest, IsForgottenWithTheCallOrTheSession) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  Send(Packet(kWalk, 1));
  EXPECT_EQ(schemas_->waiting(), 1u);
  session_->OnClosed({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
  EXPECT_EQ(schemas_->waiting(), 0u);
  schemas_->Answer();
  EXPECT_EQ(upstream_->call_count(), 0u);
}

TEST_F(MultiplexFlowTest, SaysWhatIsUnimplementedWhenTheBackendDoesNot) {
  schemas_->why_unknown = absl::UnimplementedError("unknown method s/Talk");
  Start();
  Send(Packet(kTalk, 1));
  Steps();
  backend(0).OnDone({absl::UnimplementedError(""), ""});
  EXPECT_THAT(Steps(),
              ElementsAre("ws binary end#1 UNIMPLEMENTED unknown method "
                          "s/Talk"));
}

// docs/security.md: a message of 1.5 KiB opens 100 calls, which costs as much
// as 64 KiB of other messages, or more.
class MultiplexTurnTest : public MultiplexFixture {
 protected:
  MultiplexTurnTest() { context_turn_ = &turn_; }
};

TEST_F(MultiplexTurnTest, CallsThatTakeLongToOpenLeaveTimeToOthers) {
  upstream_->on_start_ = [this] { WorkLong(); };
  Start();
  Steps();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2) + Packet(kTalk, 1, "a"));
  EXPECT_EQ(upstream_->call_count(), 1u);
  turn_.Run();
  EXPECT_EQ(upstream_->call_count(), 1u);
  turn_.OnWoken();
  EXPECT_EQ(upstream_->call_count(), 2u);
  EXPECT_THAT(Steps(), Not(Contains("ws read")));
  turn_.OnWoken();
  EXPECT_THAT(upstream_->call(0).written(), Contains(""));
  backend(0).OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), Contains("a"));
  EXPECT_THAT(Steps(), Contains("ws read"));
}

// One call in a tick, and messages of open calls, do not wait.
TEST_F(MultiplexTurnTest, WhereOthersHaveWorkedLongFurtherCallsWait) {
  Start();
  WorkLong();
  Send(Packet(kTalk, 1));
  EXPECT_EQ(upstream_->call_count(), 1u);
  Send(Packet(kTalk, 2));
  EXPECT_EQ(upstream_->call_count(), 1u);
  turn_.OnWoken();
  EXPECT_EQ(upstream_->call_count(), 2u);
  session_->OnTick(now_);
  WorkLong();
  Send(Packet(kTalk, 3));
  EXPECT_EQ(upstream_->call_count(), 3u);
}

// Who begins later need not wait until the others are done.
TEST_F(MultiplexTurnTest, SessionsThatOpenManyCallsTakeTurns) {
  Start();
  bool others_had_theirs = false;
  class Other final : public TurnTask {
   public:
    explicit Other(bool& had) : had_(had) {}
    void OnTurn() override { had_ = true; }

   private:
    bool& had_;
  } other(others_had_theirs);
  WorkLong();
  std::string packets;
  for (std::uint32_t who = 1; who <= 50; ++who) packets += Packet(kTalk, who);
  Send(packets);
  turn_.Next(other);
  for (int i = 0; i < 20 && !others_had_theirs; ++i) turn_.OnWoken();
  EXPECT_TRUE(others_had_theirs);
  EXPECT_LT(upstream_->call_count(), 50u);
  for (int i = 0; i < 50; ++i) turn_.OnWoken();
  EXPECT_EQ(upstream_->call_count(), 50u);
}

// docs/security.md: what counts for max_memory.
TEST_F(MultiplexFlowTest, OpenCallsCountAsMemory) {
  upstream_->call_bytes_ = 3000;
  Start();
  EXPECT_EQ(session_->held_bytes(), 0u);
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  EXPECT_GE(session_->held_bytes(), 2 * (3000 + std::strlen("x-playerann")));
  EXPECT_LT(session_->held_bytes(), 7000u);
  backend(0).OnDone({});
  EXPECT_LT(session_->held_bytes(), 5000u);
  backend(1).OnDone({});
  EXPECT_LT(session_->held_bytes(), 100u);
}

TEST_F(MultiplexTurnTest, AMessageThatWaitsMayOutliveItsSession) {
  Start();
  WorkLong();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  session_->OnClosed({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
  turn_.OnWoken();
  EXPECT_EQ(upstream_->call_count(), 1u);
  session_.reset();
  turn_.OnWoken();
}

}  // namespace
}  // namespace headgate
