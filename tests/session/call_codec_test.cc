#include "tests/session/call_fixture.h"
#include "tests/session/toy_dialect.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Log;

class CallCodecTest : public CallFixture {};

TEST_F(CallCodecTest, TheFirstMessageChoosesTheCodec) {
  schemas_->schema = HelloSchema();
  Start(nullptr, "/headgate.demo.v1.HelloService/BidiHello");
  Text("{\"greeting\":\"ann\"}");
  EXPECT_EQ(session_->report().codec, &kJsonDialect);
}

TEST_F(CallCodecTest, ABinaryFirstMessageChoosesTheRoutesBinaryCodec) {
  Start(nullptr);
  Binary("a");
  EXPECT_EQ(session_->report().codec, &kProtobufDialect);
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("a"));
}

// A backend may speak first; its answer waits until the codec is known.
TEST_F(CallCodecTest, KeepsAnEarlyAnswerUntilTheCodecIsChosen) {
  Start(nullptr);
  backend().OnMessage("welcome");
  Steps();
  Binary("a");
  EXPECT_THAT(Steps(),
              ElementsAre("write a", "ws read", "ws binary welcome", "read"));
}

TEST_F(CallCodecTest, JsonNeedsADescriptor) {
  Start(&kJsonDialect);
  EXPECT_THAT(Steps(),
              ElementsAre("ws read",
                          "ws close 4012 JSON needs the method's descriptor: "
                          "unknown method"));
}

TEST_F(CallCodecTest, AnUnreadableRequestEndsWithInvalidArgument) {
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
TEST_F(CallCodecTest, AnUnreadableAnswerEndsWithInternal) {
  StartHello("BidiHello", &kJsonDialect);
  Steps();
  backend().OnMessage("\xff");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[0], HasSubstr("ws close 4013 "));
  EXPECT_EQ(steps[1], "cancel");
}

TEST_F(CallCodecTest, AUnaryCallIsKnownFromItsDescriptor) {
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
TEST_F(CallCodecTest, JoinsPacketsThatWait) {
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
TEST_F(CallCodecTest, KeepsEmptyMessagesApart) {
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
TEST_F(CallCodecTest, TellsTheStatusInBandWhereTheCodecCan) {
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

// google.api.http without a body: there is nothing to wait for.
TEST_F(CallCodecTest, PathAndQueryMayBeTheWholeRequest) {
  binding_ = RequestBinding{{}, {{"greeting", "ann"}}, "", ""};
  StartHello("SayHello", &kJsonDialect);
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(Greeting("ann")));
  EXPECT_TRUE(upstream_->call(0).writes_done());
}

TEST_F(CallCodecTest, PathAndQueryTakePartInTheFirstMessage) {
  binding_ = RequestBinding{{{"greeting", "ann"}}, {}, "*", ""};
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre());
  Text("{}{\"greeting\":\"bob\"}");
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(),
              ElementsAre(Greeting("ann"), Greeting("bob")));
}

TEST_F(CallCodecTest, AParameterThatNoFieldHasEndsTheSession) {
  binding_ = RequestBinding{{}, {{"greetin", "ann"}}, "", ""};
  StartHello("SayHello", &kJsonDialect);
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[1], HasSubstr("ws close 4003 "));
  EXPECT_THAT(steps[1], HasSubstr("greetin"));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

TEST_F(CallCodecTest, GivesTheCodecTheBackendsMetadataWhereItIsWanted) {
  route_->json.envelope = JsonCodecOptions::Envelope::kStatus;
  StartHello("BidiHello", &kJsonDialect);
  EXPECT_EQ(upstream_->call(0).request().metadata_delivery,
            MetadataDelivery::kDelivered);
  Steps();
  backend().OnHeaders({{"a", "b"}});
  EXPECT_THAT(Steps(), ElementsAre("ws text {\"headers\":{\"a\":[\"b\"]}}"));
  session_->OnWritten();
  backend().OnDone({absl::NotFoundError("gone"), "", {{"t", "u"}}});
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws text {\"status\":{\"code\":5,\"message\":\"gone\","
                  "\"details\":[],\"trailers\":{\"t\":[\"u\"]}}}"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 gone"));
}

TEST_F(CallCodecTest, AClientMayAskForTheStatus) {
  wants_status_ = true;
  StartHello("BidiHello", &kJsonDialect);
  Steps();
  backend().OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Steps(),
              ElementsAre("ws text {\"status\":{\"code\":0,\"message\":\"\","
                          "\"details\":[],\"trailers\":{}}}"));
}

// The codec may be chosen after the backend has spoken.
TEST_F(CallCodecTest, KeepsEarlyMetadataUntilTheCodecIsChosen) {
  route_->json.envelope = JsonCodecOptions::Envelope::kStatus;
  StartHello("BidiHello", nullptr);
  backend().OnHeaders({{"a", "b"}});
  backend().OnMessage(Reply("hi"));
  Steps();
  Text("{}");
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("write ", "ws read",
                                   "ws text {\"headers\":{\"a\":[\"b\"]}}",
                                   "read", "ws text {\"reply\":\"hi\"}"));
}

TEST_F(CallCodecTest, ACodecWithoutAPlaceForMetadataGetsNone) {
  Start(&kProtobufDialect);
  EXPECT_EQ(upstream_->call(0).request().metadata_delivery,
            MetadataDelivery::kDropped);
}

// The status line of an HTTP response comes before the first byte of its body.
TEST_F(CallCodecTest, AFailureOverHttpHasAHeadOfItsOwn) {
  transport_.head_is_sent_ = false;
  binding_ = RequestBinding{{}, {{"greeting", "ann"}}, "", ""};
  StartHello("LotsOfReplies", &kHttpJsonDialect);
  Steps();
  backend().OnHeaders({{"a", "b"}});
  EXPECT_THAT(Steps(), ElementsAre("ws head 200 Grpc-Metadata-A=b"));
  backend().OnDone({absl::NotFoundError("gone"), ""});
  EXPECT_THAT(Steps(),
              ElementsAre("ws head 404 Grpc-Metadata-A=b",
                          "ws text {\"error\":{\"code\":5,\"message\":\"gone\","
                          "\"details\":[]}}"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4005 gone"));
}

TEST_F(CallCodecTest, AFailureAfterTheHeadIsALastLine) {
  binding_ = RequestBinding{{}, {{"greeting", "ann"}}, "", ""};
  StartHello("LotsOfReplies", &kHttpJsonDialect);
  backend().OnHeaders({});
  Steps();
  backend().OnDone({absl::NotFoundError("gone"), ""});
  EXPECT_THAT(Steps(),
              ElementsAre("ws text {\"error\":{\"code\":5,\"message\":\"gone\","
                          "\"details\":[]}}\n"));
}

// --- A dialect that the gateway does not know

TEST_F(CallCodecTest, ADialectIsAFileAndARow) {
  const Dialect* const table[] = {&kPacketDialect, &kJsonDialect, &kToyDialect};
  const Dialect* dialect = DialectOfSubprotocol("toy.v1", table);
  ASSERT_EQ(dialect, &kToyDialect);
  EXPECT_EQ(FindDialect("toy", table), dialect);
  Start(dialect);
  backend().OnHeaders({{"a", "b"}});
  Steps();
  Text("Hi");
  EXPECT_THAT(Steps(), ElementsAre("write iH", "ws read"));
  backend().OnMessage("abc");
  EXPECT_THAT(Steps(), ElementsAre("read"));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws text cba"));
  backend().OnDone({absl::NotFoundError("gone"), ""});
  session_->OnWritten();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws text end 5", "ws close 4005 gone"));
  EXPECT_EQ(session_->report().codec->name, "toy");
}

}  // namespace
}  // namespace headgate
