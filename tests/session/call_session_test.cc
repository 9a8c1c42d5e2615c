#include "gateway/session/call_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "gateway/codec/packet.h"
#include "tests/session/hello.h"
#include "tests/testing/fake_schema_source.h"
#include "tests/testing/fake_transport.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakeSchemaSource;
using testing::FakeTransport;
using testing::FakeUpstream;
using ::testing::HasSubstr;
using testing::Log;

class CallSessionTest : public ::testing::Test {
 protected:
  // A session without descriptors: its call is bidirectional.
  CallSession& Start(const Dialect* codec,
                     const std::string& method = "/s/m") {
    route_->binary_codec = &kProtobufDialect;
    SessionRequest request;
    request.id = "id";
    request.route = route_;
    request.method = method;
    request.codec = codec;
    request.binding = binding_;
    session_.emplace(std::move(request),
                     std::make_shared<const SessionContext>(
                         SessionContext{limits_, upstream_, schemas_}),
                     transport_);
    session_->Start(now_);
    return *session_;
  }
  CallSession& StartHello(const std::string& method, const Dialect* codec) {
    schemas_->schema = HelloSchema();
    return Start(codec, "/headgate.demo.v1.HelloService/" + method);
  }
  void Binary(std::string payload) {
    session_->OnMessage({Opcode::kBinary, std::move(payload)});
  }
  void Text(std::string payload) {
    session_->OnMessage({Opcode::kText, std::move(payload)});
  }
  void Violate() {
    session_->OnViolation(
        Ending{
            CloseCode::kProtocolError,
            CallEnd{absl::InvalidArgumentError("a reserved bit is set"), ""}},
        {now_, now_ + absl::Seconds(5)});
  }
  UpstreamCallObserver& backend() { return upstream_->call(0).observer(); }
  // The gateway stops, and the backends have nothing more to say.
  void Drain() {
    TellToDrain();
    now_ += absl::Milliseconds(100);
    session_->OnTick(now_);
  }
  void TellToDrain() {
    session_->Drain(
        {now_, now_ + absl::Seconds(10), "the gateway is shutting down"});
  }

  // What happened since the last look.
  Log Steps() { return std::exchange(log_, {}); }

  Log log_;
  const std::shared_ptr<FakeUpstream> upstream_ =
      std::make_shared<FakeUpstream>(log_);
  const std::shared_ptr<FakeSchemaSource> schemas_ =
      std::make_shared<FakeSchemaSource>();
  FakeTransport transport_{log_};
  std::shared_ptr<Route> route_ = std::make_shared<Route>();
  SessionLimits limits_;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<RequestBinding> binding_;
  std::optional<CallSession> session_;
};

TEST_F(CallSessionTest, PipesMessagesBothWays) {
  Start(&kProtobufDialect);
  EXPECT_THAT(Steps(), ElementsAre("ws read", "start /s/m", "read"));
  Binary("question");
  EXPECT_THAT(Steps(), ElementsAre("write question", "ws read"));
  backend().OnMessage("answer");
  EXPECT_THAT(Steps(), ElementsAre("ws binary answer", "read"));
}

TEST_F(CallSessionTest, EndsWithTheStatusOfTheCall) {
  Start(&kProtobufDialect);
  Steps();
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 no such room"));
  EXPECT_EQ(session_->report().close,
            CloseCodeFor(absl::StatusCode::kNotFound));
}

TEST_F(CallSessionTest, EndsWith1000WhenTheCallEndsWithOk) {
  Start(&kProtobufDialect);
  Steps();
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 1000 "));
}

// What the backend sent before its status reaches the client before the Close.
TEST_F(CallSessionTest, WritesEveryAnswerBeforeTheClose) {
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
TEST_F(CallSessionTest, ASlowClientStopsTheReadingFromTheBackend) {
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

TEST_F(CallSessionTest, ASlowBackendStopsTheReadingFromTheClient) {
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
TEST_F(CallSessionTest, IsAtRestWhileItsCallIsOpenAndNothingWaits) {
  Start(&kProtobufDialect);
  EXPECT_TRUE(session_->is_at_rest());
  Binary("a");
  EXPECT_FALSE(session_->is_at_rest()) << "stall_timeout";
  backend().OnWritten();
  EXPECT_TRUE(session_->is_at_rest());
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_FALSE(session_->is_at_rest());
}

TEST_F(CallSessionTest, IsNotAtRestWhileItIsDraining) {
  Start(&kProtobufDialect);
  TellToDrain();
  EXPECT_FALSE(session_->is_at_rest());
}

// stall_timeout counts from the last message that the backend took.
TEST_F(CallSessionTest, EndsACallWhoseBackendTakesNothing) {
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
TEST_F(CallSessionTest, EndsACallWhoseBackendDoesNotTakeTheOneMessage) {
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
TEST_F(CallSessionTest, PartOfAMessageTakenStartsTheStallAnew) {
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

TEST_F(CallSessionTest, AMessageTakenStartsTheStallAnew) {
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
TEST_F(CallSessionTest, ResponsesKeepASessionFromBeingIdle) {
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

TEST_F(CallSessionTest, RequestsKeepASessionFromBeingIdle) {
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

TEST_F(CallSessionTest, AMessageTooBigEndsWith1009) {
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

// --- After a violation of the transport's rules

TEST_F(CallSessionTest, ViolationEndsACallWithoutMessagesAtOnce) {
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
TEST_F(CallSessionTest, AnswersBeforeAViolationAreDelivered) {
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
TEST_F(CallSessionTest, AnswersThatWaitForTheClientAreNoSilence) {
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

TEST_F(CallSessionTest, AnswersAfterAViolationHaveUntilTheDeadline) {
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
TEST_F(CallSessionTest, AStreamWithoutEndHasUntilTheDeadline) {
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

TEST_F(CallSessionTest, RequestsBeforeAViolationGoOn) {
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
TEST_F(CallSessionTest, CallThatEndsAfterAViolationEndsTheSessionWithIt) {
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
TEST_F(CallSessionTest, ViolationWithinAClientsStreamEndsItAtOnce) {
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

TEST_F(CallSessionTest, ViolationBehindAMessageWaitsForTheMethod) {
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

TEST_F(CallSessionTest, ViolationWhileTheMethodIsLookedUpEndsAtOnce) {
  schemas_->answers_at_once = false;
  StartHello("SayHello", &kJsonDialect);
  Violate();
  EXPECT_EQ(Steps().back(), "ws close 1002 a reserved bit is set");
  EXPECT_EQ(schemas_->waiting(), 0u);
}

TEST_F(CallSessionTest, AMessageTooBigLeavesWhatCameBeforeItsAnswer) {
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

TEST_F(CallSessionTest, AClientThatLeavesAfterAViolationCancelsTheCall) {
  Start(&kProtobufDialect);
  Binary("a");
  Violate();
  Steps();
  session_->OnClosed(
      {TransportEnd::Cause::kBrokenByClient, CloseCode::kProtocolError, ""});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  EXPECT_EQ(session_->report().close, CloseCode::kProtocolError);
}

TEST_F(CallSessionTest, DrainAfterAViolationChangesNothing) {
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

TEST_F(CallSessionTest, DataAfterHalfCloseEndsWith1002) {
  Start(&kProtobufDialect);
  Text("");
  Steps();
  Binary("late");
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read", "ws close 1002 data after half-close", "cancel"));
}

// After an ending of the gateway's own the client may still be sending; it has
// to get as far as the Close frame.
TEST_F(CallSessionTest, DropsWhatComesWhileItEnds) {
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  Drain();
  Steps();
  Binary("too late");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
}

TEST_F(CallSessionTest, ClosesWith1001OnDrain) {
  Start(&kProtobufDialect);
  Steps();
  Drain();
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

// What the backend has sent is still on its way when the gateway stops: the
// session asks for it until there is nothing more for a moment.
TEST_F(CallSessionTest, DrainDeliversWhatTheBackendStillSends) {
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
TEST_F(CallSessionTest, DrainHasItsTime) {
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
TEST_F(CallSessionTest, DrainWaitsForAClientThatReadsSlowly) {
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
TEST_F(CallSessionTest, DrainDoesNotWaitForAClientThatNeverReads) {
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

TEST_F(CallSessionTest, DrainTakesNothingMoreOfAMessageThatWasBegun) {
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
TEST_F(CallSessionTest, DrainTakesNothingMoreFromTheClient) {
  Start(&kProtobufDialect);
  Steps();
  TellToDrain();
  Binary("late");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
}

// A call with one answer that has all it asked for is about to end by itself.
TEST_F(CallSessionTest, DrainWaitsForTheOnlyAnswer) {
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

TEST_F(CallSessionTest, DrainWaitsNoLongerThanTheDeadline) {
  StartHello("SayHello", &kProtobufDialect);
  Binary("");
  TellToDrain();
  Steps();
  session_->OnTick(now_ += absl::Seconds(10));
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

TEST_F(CallSessionTest, TheOperatorClosesWith1008) {
  Start(&kProtobufDialect);
  Steps();
  session_->CloseByOperator();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1008 closed by the operator", "cancel"));
}

TEST_F(CallSessionTest, AClientThatLeavesCancelsTheCall) {
  Start(&kProtobufDialect);
  Steps();
  session_->OnClosed({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  EXPECT_EQ(session_->report().status.code(), absl::StatusCode::kCancelled);
}

// The log's close code is that of the connection, not the one that was planned.
TEST_F(CallSessionTest, ReportsTheCloseCodeThatHappened) {
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

TEST_F(CallSessionTest, ReportsThePlannedCloseCodeOnceTheCloseFrameIsSent) {
  Start(&kProtobufDialect);
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByGateway, CloseCode::kNormal, ""});
  EXPECT_EQ(session_->report().close,
            CloseCodeFor(absl::StatusCode::kNotFound));
}

// --- The codec

TEST_F(CallSessionTest, TheFirstMessageChoosesTheCodec) {
  schemas_->schema = HelloSchema();
  Start(nullptr, "/headgate.demo.v1.HelloService/BidiHello");
  Text("{\"greeting\":\"ann\"}");
  EXPECT_EQ(session_->report().codec, &kJsonDialect);
}

TEST_F(CallSessionTest, ABinaryFirstMessageChoosesTheRoutesBinaryCodec) {
  Start(nullptr);
  Binary("a");
  EXPECT_EQ(session_->report().codec, &kProtobufDialect);
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("a"));
}

// A backend may speak first; its answer waits until the codec is known.
TEST_F(CallSessionTest, KeepsAnEarlyAnswerUntilTheCodecIsChosen) {
  Start(nullptr);
  backend().OnMessage("welcome");
  Steps();
  Binary("a");
  EXPECT_THAT(Steps(),
              ElementsAre("write a", "ws read", "ws binary welcome", "read"));
}

TEST_F(CallSessionTest, JsonNeedsADescriptor) {
  Start(&kJsonDialect);
  EXPECT_THAT(Steps(),
              ElementsAre("ws read",
                          "ws close 4012 JSON needs the method's descriptor: "
                          "unknown method"));
}

TEST_F(CallSessionTest, AnUnreadableRequestEndsWithInvalidArgument) {
  StartHello("BidiHello", &kJsonDialect);
  Steps();
  Text("{\"greting\":1}");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_THAT(steps[1], HasSubstr("ws close 4003 "));
  EXPECT_THAT(steps[1], HasSubstr("greting"));
  EXPECT_EQ(steps[2], "cancel");
}

// An answer that is not what the descriptor says is the backend's fault.
TEST_F(CallSessionTest, AnUnreadableAnswerEndsWithInternal) {
  StartHello("BidiHello", &kJsonDialect);
  Steps();
  backend().OnMessage("\xff");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[0], HasSubstr("ws close 4013 "));
  EXPECT_EQ(steps[1], "cancel");
}

TEST_F(CallSessionTest, AUnaryCallIsKnownFromItsDescriptor) {
  StartHello("SayHello", &kJsonDialect);
  Steps();
  Text("{\"greeting\":\"ann\"}");
  backend().OnWritten();
  EXPECT_TRUE(upstream_->call(0).writes_done());
  Steps();
  backend().OnMessage(Reply("hello, ann"));
  EXPECT_THAT(Steps(),
              ElementsAre("ws text {\"reply\":\"hello, ann\"}", "read"));
}

// Answers that have to wait share one message, bounded by size.
TEST_F(CallSessionTest, JoinsPacketsThatWait) {
  Start(&kPacketDialect);
  backend().OnMessage("");  // An empty Packet: 12 bytes on the wire.
  Steps();
  backend().OnMessage("");
  backend().OnMessage("");
  session_->OnWritten();
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[2].size(), std::string("ws binary ").size() + 24);
  EXPECT_EQ(session_->report().messages_out, 2u);
}

// Without joining every message stays one, however short.
TEST_F(CallSessionTest, KeepsEmptyMessagesApart) {
  Start(&kProtobufDialect);
  backend().OnMessage("a");
  backend().OnMessage("");
  backend().OnMessage("");
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary "));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary "));
}

// The end packet carries the status before the Close frame does.
TEST_F(CallSessionTest, TellsTheStatusInBandWhereTheCodecCan) {
  Start(&kPacketDialect);
  Steps();
  backend().OnDone({absl::NotFoundError("gone"), ""});
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_THAT(steps[0], HasSubstr("\xff\xff\xff\xff"));
  EXPECT_THAT(steps[0], HasSubstr("gone"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 gone"));
}

// --- What path and query say

// google.api.http without a body: there is nothing to wait for.
TEST_F(CallSessionTest, PathAndQueryMayBeTheWholeRequest) {
  binding_ = RequestBinding{{}, {{"greeting", "ann"}}, "", ""};
  StartHello("SayHello", &kJsonDialect);
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(Greeting("ann")));
  EXPECT_TRUE(upstream_->call(0).writes_done());
}

TEST_F(CallSessionTest, PathAndQueryTakePartInTheFirstMessage) {
  binding_ = RequestBinding{{{"greeting", "ann"}}, {}, "*", ""};
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre());
  Text("{}{\"greeting\":\"bob\"}");
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(),
              ElementsAre(Greeting("ann"), Greeting("bob")));
}

TEST_F(CallSessionTest, AParameterThatNoFieldHasEndsTheSession) {
  binding_ = RequestBinding{{}, {{"greetin", "ann"}}, "", ""};
  StartHello("SayHello", &kJsonDialect);
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[1], HasSubstr("ws close 4003 "));
  EXPECT_THAT(steps[1], HasSubstr("greetin"));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

// --- Metadata of the backend's, for a transport that has a place for it

TEST_F(CallSessionTest, HandsOnTheBackendsMetadataWhereItIsWanted) {
  transport_.DeliverMetadata();
  Start(&kProtobufDialect);
  EXPECT_EQ(upstream_->call(0).request().metadata_delivery,
            MetadataDelivery::kDelivered);
  Steps();
  backend().OnHeaders({{"a", "b"}, {"c", "d"}});
  EXPECT_THAT(Steps(), ElementsAre("ws headers a=b,c=d"));
}

TEST_F(CallSessionTest, AWebSocketHasNoPlaceForMetadata) {
  Start(&kProtobufDialect);
  EXPECT_EQ(upstream_->call(0).request().metadata_delivery,
            MetadataDelivery::kDropped);
}

// An HTTP answer's status line has to say it before the first byte of a body.
TEST_F(CallSessionTest, SaysHowItWillEndBeforeTheLastMessage) {
  transport_.DeliverMetadata();
  Start(&kPacketDialect);
  Steps();
  backend().OnDone({absl::NotFoundError("gone"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws ending 4005", HasSubstr("gone")));
}

// --- Finding the method

TEST_F(CallSessionTest, WaitsForTheDescriptorsBeforeItCalls) {
  schemas_->answers_at_once = false;
  Start(&kProtobufDialect);
  Binary("early");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  schemas_->Answer();
  EXPECT_THAT(Steps(),
              ElementsAre("start /s/m", "read", "write early", "ws read"));
}

TEST_F(CallSessionTest, SaysWhatIsUnimplementedWhenTheBackendDoesNot) {
  schemas_->why_unknown = absl::UnimplementedError("unknown method s/m");
  Start(&kProtobufDialect);
  Steps();
  backend().OnDone({absl::UnimplementedError(""), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 4012 unknown method s/m"));
}

// Guessing the kind of the call would leave a unary one hanging.
TEST_F(CallSessionTest, AnUpstreamThatCannotBeAskedEndsTheSession) {
  schemas_->why_unknown = absl::UnavailableError("connection refused");
  Start(&kProtobufDialect);
  EXPECT_THAT(Steps(),
              ElementsAre("ws read", "ws close 4014 connection refused"));
}

TEST_F(CallSessionTest, AClientThatLeavesWhileTheMethodIsLookedUpIsForgotten) {
  schemas_->answers_at_once = false;
  Start(&kProtobufDialect);
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByClient, CloseCode::kGoingAway, "bye"});
  EXPECT_EQ(schemas_->waiting(), 0u);
  EXPECT_EQ(upstream_->call_count(), 0u);
  EXPECT_EQ(session_->report().close, CloseCode::kGoingAway);
}

TEST_F(CallSessionTest, DrainWhileTheMethodIsLookedUpCloses) {
  schemas_->answers_at_once = false;
  Start(&kProtobufDialect);
  Steps();
  Drain();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1001 the gateway is shutting down"));
  EXPECT_EQ(schemas_->waiting(), 0u);
}

// A client that floods meanwhile is not spared.
TEST_F(CallSessionTest, ControlFramesCountWhileTheMethodIsAskedFor) {
  schemas_->answers_at_once = false;
  route_->messages.per_second = 1;
  Start(&kProtobufDialect).OnControlFrames(1000);
  EXPECT_THAT(log_, ::testing::Contains(HasSubstr("1008")));
}

// --- bytes of the wire

TEST_F(CallSessionTest, BytesOfTheWireCountForTheRateAndTheirMessageDoesNot) {
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

TEST_F(CallSessionTest, ACompressedMessageCountsWithItsLength) {
  route_->bytes = {.per_second = 10, .burst = 5000};
  Start(&kProtobufDialect);
  session_->OnWireBytes(20);
  Binary(std::string(5000 + SessionGuard::kFramingBytes, 'x'));
  EXPECT_FALSE(session_->report().limit);
  session_->OnWireBytes(20);
  Binary("y");
  EXPECT_EQ(session_->report().limit, Limit::kByteRate);
}

// --- a message that has begun

TEST_F(CallSessionTest, ATextThatIsNotWholeIsUnfinished) {
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
  Text(R"({"greeting")");
  EXPECT_EQ(session_->unfinished_message(), 0u);
  Text(R"(:"a"}{)");
  EXPECT_EQ(session_->unfinished_message(), 1u) << "another one";
  Text("}");
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
}

TEST_F(CallSessionTest, NothingIsUnfinishedWhileTheBackendIsWhatIsWaitedFor) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  StartHello("BidiHello", &kJsonDialect);
  Text(R"({"greeting":"a"}{"greeting":"b"}{"gree)");
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
  backend().OnWritten();
  EXPECT_EQ(session_->unfinished_message(), 2u);
}

TEST_F(CallSessionTest, AMessageWhoseRestDoesNotComeEndsItWith1008) {
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

// --- lack of memory

TEST_F(CallSessionTest, ForLackOfMemoryItEndsWith1013WithoutWhatWaits) {
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

TEST_F(CallSessionTest, HoldsTheTextThatHasBegun) {
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_LT(session_->held_bytes(), 100u);
  Text("{\"greeting\":\"" + std::string(1000, 'a'));
  EXPECT_GE(session_->held_bytes(), 1000u);
  session_->CloseForMemory();
  EXPECT_EQ(session_->held_bytes(), 0u);
}

}  // namespace
}  // namespace headgate
