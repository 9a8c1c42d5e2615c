#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CallViolationTest : public CallFixture {};

TEST_F(CallViolationTest, AMessageTooBigEndsWith1009) {
  route_->max_message_bytes = 10;
  Start(&kProtobufDialect);
  Steps();
  session_->OnMessageTooBig({});
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read",
                  "ws close 1009 a message is longer than max_message_bytes "
                  "(10)",
                  "cancel"));
}

TEST_F(CallViolationTest, ViolationEndsACallWithoutMessagesAtOnce) {
  Start(&kProtobufDialect);
  backend().OnMessage("unasked");
  session_->OnWritten();
  Steps();
  Violate();
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read", "ws close 1002 a reserved bit is set", "cancel"));
  EXPECT_EQ(session_->report().close, CloseCode::kProtocolError);
}

// What was valid before has its answers; the stream is over when it has begun
// to answer and is silent for a moment.
TEST_F(CallViolationTest, AnswersBeforeAViolationAreDelivered) {
  Start(&kProtobufDialect);
  Binary("a");
  Steps();
  Violate();
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  EXPECT_FALSE(session_->is_at_rest());
  session_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(Steps().empty()) << "it waits for the first answer";
  for (int i = 0; i < 2; ++i) {
    backend().OnMessage("answer");
    session_->OnWritten();
    session_->OnTick(now_ += absl::Milliseconds(99));
  }
  EXPECT_THAT(Steps(), ElementsAre("ws binary answer", "read",
                                   "ws binary answer", "read"));
  session_->OnTick(now_ += absl::Milliseconds(99));
  EXPECT_TRUE(Steps().empty());
  session_->OnTick(now_ += absl::Milliseconds(1));
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1002 a reserved bit is set", "cancel"));
}

// A client that is slow to take them gets them all the same.
TEST_F(CallViolationTest, AnswersThatWaitForTheClientAreNoSilence) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start(&kProtobufDialect);
  Binary("a");
  backend().OnMessage("1");
  backend().OnMessage("2");  // The client has not taken the first one.
  Violate();
  Steps();
  session_->OnTick(now_ += absl::Seconds(1));
  EXPECT_TRUE(Steps().empty());
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 2", "read"));
}

TEST_F(CallViolationTest, AnswersAfterAViolationHaveUntilTheDeadline) {
  Start(&kProtobufDialect);
  Binary("a");
  Violate();
  Steps();
  session_->OnTick(now_ + absl::Seconds(5) - absl::Milliseconds(1));
  EXPECT_TRUE(Steps().empty());
  session_->OnTick(now_ + absl::Seconds(5));
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1002 a reserved bit is set", "cancel"));
}

// A backend that floods gains nothing by it.
TEST_F(CallViolationTest, AStreamWithoutEndHasUntilTheDeadline) {
  Start(&kProtobufDialect);
  Binary("a");
  Violate();
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(upstream_->call(0).alive());
    backend().OnMessage("answer");
    session_->OnWritten();
    session_->OnTick(now_ += absl::Milliseconds(100));
  }
  EXPECT_FALSE(upstream_->call(0).alive());
}

TEST_F(CallViolationTest, RequestsBeforeAViolationGoOn) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  StartHello("BidiHello", &kJsonDialect);
  Steps();
  Text(R"({"greeting":"a"}{"greeting":"b"}{"greeting":"c"})");
  EXPECT_EQ(upstream_->call(0).written().size(), 1u);
  Violate();
  backend().OnWritten();
  backend().OnWritten();
  backend().OnWritten();
  EXPECT_EQ(upstream_->call(0).written().size(), 3u);
  EXPECT_TRUE(upstream_->call(0).alive());
  EXPECT_FALSE(upstream_->call(0).writes_done());
}

// The status of the call is its own, the Close frame the violation's.
TEST_F(CallViolationTest, CallThatEndsAfterAViolationEndsTheSessionWithIt) {
  StartHello("SayHello", &kJsonDialect);
  Text(R"({"greeting":"ann"})");
  Violate();
  Steps();
  session_->OnTick(now_ += absl::Seconds(4));
  EXPECT_TRUE(Steps().empty()) << "the one answer is waited for";
  backend().OnMessage("");
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws text {}", "read"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 1002 a reserved bit is set"));
}

// A stream of the client's that was not ended is not answered, and not taken
// for a whole one by a half-close of the gateway's.
TEST_F(CallViolationTest, ViolationWithinAClientsStreamEndsItAtOnce) {
  StartHello("LotsOfGreetings", &kJsonDialect);
  Text(R"({"greeting":"ann"})");
  backend().OnWritten();
  Steps();
  Violate();
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read", "ws close 1002 a reserved bit is set", "cancel"));
  EXPECT_FALSE(upstream_->call(0).writes_done());
}

TEST_F(CallViolationTest, ViolationBehindAMessageWaitsForTheMethod) {
  schemas_->answers_at_once = false;
  StartHello("SayHello", &kJsonDialect);
  Text(R"({"greeting":"ann"})");
  Violate();
  session_->OnTick(now_ += absl::Seconds(1));
  schemas_->Answer();
  EXPECT_EQ(upstream_->call(0).written().size(), 1u);
  EXPECT_TRUE(upstream_->call(0).alive());
  backend().OnMessage("");
  backend().OnDone({absl::OkStatus(), ""});
  session_->OnWritten();
  EXPECT_EQ(Steps().back(), "ws close 1002 a reserved bit is set");
}

TEST_F(CallViolationTest, ViolationWhileTheMethodIsLookedUpEndsAtOnce) {
  schemas_->answers_at_once = false;
  StartHello("SayHello", &kJsonDialect);
  Violate();
  EXPECT_EQ(Steps().back(), "ws close 1002 a reserved bit is set");
  EXPECT_EQ(schemas_->waiting(), 0u);
}

TEST_F(CallViolationTest, AMessageTooBigLeavesWhatCameBeforeItsAnswer) {
  route_->max_message_bytes = 10;
  Start(&kProtobufDialect);
  Binary("a");
  Steps();
  session_->OnMessageTooBig({now_, now_ + absl::Seconds(5)});
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  backend().OnMessage("answer");
  session_->OnTick(now_ += absl::Milliseconds(1));
  session_->OnTick(now_ += absl::Milliseconds(100));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary answer", "read", "cancel",
                                   HasSubstr("ws close 1009 ")));
  EXPECT_EQ(session_->report().limit, Limit::kMessageBytes);
}

TEST_F(CallViolationTest, AClientThatLeavesAfterAViolationCancelsTheCall) {
  Start(&kProtobufDialect);
  Binary("a");
  Violate();
  Steps();
  session_->OnClosed(
      {TransportEnd::Cause::kBrokenByClient, CloseCode::kProtocolError, ""});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  EXPECT_EQ(session_->report().close, CloseCode::kProtocolError);
}

TEST_F(CallViolationTest, DrainAfterAViolationChangesNothing) {
  Start(&kProtobufDialect);
  Binary("a");
  Violate();
  Steps();
  Drain();
  EXPECT_TRUE(Steps().empty());
  session_->OnTick(now_ + absl::Seconds(5));
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1002 a reserved bit is set", "cancel"));
}

TEST_F(CallViolationTest, DataAfterHalfCloseEndsWith1002) {
  Start(&kProtobufDialect);
  Text("");
  Steps();
  Binary("late");
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read", "ws close 1002 data after half-close", "cancel"));
}

TEST_F(CallViolationTest, ATextThatIsNotWholeIsUnfinished) {
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
  Text(R"({"greeting")");
  EXPECT_EQ(session_->unfinished_message(), 0u);
  Text(R"(:"a"}{)");
  EXPECT_EQ(session_->unfinished_message(), 1u) << "another one";
  Text("}");
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
}

TEST_F(CallViolationTest, NothingIsUnfinishedWhileTheBackendIsWhatIsWaitedFor) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  StartHello("BidiHello", &kJsonDialect);
  Text(R"({"greeting":"a"}{"greeting":"b"}{"gree)");
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
  backend().OnWritten();
  EXPECT_EQ(session_->unfinished_message(), 2u);
}

TEST_F(CallViolationTest, AMessageWhoseRestDoesNotComeEndsItWith1008) {
  StartHello("BidiHello", &kJsonDialect);
  Text("{");
  Steps();
  session_->OnMessageStuck(absl::Seconds(30));
  EXPECT_THAT(
      Steps(),
      Contains("ws close 1008 the rest of a message did not come within "
               "timeouts.message (30s)"));
  EXPECT_EQ(session_->report().limit, Limit::kMessageTime);
  EXPECT_EQ(session_->report().status.code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace headgate
