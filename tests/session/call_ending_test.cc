#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

class CallEndingTest : public CallFixture {};

TEST_F(CallEndingTest, EndsWithTheStatusOfTheCall) {
  Start(&kProtobufDialect);
  Steps();
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 no such room"));
  EXPECT_EQ(session_->report().close,
            CloseCodeFor(absl::StatusCode::kNotFound));
}

TEST_F(CallEndingTest, EndsWith1000WhenTheCallEndsWithOk) {
  Start(&kProtobufDialect);
  Steps();
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 1000 "));
}

// After an ending of the gateway's own the client may still be sending; it has
// to get as far as the Close frame.
TEST_F(CallEndingTest, DropsWhatComesWhileItEnds) {
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  Drain();
  Steps();
  Binary("too late");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
}

TEST_F(CallEndingTest, ClosesWith1001OnDrain) {
  Start(&kProtobufDialect);
  Steps();
  Drain();
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

// What the backend has sent is still on its way when the gateway stops: the
// session asks for it until there is nothing more for a moment.
TEST_F(CallEndingTest, DrainDeliversWhatTheBackendStillSends) {
  Start(&kProtobufDialect);
  Steps();
  TellToDrain();
  EXPECT_TRUE(Steps().empty());
  for (int i = 0; i < 3; ++i) {
    backend().OnMessage("a");
    session_->OnWritten();
    session_->OnTick(now_ += absl::Milliseconds(90));
  }
  EXPECT_THAT(Steps(), ElementsAre("ws binary a", "read", "ws binary a", "read",
                                   "ws binary a", "read"));
  session_->OnTick(now_ += absl::Milliseconds(99));
  EXPECT_TRUE(Steps().empty());
  session_->OnTick(now_ += absl::Milliseconds(1));
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

// A backend that never stops does not hold the gateway up.
TEST_F(CallEndingTest, DrainHasItsTime) {
  Start(&kProtobufDialect);
  TellToDrain();
  for (int i = 0; i < 20; ++i) {
    backend().OnMessage("a");
    session_->OnWritten();
    Steps();
    session_->OnTick(now_ += absl::Milliseconds(100));
  }
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

// While the client takes nothing, nothing is known of the backend's silence.
TEST_F(CallEndingTest, DrainWaitsForAClientThatReadsSlowly) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  backend().OnMessage("b");  // The next read is withheld.
  Steps();
  TellToDrain();
  session_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(Steps().empty());
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary b", "read"));
  session_->OnTick(now_ += absl::Milliseconds(99));
  backend().OnMessage("c");
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary c", "read"));
  session_->OnWritten();
  session_->OnTick(now_ += absl::Milliseconds(1));
  EXPECT_TRUE(Steps().empty()) << "the backend has just sent a message";
  session_->OnTick(now_ += absl::Milliseconds(100));
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

// kDrainPatience: a client that reads nothing does not hold the gateway up.
TEST_F(CallEndingTest, DrainDoesNotWaitForAClientThatNeverReads) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  backend().OnMessage("b");
  Steps();
  TellToDrain();
  session_->OnTick(now_ += absl::Seconds(2));
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  session_->OnWritten();
  session_->OnWritten();
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws binary b", "ws close 1001 the gateway is shutting down"));
}

TEST_F(CallEndingTest, DrainTakesNothingMoreOfAMessageThatWasBegun) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  schemas_->schema = HelloSchema();
  Start(&kJsonDialect, "/headgate.demo.v1.HelloService/BidiHello");
  Text(R"({"greeting":"a"}{"greeting":"b"}{"greeting":"c"})");
  TellToDrain();
  Steps();
  backend().OnWritten();  // Of "a"; "b" waited in the call, "c" in the codec.
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(),
              ElementsAre(Greeting("a"), Greeting("b")));
}

// A client that takes its time gets what was sent, until the deadline.
TEST_F(CallEndingTest, DrainTakesNothingMoreFromTheClient) {
  Start(&kProtobufDialect);
  Steps();
  TellToDrain();
  Binary("late");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
}

// A call with one answer that has all it asked for is about to end by itself.
TEST_F(CallEndingTest, DrainWaitsForTheOnlyAnswer) {
  StartHello("SayHello", &kProtobufDialect);
  Binary("");
  Steps();
  TellToDrain();
  session_->OnTick(now_ += absl::Seconds(9));
  EXPECT_TRUE(Steps().empty());
  backend().OnMessage("");
  backend().OnDone({absl::OkStatus(), ""});
  session_->OnWritten();
  EXPECT_EQ(session_->report().close, CloseCode::kNormal);
}

TEST_F(CallEndingTest, DrainWaitsNoLongerThanTheDeadline) {
  StartHello("SayHello", &kProtobufDialect);
  Binary("");
  TellToDrain();
  Steps();
  session_->OnTick(now_ += absl::Seconds(10));
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

TEST_F(CallEndingTest, TheOperatorClosesWith1008) {
  Start(&kProtobufDialect);
  Steps();
  session_->CloseByOperator();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1008 closed by the operator", "cancel"));
}

TEST_F(CallEndingTest, AClientThatLeavesCancelsTheCall) {
  Start(&kProtobufDialect);
  Steps();
  session_->OnClosed({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  EXPECT_EQ(session_->report().status.code(), absl::StatusCode::kCancelled);
}

// The log's close code is that of the connection, not the one that was planned.
TEST_F(CallEndingTest, ReportsTheCloseCodeThatHappened) {
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  EXPECT_EQ(session_->report().close,
            CloseCodeFor(absl::StatusCode::kNotFound));
  // "a" is still being written: the planned Close frame is never sent.
  session_->OnClosed(
      {TransportEnd::Cause::kSendTimeout, CloseCode::kAbnormal, ""});
  EXPECT_EQ(session_->report().close, CloseCode::kAbnormal);
  EXPECT_EQ(session_->report().limit, Limit::kSendTimeout);
  EXPECT_EQ(session_->report().status.code(), absl::StatusCode::kNotFound);
}

TEST_F(CallEndingTest, ReportsThePlannedCloseCodeOnceTheCloseFrameIsSent) {
  Start(&kProtobufDialect);
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByGateway, CloseCode::kNormal, ""});
  EXPECT_EQ(session_->report().close,
            CloseCodeFor(absl::StatusCode::kNotFound));
}

TEST_F(CallEndingTest, ForLackOfMemoryItEndsWith1013WithoutWhatWaits) {
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  backend().OnMessage(std::string(1000, 'b'));
  EXPECT_GE(session_->held_bytes(), 1000u);
  Steps();
  session_->CloseForMemory();
  EXPECT_LT(session_->held_bytes(), 100u);
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 1013 the gateway is overloaded"));
  EXPECT_EQ(session_->report().limit, Limit::kMemory);
  EXPECT_TRUE(absl::IsUnavailable(session_->report().status));
}

}  // namespace
}  // namespace headgate
