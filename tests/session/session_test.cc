#include "gateway/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "gateway/codec/packet.h"
#include "headgate/demo/v1/hello.pb.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using testing::FakeUpstream;
using ::testing::HasSubstr;
using testing::Log;

// A WebSocket whose client is the test.
class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(Log& log) : log_(log) {}
  void Read() override { log_.push_back("ws read"); }
  void Write(WireMessage message) override {
    log_.push_back(absl::StrCat(
        "ws ", message.opcode == Opcode::kText ? "text " : "binary ",
        message.payload));
  }
  void Close(CloseCode code, absl::string_view reason) override {
    log_.push_back(
        absl::StrCat("ws close ", static_cast<int>(code), " ", reason));
  }

 private:
  Log& log_;
};

// Answers at once, or when the test says so.
class FakeSchemaSource final : public SchemaSource {
 public:
  class FakeTicket final : public Ticket {
   public:
    explicit FakeTicket(FakeSchemaSource& source) : source_(source) {}
    ~FakeTicket() override { source_.waiting_ = nullptr; }

   private:
    FakeSchemaSource& source_;
  };

  std::unique_ptr<Ticket> Resolve(absl::string_view path, absl::Time,
                                  Callback callback) override {
    resolved_.method = schema_ ? schema_->FindMethod(path) : nullptr;
    resolved_.schema = schema_;
    if (resolved_.method == nullptr) resolved_.why_unknown = why_unknown_;
    if (answer_at_once_) {
      callback(resolved_);
      return nullptr;
    }
    waiting_ = std::move(callback);
    return std::make_unique<FakeTicket>(*this);
  }

  void Answer() {
    const Callback callback = waiting_;
    callback(resolved_);
  }

  std::shared_ptr<const Schema> schema_;
  absl::Status why_unknown_ = absl::UnimplementedError("unknown method");
  bool answer_at_once_ = true;
  Callback waiting_;

 private:
  ResolvedMethod resolved_;
};

std::shared_ptr<const Schema> HelloSchema() {
  google::protobuf::FileDescriptorProto file;
  demo::v1::HelloRequest::descriptor()->file()->CopyTo(&file);
  std::vector<std::string> warnings;
  return Schema::Build({file}, &warnings);
}

std::string Reply(const std::string& text) {
  demo::v1::HelloResponse response;
  response.set_reply(text);
  return response.SerializeAsString();
}

class SessionTest : public ::testing::Test {
 protected:
  // A session without descriptors: its call is bidirectional.
  Session& Start(std::optional<CodecKind> codec,
                 const std::string& method = "/s/m") {
    route_->binary_codec = CodecKind::kProtobuf;
    SessionRequest request;
    request.id = "id";
    request.route = route_;
    request.method = method;
    request.codec = codec;
    session_.emplace(std::move(request), limits_, upstream_, schemas_,
                     transport_);
    session_->Start(now_);
    return *session_;
  }
  Session& StartHello(const std::string& method, CodecKind codec) {
    schemas_.schema_ = HelloSchema();
    return Start(codec, "/headgate.demo.v1.HelloService/" + method);
  }
  void Binary(std::string payload) {
    session_->OnMessage({Opcode::kBinary, std::move(payload)});
  }
  void Text(std::string payload) {
    session_->OnMessage({Opcode::kText, std::move(payload)});
  }
  UpstreamCallObserver& backend() { return upstream_.call(0).observer(); }
  // What happened since the last look.
  Log Steps() { return std::exchange(log_, {}); }

  Log log_;
  FakeUpstream upstream_{log_};
  FakeTransport transport_{log_};
  FakeSchemaSource schemas_;
  std::shared_ptr<Route> route_ = std::make_shared<Route>();
  SessionLimits limits_;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<Session> session_;
};

TEST_F(SessionTest, PipesMessagesBothWays) {
  Start(CodecKind::kProtobuf);
  EXPECT_THAT(Steps(), ElementsAre("ws read", "start /s/m", "read"));
  Binary("question");
  EXPECT_THAT(Steps(), ElementsAre("write question", "ws read"));
  backend().OnMessage("answer");
  EXPECT_THAT(Steps(), ElementsAre("ws binary answer", "read"));
}

TEST_F(SessionTest, EndsWithTheStatusOfTheCall) {
  Start(CodecKind::kProtobuf);
  Steps();
  backend().OnDone({absl::NotFoundError("no such room"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 no such room"));
  EXPECT_EQ(session_->report().close,
            CloseCodeFor(absl::StatusCode::kNotFound));
}

TEST_F(SessionTest, EndsWith1000WhenTheCallEndsWithOk) {
  Start(CodecKind::kProtobuf);
  Steps();
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 1000 "));
}

// What the backend sent before its status reaches the client before the Close.
TEST_F(SessionTest, WritesEveryAnswerBeforeTheClose) {
  Start(CodecKind::kProtobuf);
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
TEST_F(SessionTest, ASlowClientStopsTheReadingFromTheBackend) {
  limits_.answers = {.low_bytes = 0, .high_bytes = 1};
  Start(CodecKind::kProtobuf);
  Steps();
  backend().OnMessage("a");
  EXPECT_THAT(Steps(), ElementsAre("ws binary a", "read"));
  backend().OnMessage("b");
  EXPECT_THAT(Steps(), ElementsAre());
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary b", "read"));
}

TEST_F(SessionTest, ASlowBackendStopsTheReadingFromTheClient) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  Start(CodecKind::kProtobuf);
  Steps();
  Binary("a");
  EXPECT_THAT(Steps(), ElementsAre("write a", "ws read"));
  Binary("b");
  EXPECT_THAT(Steps(), ElementsAre());
  backend().OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("write b", "ws read"));
}

// stall_timeout counts from the last message that the backend took.
TEST_F(SessionTest, EndsACallWhoseBackendTakesNothing) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  limits_.stall_timeout = absl::Seconds(30);
  Start(CodecKind::kProtobuf);
  Binary("a");
  Binary("b");
  session_->OnTick(now_);
  session_->OnTick(now_ + absl::Seconds(29));
  EXPECT_TRUE(upstream_.call(0).alive());
  Steps();
  session_->OnTick(now_ + absl::Seconds(30));
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read",
                  "ws close 4008 the backend has taken no message for 30s",
                  "cancel"));
}

TEST_F(SessionTest, AMessageTakenStartsTheStallAnew) {
  limits_.requests = {.low_bytes = 0, .high_bytes = 1};
  limits_.stall_timeout = absl::Seconds(30);
  Start(CodecKind::kProtobuf);
  Binary("a");
  Binary("b");
  session_->OnTick(now_);
  backend().OnWritten();
  Binary("c");
  session_->OnTick(now_ + absl::Seconds(20));
  session_->OnTick(now_ + absl::Seconds(45));
  EXPECT_TRUE(upstream_.call(0).alive());
}

TEST_F(SessionTest, AMessageTooBigEndsWith1009) {
  route_->max_message_bytes = 10;
  Start(CodecKind::kProtobuf);
  Steps();
  session_->OnMessageTooBig();
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read",
                  "ws close 1009 a message is longer than max_message_bytes "
                  "(10)",
                  "cancel"));
}

TEST_F(SessionTest, DataAfterHalfCloseEndsWith1002) {
  Start(CodecKind::kProtobuf);
  Text("");
  Steps();
  Binary("late");
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws read", "ws close 1002 data after half-close", "cancel"));
}

// After an ending of the gateway's own the client may still be sending; it has
// to get as far as the Close frame.
TEST_F(SessionTest, DropsWhatComesWhileItEnds) {
  Start(CodecKind::kProtobuf);
  backend().OnMessage("a");
  session_->Drain();
  Steps();
  Binary("too late");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
}

TEST_F(SessionTest, ClosesWith1001OnDrain) {
  Start(CodecKind::kProtobuf);
  Steps();
  session_->Drain();
  EXPECT_THAT(Steps(), ElementsAre("ws close 1001 the gateway is shutting down",
                                   "cancel"));
}

TEST_F(SessionTest, AClientThatLeavesCancelsTheCall) {
  Start(CodecKind::kProtobuf);
  Steps();
  session_->OnClosed({TransportEnd::Cause::kLost, CloseCode::kAbnormal, ""});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  EXPECT_EQ(session_->report().status.code(), absl::StatusCode::kCancelled);
}

// --- The codec

TEST_F(SessionTest, TheFirstMessageChoosesTheCodec) {
  schemas_.schema_ = HelloSchema();
  Start(std::nullopt, "/headgate.demo.v1.HelloService/BidiHello");
  Text("{\"greeting\":\"ann\"}");
  EXPECT_EQ(session_->report().codec, CodecKind::kJson);
}

TEST_F(SessionTest, ABinaryFirstMessageChoosesTheRoutesBinaryCodec) {
  Start(std::nullopt);
  Binary("a");
  EXPECT_EQ(session_->report().codec, CodecKind::kProtobuf);
  EXPECT_THAT(upstream_.call(0).written(), ElementsAre("a"));
}

// A backend may speak first; its answer waits until the codec is known.
TEST_F(SessionTest, KeepsAnEarlyAnswerUntilTheCodecIsChosen) {
  Start(std::nullopt);
  backend().OnMessage("welcome");
  Steps();
  Binary("a");
  EXPECT_THAT(Steps(),
              ElementsAre("write a", "ws read", "ws binary welcome", "read"));
}

TEST_F(SessionTest, JsonNeedsADescriptor) {
  Start(CodecKind::kJson);
  EXPECT_THAT(Steps(),
              ElementsAre("ws read",
                          "ws close 4012 JSON needs the method's descriptor: "
                          "unknown method"));
}

TEST_F(SessionTest, AnUnreadableRequestEndsWithInvalidArgument) {
  StartHello("BidiHello", CodecKind::kJson);
  Steps();
  Text("{\"greting\":1}");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_THAT(steps[1], HasSubstr("ws close 4003 "));
  EXPECT_THAT(steps[1], HasSubstr("greting"));
  EXPECT_EQ(steps[2], "cancel");
}

// An answer that is not what the descriptor says is the backend's fault.
TEST_F(SessionTest, AnUnreadableAnswerEndsWithInternal) {
  StartHello("BidiHello", CodecKind::kJson);
  Steps();
  backend().OnMessage("\xff");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[0], HasSubstr("ws close 4013 "));
  EXPECT_EQ(steps[1], "cancel");
}

TEST_F(SessionTest, AUnaryCallIsKnownFromItsDescriptor) {
  StartHello("SayHello", CodecKind::kJson);
  Steps();
  Text("{\"greeting\":\"ann\"}");
  backend().OnWritten();
  EXPECT_TRUE(upstream_.call(0).writes_done());
  Steps();
  backend().OnMessage(Reply("hello, ann"));
  EXPECT_THAT(Steps(),
              ElementsAre("ws text {\"reply\":\"hello, ann\"}", "read"));
}

// Answers that have to wait share one message, bounded by size.
TEST_F(SessionTest, JoinsPacketsThatWait) {
  Start(CodecKind::kPacket);
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
TEST_F(SessionTest, KeepsEmptyMessagesApart) {
  Start(CodecKind::kProtobuf);
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
TEST_F(SessionTest, TellsTheStatusInBandWhereTheCodecCan) {
  Start(CodecKind::kPacket);
  Steps();
  backend().OnDone({absl::NotFoundError("gone"), ""});
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_THAT(steps[0], HasSubstr("\xff\xff\xff\xff"));
  EXPECT_THAT(steps[0], HasSubstr("gone"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 gone"));
}

// --- Finding the method

TEST_F(SessionTest, WaitsForTheDescriptorsBeforeItCalls) {
  schemas_.answer_at_once_ = false;
  Start(CodecKind::kProtobuf);
  Binary("early");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  schemas_.Answer();
  EXPECT_THAT(Steps(),
              ElementsAre("start /s/m", "read", "write early", "ws read"));
}

TEST_F(SessionTest, SaysWhatIsUnimplementedWhenTheBackendDoesNot) {
  schemas_.why_unknown_ = absl::UnimplementedError("unknown method s/m");
  Start(CodecKind::kProtobuf);
  Steps();
  backend().OnDone({absl::UnimplementedError(""), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws close 4012 unknown method s/m"));
}

// Guessing the kind of the call would leave a unary one hanging.
TEST_F(SessionTest, AnUpstreamThatCannotBeAskedEndsTheSession) {
  schemas_.why_unknown_ = absl::UnavailableError("connection refused");
  Start(CodecKind::kProtobuf);
  EXPECT_THAT(Steps(),
              ElementsAre("ws read", "ws close 4014 connection refused"));
}

TEST_F(SessionTest, AClientThatLeavesWhileTheMethodIsLookedUpIsForgotten) {
  schemas_.answer_at_once_ = false;
  Start(CodecKind::kProtobuf);
  session_->OnClosed(
      {TransportEnd::Cause::kClosedByClient, CloseCode::kGoingAway, "bye"});
  EXPECT_EQ(schemas_.waiting_, nullptr);
  EXPECT_EQ(upstream_.call_count(), 0u);
  EXPECT_EQ(session_->report().close, CloseCode::kGoingAway);
}

TEST_F(SessionTest, DrainWhileTheMethodIsLookedUpCloses) {
  schemas_.answer_at_once_ = false;
  Start(CodecKind::kProtobuf);
  Steps();
  session_->Drain();
  EXPECT_THAT(Steps(),
              ElementsAre("ws close 1001 the gateway is shutting down"));
  EXPECT_EQ(schemas_.waiting_, nullptr);
}

}  // namespace
}  // namespace headgate
