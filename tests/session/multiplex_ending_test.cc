#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "tests/session/multiplex_fixture.h"

namespace headgate {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Log;
using ::testing::Not;

class MultiplexEndingTest : public MultiplexFixture {};

// --- The client's doing

TEST_F(MultiplexEndingTest, AClientThatLeavesCancelsEveryCall) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  Steps();
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByClient, CloseCode::kGoingAway, "bye"});
  EXPECT_FALSE(upstream_->call(0).alive());
  EXPECT_FALSE(upstream_->call(1).alive());
  EXPECT_EQ(Steps().size(), 2u);  // Nothing is sent.
  EXPECT_EQ(session_->report().status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(session_->report().close, CloseCode::kGoingAway);
  EXPECT_EQ(session_->report().cause, TransportEnd::Cause::kClosedByClient);
}

TEST_F(MultiplexEndingTest, AClientThatLeavesNoCallBehindIsDone) {
  Start();
  Send(Packet(kTalk, 1));
  backend(0).OnDone({absl::NotFoundError("no such room"), ""});
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByClient, CloseCode::kNormal, ""});
  EXPECT_TRUE(session_->report().status.ok());
  EXPECT_EQ(session_->report().close, CloseCode::kNormal);
}

// A message is whole packets; the fault is told with its offset and its field,
// and calls are told before the Close frame.
TEST_F(MultiplexEndingTest, AFaultOfTheFramingEndsTheSessionWith1002) {
  route_->packet.max_packet_bytes = 100;
  const std::string good = Packet(kTalk, 1, "ok");
  const struct {
    std::string message;
    const char* fault;
  } kCases[] = {
      {"", "packet at offset 0: header: 0 bytes instead of 12"},
      {"abc", "packet at offset 0: header: 3 bytes instead of 12"},
      {good + "x", "packet at offset 14: header: 1 bytes instead of 12"},
      {good + Packet(kTalk, 3, "abc").substr(0, 14),
       "packet at offset 14: length: 3 bytes of content, but only 2 are there"},
      {Packet(kTalk, 3, std::string(101, 'x')),
       "packet at offset 0: length: 101 is over max_packet_bytes (100)"},
      {Packet(kEndPacket, 1, "x"),
       "packet at offset 0: length: an end packet with content"},
  };
  for (const auto& [message, fault] : kCases) {
    Start();
    Send(Packet(kTalk, 1));
    Steps();
    Send(message);
    const std::string end = absl::StrCat("end#1 INVALID_ARGUMENT ", fault);
    EXPECT_THAT(absl::StrJoin(Steps(), "\n"), HasSubstr(end));
    session_->OnWritten();
    const Log steps = Steps();
    ASSERT_FALSE(steps.empty());
    EXPECT_EQ(steps.back(), absl::StrCat("ws close 1002 ", fault));
    EXPECT_EQ(session_->report().close, CloseCode::kProtocolError);
    session_.reset();
  }
}

TEST_F(MultiplexEndingTest, ThePacketsBeforeAFaultAreTaken) {
  Start();
  Send(Packet(kTalk, 1, "a") + "x");
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("a"));
  EXPECT_FALSE(upstream_->call(0).alive());
}

TEST_F(MultiplexEndingTest, TextIsTheWrongOpcode) {
  Start();
  Steps();
  Text("{}");
  EXPECT_THAT(Steps(),
              ElementsAre("ws read", HasSubstr("ws close 1003 text message")));
}

TEST_F(MultiplexEndingTest, AMessageTooBigEndsWith1009) {
  route_->max_message_bytes = 10;
  Start();
  Send(Packet(kTalk, 1));
  Steps();
  session_->OnMessageTooBig({});
  const std::string fault = "a message is longer than max_message_bytes (10)";
  EXPECT_THAT(
      Steps(),
      ElementsAre(absl::StrCat("ws binary end#1 RESOURCE_EXHAUSTED ", fault),
                  "cancel", "ws read"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre(absl::StrCat("ws close 1009 ", fault)));
}

// --- After a violation of the transport's rules

TEST_F(MultiplexEndingTest, ViolationEndsASessionWithoutCallsAtOnce) {
  Start();
  Steps();
  Violate();
  EXPECT_THAT(Steps(),
              ElementsAre("ws read", "ws close 1002 a reserved bit is set"));
}

TEST_F(MultiplexEndingTest, AnswersBeforeAViolationAreDelivered) {
  Start();
  Send(Packet(kTalk, 1, "a") + Packet(kUnary, 2, ""));
  Violate();
  Steps();
  session_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(Steps().empty());
  backend(0).OnMessage("answer");
  session_->OnWritten();
  session_->OnTick(now_ += absl::Seconds(1));
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 answer", "read"))
      << "the unary call is waited for";
  backend(1).OnMessage("");
  backend(1).OnDone({absl::OkStatus(), ""});
  session_->OnWritten();
  session_->OnWritten();
  Steps();
  session_->OnTick(now_ += absl::Milliseconds(1));
  EXPECT_TRUE(Steps().empty());
  session_->OnTick(now_ += absl::Milliseconds(100));
  session_->OnWritten();
  EXPECT_THAT(Steps(),
              ElementsAre("ws binary end#1 INVALID_ARGUMENT a reserved bit is "
                          "set",
                          "cancel", "ws close 1002 a reserved bit is set"));
}

// Of a client's streams that were not ended nothing comes.
TEST_F(MultiplexEndingTest, ViolationWithinAClientsStreamEndsItAtOnce) {
  Start();
  Send(Packet(kGreetings, 1, ""));
  backend(0).OnWritten();
  Steps();
  Violate();
  session_->OnWritten();
  EXPECT_EQ(Steps().back(), "ws close 1002 a reserved bit is set");
}

TEST_F(MultiplexEndingTest, AnswersAfterAViolationHaveUntilTheDeadline) {
  Start();
  Send(Packet(kTalk, 1, "a"));
  Violate();
  session_->OnTick(now_ + absl::Seconds(5) - absl::Milliseconds(1));
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ + absl::Seconds(5));
  EXPECT_FALSE(upstream_->call(0).alive());
}

// What of the message before is not taken yet still is.
TEST_F(MultiplexEndingTest, PacketsBeforeAViolationGoOn) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Send(Packet(77, 1) + Packet(77, 2) + Packet(kTalk, 3, "a"));
  EXPECT_EQ(upstream_->call_count(), 0u);
  Violate();
  session_->OnTick(now_ += absl::Seconds(1));
  session_->OnWritten();
  session_->OnWritten();
  EXPECT_EQ(upstream_->call_count(), 1u);
}

// --- Drain

TEST_F(MultiplexEndingTest, DrainTellsEveryCallAndThenTheSession) {
  Start();
  Send(Packet(kTalk, 1));
  backend(0).OnMessage("a");
  backend(0).OnMessage("b");
  Steps();
  Drain();
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 b, end#1 UNAVAILABLE the "
                                   "gateway is shutting down"));
  session_->OnWritten();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1001 the gateway is shutting down"));
  EXPECT_EQ(session_->report().close, CloseCode::kGoingAway);
}

TEST_F(MultiplexEndingTest, DrainClosesAtOnceWhenNoCallIsOpen) {
  Start();
  Steps();
  Drain();
  Drain();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1001 the gateway is shutting down"));
}

TEST_F(MultiplexEndingTest, DrainForgetsTheMethodsThatAreLookedUp) {
  schemas_->answers_at_once = false;
  Start();
  Send(Packet(kTalk, 1));
  Drain();
  EXPECT_EQ(schemas_->waiting(), 0u);
}

// After an ending of the gateway's own the client may still be sending; it has
// to get as far as the Close frame.
TEST_F(MultiplexEndingTest, DropsWhatComesWhileItEnds) {
  Start();
  Send(Packet(kTalk, 1));
  Drain();
  Steps();
  Send(Packet(kTalk, 2));
  Text("{}");
  EXPECT_THAT(Steps(), ElementsAre("ws read", "ws read"));
  EXPECT_EQ(upstream_->call_count(), 1u);
}

// What was not yet taken of the client's message is not taken any more.
TEST_F(MultiplexEndingTest, DrainLeavesTheRestOfAMessage) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Send(Packet(77, 1) + Packet(77, 2) + Packet(kTalk, 3));
  Drain();
  session_->OnWritten();
  EXPECT_EQ(upstream_->call_count(), 0u);
}

// The same while a draining session still waits for its backends: what waited
// for room is dropped, not taken once there is room.
TEST_F(MultiplexEndingTest, ADrainingSessionTakesNoRestOfAMessage) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Send(Packet(kTalk, 1) + Packet(77, 2) + Packet(77, 3) + Packet(kTalk, 4));
  ASSERT_EQ(upstream_->call_count(), 1u);
  TellToDrain();
  session_->OnWritten();
  session_->OnWritten();
  EXPECT_EQ(upstream_->call_count(), 1u);
  EXPECT_EQ(session_->buffered().in, 0u);
  Steps();
  Send(Packet(kTalk, 5));
  EXPECT_EQ(upstream_->call_count(), 1u);
}

// Answers that are withheld from a slow client are still on their way.
TEST_F(MultiplexEndingTest, DrainWaitsForAClientThatReadsSlowly) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start();
  Send(Packet(kTalk, 1));
  backend(0).OnMessage("a");
  backend(0).OnMessage("b");  // The next read is withheld.
  Steps();
  TellToDrain();
  session_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(Steps().empty());
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 b", "read"));
  session_->OnTick(now_ += absl::Milliseconds(99));
  EXPECT_TRUE(Steps().empty());
  session_->OnTick(now_ += absl::Milliseconds(1));
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
}

TEST_F(MultiplexEndingTest, ResponsesKeepASessionFromBeingIdle) {
  route_->idle_timeout = absl::Seconds(60);
  Start();
  Send(Packet(kTalk, 1));
  backend(0).OnWritten();
  for (int i = 0; i < 4; ++i) {
    backend(0).OnMessage("a");
    session_->OnWritten();
    session_->OnTick(now_ += absl::Seconds(45));
  }
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ += absl::Seconds(60));
  EXPECT_FALSE(upstream_->call(0).alive());
  EXPECT_EQ(session_->report().limit, Limit::kIdle);
}

TEST_F(MultiplexEndingTest, ReportsTheCloseCodeThatHappened) {
  Start();
  Send(Packet(kTalk, 1));
  session_->CloseByOperator();
  EXPECT_EQ(session_->report().close, CloseCode::kPolicyViolation);
  session_->OnClosed(
      {TransportEnd::Cause::kSendTimeout, CloseCode::kAbnormal, ""});
  EXPECT_EQ(session_->report().close, CloseCode::kAbnormal);
}

TEST_F(MultiplexEndingTest, AClientThatLeavesWhileItEndsIsDone) {
  Start();
  Send(Packet(kTalk, 1));
  Drain();
  Steps();
  session_->OnClosed({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
  EXPECT_TRUE(Steps().empty());
  EXPECT_EQ(session_->report().status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(session_->report().close, CloseCode::kAbnormal);
}

// --- Clients that mean harm

TEST_F(MultiplexEndingTest, ThousandsOfNumbersInOneMessageOpenMaxCalls) {
  table().max_calls = 100;
  Start();
  std::string flood;
  for (std::uint32_t i = 0; i < 80000; ++i) flood += Packet(kTalk, i * 50000);
  Send(std::move(flood));
  EXPECT_EQ(upstream_->call_count(), 100u);
  // The rest waits until the client has taken the first refusals.
  const Log steps = Steps();
  EXPECT_EQ(std::count(steps.begin(), steps.end(), "ws read"), 1);  // Start's.
}

// Each empty text is for those that were opened since the last.
// A second message ends a call with one request, and frees its number: each
// pair of empty packets would open a stream upstream and reset it.
TEST_F(MultiplexEndingTest, CallsThatTheClientEndsAtOnceWaitForTheNextTick) {
  Start();
  std::string packets;
  for (int i = 0; i < 200; ++i) {
    packets += Packet(kUnary, 5) + Packet(kUnary, 5);
  }
  Send(packets);
  EXPECT_EQ(upstream_->call_count(), 64u);
  session_->OnWritten();
  EXPECT_EQ(upstream_->call_count(), 64u) << "room for answers is not enough";
  session_->OnTick(now_ += absl::Milliseconds(100));
  EXPECT_EQ(upstream_->call_count(), 128u);
  session_->OnTick(now_ += absl::Milliseconds(100));
  session_->OnTick(now_ += absl::Milliseconds(100));
  EXPECT_EQ(upstream_->call_count(), 200u);
  EXPECT_EQ(session_->buffered().in, 0u) << "all of the message is taken";
}

TEST_F(MultiplexEndingTest, HalfClosesInAStormDoNothingMore) {
  Start();
  for (std::uint32_t i = 0; i < 50; ++i) Send(Packet(kTalk, i));
  Text("");
  Steps();
  for (int i = 0; i < 1000; ++i) Text("");
  EXPECT_THAT(Steps(), Each("ws read"));
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(upstream_->call(i).alive());
}

// Events in an order that nobody thought of, the same in each run.
class MultiplexDisorderTest : public MultiplexFixture {
 protected:
  MultiplexDisorderTest() {
    table().max_calls = 5;
    table().call_window_bytes = 100;
    limits_.answers = {.low_bytes = 100, .high_bytes = 300};
    limits_.stall_timeout = absl::Seconds(5);
  }

  std::size_t Pick(std::size_t count) { return random_() % count; }
  bool OneIn(std::size_t count) { return Pick(count) == 0; }

  // A few packets of any type for a few numbers.
  std::string AnyPackets() {
    const std::uint32_t types[] = {kTalk, kWalk,      kUnary,     kReplies,
                                   kBidi, kGreetings, kEndPacket, 77};
    std::string packets;
    do {
      const std::uint32_t type = types[Pick(std::size(types))];
      packets += Packet(type, static_cast<std::uint32_t>(Pick(8)),
                        type == kEndPacket ? "" : std::string(Pick(50), 'y'));
    } while (!OneIn(3));
    return packets;
  }

  // What each of the open calls' backends may do now.
  void BackendsAct() {
    for (std::size_t i = 0; i < upstream_->call_count(); ++i) {
      auto& call = upstream_->call(i);
      if (call.alive() && call.writing() && OneIn(4)) call.OnWritten();
      if (!call.alive() || !call.reading() || !OneIn(4)) continue;
      if (OneIn(4)) {
        call.OnDone({absl::OkStatus(), ""});
      } else {
        call.OnMessage(std::string(Pick(200), 'x'));
      }
    }
  }

  void ClientActs() {
    if (reading_ && OneIn(2)) {
      reading_ = false;
      OneIn(20) ? Text("") : Send(AnyPackets());
    }
    Look();
    if (writing_ && OneIn(3)) ClientTakes();
  }

  void ClientTakes() {
    writing_ = false;
    session_->OnWritten();
    Look();
  }

  // Sees to it that the session keeps to the contracts of its neighbours.
  void Look() {
    for (const std::string& step : Steps()) {
      EXPECT_THAT(step, Not(HasSubstr("while reading")));
      EXPECT_THAT(step, Not(HasSubstr("while writing")));
      EXPECT_THAT(step, Not(HasSubstr("ws close")));
      if (step == "ws read") {
        EXPECT_FALSE(std::exchange(reading_, true));
      } else if (step.rfind("ws binary", 0) == 0) {
        EXPECT_FALSE(std::exchange(writing_, true));
        statuses_ += Count(step, "end#");
        refused_ += Count(step, "no method of type");
        refused_ += Count(step, "max_calls");
      }
    }
  }

  static std::size_t Count(const std::string& text, const std::string& what) {
    std::size_t count = 0;
    for (std::size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + 1)) {
      ++count;
    }
    return count;
  }

  std::size_t open_calls() const {
    std::size_t open = schemas_->waiting();
    for (std::size_t i = 0; i < upstream_->call_count(); ++i) {
      if (upstream_->call(i).alive()) ++open;
    }
    return open;
  }

  std::mt19937 random_{7};
  bool reading_ = false;
  bool writing_ = false;
  std::size_t statuses_ = 0;  // End packets,
  std::size_t refused_ = 0;   // and those of calls that never were.
};

TEST_F(MultiplexDisorderTest, NeverHasMoreCallsThanMayBeAndEachEndsOnce) {
  Start();
  for (int event = 0; event < 2000 && !HasFailure(); ++event) {
    ClientActs();
    BackendsAct();
    EXPECT_LE(open_calls(), 5u);
    if (OneIn(50)) schemas_->answers_at_once = !schemas_->answers_at_once;
    if (OneIn(10)) schemas_->Answer();
    if (OneIn(10)) session_->OnTick(now_ += absl::Seconds(1));
    Look();
  }
  while (writing_) ClientTakes();
  EXPECT_GT(schemas_->asked(), 100u);
  EXPECT_EQ(statuses_ - refused_, schemas_->asked() - open_calls());
}

}  // namespace
}  // namespace headgate
