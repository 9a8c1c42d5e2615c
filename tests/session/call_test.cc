#include "gateway/session/call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using testing::FakeUpstream;
using testing::Log;

class CallTest : public ::testing::Test, public CallObserver {
 protected:
  Call& Start(MethodKind kind, Watermarks marks = {}) {
    call_.emplace(kind, CallRequest{"/s/m", {}, absl::InfiniteDuration()},
                  marks, upstream_, *this);
    return *call_;
  }
  UpstreamCallObserver& backend() { return upstream_.call(0).observer(); }

  void OnCallMessage(std::string payload) override {
    log_.push_back(absl::StrCat("message ", payload));
  }
  void OnCallWritable() override { log_.push_back("writable"); }
  void OnCallDone(CallEnd end) override {
    log_.push_back(absl::StrCat("done ", end.status.ToString()));
    call_.reset();
  }

  static std::string Describe(const std::optional<Ending>& ending) {
    if (!ending) return "accepted";
    return absl::StrCat(static_cast<int>(ending->close), " ",
                        ending->end.status.message());
  }

  Log log_;
  FakeUpstream upstream_{log_};
  std::optional<Call> call_;
};

// gRPC allows one write at a time; the second waits for the first.
TEST_F(CallTest, KeepsOneWriteInFlight) {
  Call& call = Start(MethodKind::kBidiStreaming);
  EXPECT_EQ(Describe(call.Send("a")), "accepted");
  EXPECT_EQ(Describe(call.Send("b")), "accepted");
  EXPECT_THAT(log_, ElementsAre("start /s/m", "write a"));
  backend().OnWritten();
  EXPECT_THAT(log_, ElementsAre("start /s/m", "write a", "write b"));
}

// Messages that wait together may leave together.
TEST_F(CallTest, TellsTheUpstreamWhetherMoreFollows) {
  Call& call = Start(MethodKind::kBidiStreaming);
  call.Send("a");
  call.Send("b");
  call.Send("c");
  EXPECT_EQ(upstream_.call(0).hint(), WriteHint::kLast) << "when a was sent";
  backend().OnWritten();
  EXPECT_EQ(upstream_.call(0).hint(), WriteHint::kMoreFollows);
  backend().OnWritten();
  EXPECT_EQ(upstream_.call(0).hint(), WriteHint::kLast);
}

// A half-close must not overtake a message that the client sent before it.
TEST_F(CallTest, HalfCloseWaitsForPendingMessages) {
  Call& call = Start(MethodKind::kClientStreaming);
  call.Send("a");
  EXPECT_EQ(Describe(call.HalfClose()), "accepted");
  EXPECT_THAT(log_, ElementsAre("start /s/m", "write a"));
  backend().OnWritten();
  EXPECT_THAT(log_, ElementsAre("start /s/m", "write a", "writes-done"));
}

TEST_F(CallTest, RefusesASecondHalfCloseWith1002) {
  Call& call = Start(MethodKind::kBidiStreaming);
  EXPECT_EQ(Describe(call.HalfClose()), "accepted");
  EXPECT_EQ(Describe(call.HalfClose()), "1002 half-close after half-close");
}

TEST_F(CallTest, RefusesDataAfterHalfCloseWith1002) {
  Call& call = Start(MethodKind::kBidiStreaming);
  call.HalfClose();
  EXPECT_EQ(Describe(call.Send("late")), "1002 data after half-close");
}

// Of a unary or server-streaming method the first message completes the
// request.
TEST_F(CallTest, OneRequestHalfClosesByItself) {
  for (const MethodKind kind :
       {MethodKind::kUnary, MethodKind::kServerStreaming}) {
    log_.clear();
    Log log;
    FakeUpstream upstream(log);
    Call call(kind, CallRequest{"/s/m", {}, absl::InfiniteDuration()}, {},
              upstream, *this);
    EXPECT_EQ(Describe(call.Send("a")), "accepted");
    upstream.call(0).observer().OnWritten();
    EXPECT_THAT(log, ElementsAre("start /s/m", "write a", "writes-done"));
  }
}

TEST_F(CallTest, RefusesASecondRequestWithInvalidArgument) {
  Call& call = Start(MethodKind::kUnary);
  call.Send("a");
  EXPECT_EQ(Describe(call.Send("b")),
            "4003 a second request message, and the method takes one");
}

// An explicit half-close after the one request changes nothing; what follows
// it is data after a half-close.
TEST_F(CallTest, AcceptsAHalfCloseAfterTheOneRequest) {
  Call& call = Start(MethodKind::kUnary);
  call.Send("a");
  EXPECT_EQ(Describe(call.HalfClose()), "accepted");
  backend().OnWritten();
  EXPECT_THAT(log_, ElementsAre("start /s/m", "write a", "writes-done"));
  EXPECT_EQ(Describe(call.HalfClose()), "1002 half-close after half-close");
}

// A method without parameters needs no message: the half-close alone sends the
// empty one.
TEST_F(CallTest, HalfCloseBeforeTheOneRequestSendsTheEmptyMessage) {
  Call& call = Start(MethodKind::kUnary);
  EXPECT_EQ(Describe(call.HalfClose()), "accepted");
  backend().OnWritten();
  EXPECT_THAT(log_, ElementsAre("start /s/m", "write ", "writes-done"));
}

TEST_F(CallTest, HalfCloseBeforeAnyMessageOfAStreamSendsNone) {
  Call& call = Start(MethodKind::kClientStreaming);
  call.HalfClose();
  EXPECT_THAT(log_, ElementsAre("start /s/m", "writes-done"));
}

// The status can be on its way while the client still writes; that race is no
// fault of the client.
TEST_F(CallTest, EndsOnceWithTheStatus) {
  Call& call = Start(MethodKind::kBidiStreaming);
  call.Read();
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  EXPECT_THAT(
      log_, ElementsAre("start /s/m", "read", "done NOT_FOUND: no such room"));
}

TEST_F(CallTest, OkWithoutTheOneAnswerIsTheBackendsFault) {
  Start(MethodKind::kUnary).Read();
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(
      log_, ElementsAre("start /s/m", "read",
                        "done INTERNAL: the backend ended the call with OK but "
                        "without an answer"));
}

TEST_F(CallTest, ASecondAnswerToAUnaryCallIsTheBackendsFault) {
  Start(MethodKind::kUnary).Read();
  backend().OnMessage("a");
  call_->Read();
  backend().OnMessage("b");
  EXPECT_THAT(log_,
              ElementsAre("start /s/m", "read", "message a", "read",
                          "done INTERNAL: the backend sent a second answer, "
                          "and the method gives one",
                          "cancel"));
}

TEST_F(CallTest, AStreamMayEndWithoutAnAnswer) {
  Start(MethodKind::kServerStreaming).Read();
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(log_, ElementsAre("start /s/m", "read", "done OK"));
}

TEST_F(CallTest, IsBackloggedFromTheHighMarkDownToTheLow) {
  constexpr std::size_t kItem = WatermarkQueue<std::string>::kItemBytes;
  Call& call = Start(MethodKind::kBidiStreaming,
                     {.low_bytes = kItem + 1, .high_bytes = 2 * kItem + 4});
  call.Send("in flight");
  call.Send("12");
  call.Send("34");
  EXPECT_FALSE(call.backlogged());
  call.Send("5");
  EXPECT_TRUE(call.backlogged());
  backend().OnWritten();  // "34" and "5" are left.
  EXPECT_TRUE(call.backlogged());
  backend().OnWritten();
  EXPECT_FALSE(call.backlogged());
  EXPECT_EQ(call.progress(), 2u);
  EXPECT_EQ(log_.back(), "writable");
}

// Empty messages weigh something too: no client can queue them without end.
TEST_F(CallTest, EmptyMessagesFillTheQueue) {
  Call& call =
      Start(MethodKind::kBidiStreaming, {.low_bytes = 100, .high_bytes = 1000});
  int sent = 0;
  while (!call.backlogged() && sent < 1000) {
    call.Send("");
    ++sent;
  }
  EXPECT_LT(sent, 100);
}

TEST_F(CallTest, DestroyingACallCancelsIt) {
  Start(MethodKind::kUnary);
  call_.reset();
  EXPECT_THAT(log_, ElementsAre("start /s/m", "cancel"));
}

}  // namespace
}  // namespace headgate
