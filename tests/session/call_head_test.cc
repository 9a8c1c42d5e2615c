#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "gateway/codec/grpc_websockets.h"
#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kHeaders[] = "ws binary \\200";
constexpr absl::string_view kEmptyRequest("\0\0\0\0\0\0", 6);

// A call whose headers are the client's first message.
class CallInBandHeadTest : public CallFixture {
 protected:
  void Start(const std::string& method = "/s/m") {
    CallFixture::Start(&kGrpcWebSocketsDialect, method);
  }
  // What happened since the last look, payloads escaped; each message to the
  // client has been taken.
  testing::Log Shown() {
    testing::Log shown;
    for (int i = 0; i < 4; ++i) {
      bool wrote = false;
      for (const std::string& step : Steps()) {
        wrote |= absl::StartsWith(step, "ws binary");
        shown.push_back(absl::CEscape(step));
      }
      if (wrote) session_->OnWritten();
    }
    return shown;
  }
};

TEST_F(CallInBandHeadTest, TheCallStartsWithTheHeaders) {
  Start();
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  Binary("a: 1\r\ngrpc-timeout: 5S\r\n");
  EXPECT_THAT(Steps(), ElementsAre("start /s/m", "read", "ws read"));
  EXPECT_THAT(upstream_->call(0).request().metadata, Contains(Pair("a", "1")));
  EXPECT_EQ(upstream_->call(0).request().timeout, absl::Seconds(5));
  Binary(std::string(kEmptyRequest));
  EXPECT_THAT(Steps(), ElementsAre("write ", "ws read"));
}

TEST_F(CallInBandHeadTest, HeadersWaitUntilTheMethodIsKnown) {
  schemas_->answers_at_once = false;
  Start();
  Binary("a: 1\r\n");
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  schemas_->Answer();
  EXPECT_THAT(Steps(), ElementsAre("start /s/m", "read", "ws read"));
}

TEST_F(CallInBandHeadTest, HeadersMessagesAndTrailersAreAllThere) {
  Start();
  Binary("");
  backend().OnHeaders({{"h", "1"}});
  backend().OnMessage("m");
  CallEnd end{absl::NotFoundError("gone"), "", {{"t", "2"}}};
  Steps();
  session_->OnWritten();
  session_->OnWritten();
  Steps();
  backend().OnDone(std::move(end));
  EXPECT_THAT(Shown(),
              ElementsAre("ws binary \\200\\000\\000\\000*grpc-status: "
                          "5\\r\\ngrpc-message: gone\\r\\nt: 2\\r\\n",
                          "ws close 4005 gone"));
}

// Everything is flushed before Close.
TEST_F(CallInBandHeadTest, NothingIsLostThatWaitedForTheClient) {
  Start();
  Binary("");
  Steps();
  backend().OnHeaders({});
  backend().OnMessage("m");
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Shown(),
              ElementsAre(StartsWith(kHeaders), "read",
                          "ws binary \\000\\000\\000\\000\\001m",
                          HasSubstr("grpc-status: 0"), "ws close 1000 "));
}

TEST_F(CallInBandHeadTest, AFaultInTheHeadersIsToldInTheTrailers) {
  Start();
  Steps();
  Binary("a: \xC3\xA4\r\n");
  EXPECT_THAT(Shown(), ElementsAre("ws read", StartsWith(kHeaders),
                                   HasSubstr("grpc-status: 3"),
                                   StartsWith("ws close 4003 header a")));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

TEST_F(CallInBandHeadTest, SoIsWhatIsWrongBeforeThem) {
  schemas_->why_unknown = absl::UnavailableError("connection refused");
  Start();
  EXPECT_THAT(Shown(), ElementsAre("ws read", StartsWith(kHeaders),
                                   HasSubstr("grpc-status: 14"),
                                   "ws close 4014 connection refused"));
}

TEST_F(CallInBandHeadTest, HeadersThatAreTooLongAreResourceExhausted) {
  route_->max_metadata_bytes = 100;
  Start();
  Steps();
  Binary(std::string(1 << 20, 'a'));
  EXPECT_THAT(Shown(), Contains(StartsWith("ws close 4008")));
}

TEST_F(CallInBandHeadTest, ADrainBeforeThemIsToldInTheTrailers) {
  Start();
  Steps();
  Drain();
  EXPECT_THAT(Shown(),
              ElementsAre(StartsWith(kHeaders), HasSubstr("grpc-status: 14"),
                          StartsWith("ws close 1001")));
}

TEST_F(CallInBandHeadTest, TheWaitForThemIsThatForTheRestOfAMessage) {
  schemas_->answers_at_once = false;
  Start();
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
  schemas_->Answer();
  const auto head = session_->unfinished_message();
  EXPECT_TRUE(head.has_value());
  EXPECT_FALSE(session_->is_at_rest());
  Binary("");
  EXPECT_EQ(session_->unfinished_message(), std::nullopt);
  EXPECT_TRUE(session_->is_at_rest());
  Binary(std::string("\0\0\0\0\0\2a", 7));
  EXPECT_TRUE(session_->unfinished_message().has_value());
  EXPECT_NE(session_->unfinished_message(), head);
}

// {"exp":100}
TEST_F(CallInBandHeadTest, ATokenAmongThemMayExpire) {
  route_->token = {TokenRule::Expiry::kCloses, absl::Seconds(10)};
  Start();
  Binary("authorization: Bearer e30.eyJleHAiOjEwMH0.x\r\n");
  Steps();
  now_ += absl::Seconds(109);
  session_->OnTick(now_);
  EXPECT_THAT(Steps(), ElementsAre());
  now_ += absl::Seconds(5);
  session_->OnTick(now_);
  EXPECT_THAT(Shown(), Contains("ws close 4016 the token has expired"));
}

TEST_F(CallInBandHeadTest, OneThatHasExpiredMakesNoCall) {
  route_->token = {TokenRule::Expiry::kCloses, absl::Seconds(10)};
  now_ += absl::Seconds(110);
  Start();
  Binary("authorization: Bearer e30.eyJleHAiOjEwMH0.x\r\n");
  EXPECT_THAT(Shown(), Contains("ws close 4016 the token has expired"));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

// {"sub":"ann"}
constexpr absl::string_view kAnn =
    "authorization: Bearer e30.eyJzdWIiOiJhbm4ifQ.x\r\n";

TEST_F(CallInBandHeadTest, ItsClientIsCountedUntilTheSessionEnds) {
  identity_claim_ = "sub";
  const auto place = std::make_shared<int>();
  std::vector<std::string> counted;
  count_identity_ = [&](const std::string& identity) {
    counted.push_back(identity);
    return place;
  };
  Start();
  EXPECT_THAT(counted, ElementsAre());
  Binary(std::string(kAnn));
  EXPECT_THAT(counted, ElementsAre(SizeIs(16)));
  EXPECT_THAT(Steps(), Contains("start /s/m"));
  EXPECT_EQ(place.use_count(), 2);
  session_.reset();
  EXPECT_EQ(place.use_count(), 1);
}

TEST_F(CallInBandHeadTest, AClientWithTooManySessionsGetsNoCall) {
  identity_claim_ = "sub";
  count_identity_ = [](const std::string&) { return nullptr; };
  Start();
  Binary(std::string(kAnn));
  EXPECT_THAT(Shown(),
              Contains("ws close 4008 there are too many sessions of this "
                       "client"));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

TEST_F(CallInBandHeadTest, AClientWhomTheHandshakeNamedIsNotCountedAgain) {
  identity_claim_ = "sub";
  count_identity_ = [](const std::string&) { return nullptr; };
  // {"exp":9,"sub":"ann"}
  handshake_metadata_ = {
      {"authorization", "Bearer e30.eyJleHAiOjksInN1YiI6ImFubiJ9.x"}};
  Start();
  Binary(std::string(kAnn));
  EXPECT_THAT(Steps(), Contains("start /s/m"));
}

TEST_F(CallInBandHeadTest, DataAfterTheEndIsAViolation) {
  Start();
  Binary("");
  Binary("\x01");
  Steps();
  Binary(std::string(kEmptyRequest));
  EXPECT_THAT(Shown(), Contains("ws close 1002 data after half-close"));
}

TEST_F(CallInBandHeadTest, TheUnaryCallTakesItsHalfClose) {
  schemas_->schema = HelloSchema();
  Start("/headgate.demo.v1.HelloService/SayHello");
  Binary("");
  Steps();
  Binary(std::string(kEmptyRequest));
  Binary("\x01");
  EXPECT_THAT(Steps(), Not(Contains(StartsWith("ws close"))));
  Binary(std::string(kEmptyRequest));
  EXPECT_THAT(Shown(), Contains(StartsWith("ws close 1002")));
}

// The last message that memory is short for is the one that says so.
TEST_F(CallInBandHeadTest, AShortageOfMemoryIsTold) {
  Start();
  Steps();
  session_->CloseForMemory();
  EXPECT_THAT(Shown(),
              ElementsAre(StartsWith(kHeaders), HasSubstr("grpc-status: 14"),
                          StartsWith("ws close 1013")));
}

}  // namespace
}  // namespace headgate
