#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CallFlowTest : public CallFixture {};

TEST_F(CallFlowTest, PipesMessagesBothWays) {
  Start(&kProtobufDialect);
  EXPECT_THAT(Steps(), ElementsAre("ws read", "start /s/m", "read"));
  Binary("question");
  EXPECT_THAT(Steps(), ElementsAre("write question", "ws read"));
  backend().OnMessage("answer");
  EXPECT_THAT(Steps(), ElementsAre("ws binary answer", "read"));
}

// What the backend sent before its status reaches the client before the Close.
TEST_F(CallFlowTest, WritesEveryAnswerBeforeTheClose) {
  Start(&kProtobufDialect);
  Steps();
  backend().OnMessage("a");
  backend().OnMessage("b");
  backend().OnDone({absl::AbortedError("enough"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws binary a", "read", "read"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary b"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4010 enough"));
}

// The client's window closes: the backend is not read until there is room.
TEST_F(CallFlowTest, ASlowClientStopsTheReadingFromTheBackend) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start(&kProtobufDialect);
  Steps();
  backend().OnMessage("a");
  EXPECT_THAT(Steps(), ElementsAre("ws binary a", "read"));
  backend().OnMessage("b");
  EXPECT_THAT(Steps(), ElementsAre());
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary b", "read"));
}

TEST_F(CallFlowTest, ASlowBackendStopsTheReadingFromTheClient) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  Start(&kProtobufDialect);
  Steps();
  Binary("a");
  EXPECT_THAT(Steps(), ElementsAre("write a", "ws read"));
  Binary("b");
  EXPECT_THAT(Steps(), ElementsAre());
  backend().OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("write b", "ws read"));
}

// Then nothing but silence and age are timed.
TEST_F(CallFlowTest, IsAtRestWhileItsCallIsOpenAndNothingWaits) {
  Start(&kProtobufDialect);
  EXPECT_TRUE(session_->is_at_rest());
  Binary("a");
  EXPECT_FALSE(session_->is_at_rest()) << "stall_timeout";
  backend().OnWritten();
  EXPECT_TRUE(session_->is_at_rest());
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_FALSE(session_->is_at_rest());
}

TEST_F(CallFlowTest, IsNotAtRestWhileItIsDraining) {
  Start(&kProtobufDialect);
  TellToDrain();
  EXPECT_FALSE(session_->is_at_rest());
}

// stall_timeout counts from the last message that the backend took.
TEST_F(CallFlowTest, EndsACallWhoseBackendTakesNothing) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  limits_.stall_timeout = absl::Seconds(30);
  Start(&kProtobufDialect);
  Binary("a");
  Binary("b");
  session_->OnTick(now_);
  session_->OnTick(now_ + absl::Seconds(29));
  EXPECT_TRUE(upstream_->call(0).alive());
  Steps();
  session_->OnTick(now_ + absl::Seconds(30));
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read",
                  "ws close 4008 the backend has taken no message for 30s",
                  "cancel"));
}

// Also where it is the one message that there is.
TEST_F(CallFlowTest, EndsACallWhoseBackendDoesNotTakeTheOneMessage) {
  limits_.stall_timeout = absl::Seconds(30);
  Start(&kProtobufDialect);
  Binary("a");
  session_->OnTick(now_);
  session_->OnTick(now_ + absl::Seconds(29));
  EXPECT_TRUE(upstream_->call(0).alive());
  Steps();
  session_->OnTick(now_ + absl::Seconds(30));
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws close 4008 the backend has taken no message for 30s",
                  "cancel"));
}

// It counts from the last byte where the transport knows of bytes.
TEST_F(CallFlowTest, PartOfAMessageTakenRestartsTheStall) {
  limits_.stall_timeout = absl::Seconds(30);
  Start(&kProtobufDialect);
  Binary("a");
  session_->OnTick(now_);
  for (int i = 1; i <= 5; ++i) {
    ++upstream_->call(0).bytes_taken;
    session_->OnTick(now_ + i * absl::Seconds(20));
  }
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ + absl::Seconds(130));
  EXPECT_FALSE(upstream_->call(0).alive());
}

TEST_F(CallFlowTest, AMessageTakenRestartsTheStall) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  limits_.stall_timeout = absl::Seconds(30);
  Start(&kProtobufDialect);
  Binary("a");
  Binary("b");
  session_->OnTick(now_);
  backend().OnWritten();
  Binary("c");
  session_->OnTick(now_ + absl::Seconds(20));
  session_->OnTick(now_ + absl::Seconds(45));
  EXPECT_TRUE(upstream_->call(0).alive());
}

// idle_timeout counts messages of both directions.
TEST_F(CallFlowTest, ResponsesKeepASessionFromBeingIdle) {
  route_->idle_timeout = absl::Seconds(60);
  Start(&kProtobufDialect);
  for (int i = 0; i < 4; ++i) {
    backend().OnMessage("a");
    session_->OnWritten();
    session_->OnTick(now_ += absl::Seconds(45));
  }
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ += absl::Seconds(60));
  EXPECT_FALSE(upstream_->call(0).alive());
  EXPECT_EQ(session_->report().limit, Limit::kIdle);
}

TEST_F(CallFlowTest, RequestsKeepASessionFromBeingIdle) {
  route_->idle_timeout = absl::Seconds(60);
  Start(&kProtobufDialect);
  for (int i = 0; i < 4; ++i) {
    Binary("a");
    backend().OnWritten();
    session_->OnTick(now_ += absl::Seconds(45));
  }
  EXPECT_TRUE(upstream_->call(0).alive());
  session_->OnTick(now_ += absl::Seconds(60));
  EXPECT_EQ(session_->report().limit, Limit::kIdle);
}

// A client that floods meanwhile is not spared.
TEST_F(CallFlowTest, ControlFramesCountWhileTheMethodIsAskedFor) {
  schemas_->answers_at_once = false;
  route_->messages.per_second = 1;
  Start(&kProtobufDialect).OnControlFrames(1000);
  EXPECT_THAT(log_, ::testing::Contains(HasSubstr("1008")));
}

TEST_F(CallFlowTest, BytesOfTheWireCountForTheRateAndTheirMessageDoesNot) {
  route_->max_message_bytes = 100;
  route_->bytes = {.per_second = 10, .burst = 1000};
  Start(&kProtobufDialect);
  const std::size_t burst = 1000 + SessionGuard::kFramingBytes;
  session_->OnWireBytes(burst);
  Binary(std::string(100, 'x'));  // They were told before it.
  EXPECT_FALSE(session_->report().limit);
  session_->OnWireBytes(1);
  EXPECT_EQ(session_->report().limit, Limit::kByteRate);
  EXPECT_EQ(session_->report().close, CloseCode::kPolicyViolation);
}

TEST_F(CallFlowTest, ACompressedMessageCountsWithItsLength) {
  route_->bytes = {.per_second = 10, .burst = 5000};
  Start(&kProtobufDialect);
  session_->OnWireBytes(20);
  Binary(std::string(5000 + SessionGuard::kFramingBytes, 'x'));
  EXPECT_FALSE(session_->report().limit);
  session_->OnWireBytes(20);
  Binary("y");
  EXPECT_EQ(session_->report().limit, Limit::kByteRate);
}

TEST_F(CallFlowTest, HoldsTheTextThatHasBegun) {
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_LT(session_->held_bytes(), 100u);
  Text("{\"greeting\":\"" + std::string(1000, 'a'));
  EXPECT_GE(session_->held_bytes(), 1000u);
  session_->CloseForMemory();
  EXPECT_EQ(session_->held_bytes(), 0u);
}

}  // namespace
}  // namespace headgate
