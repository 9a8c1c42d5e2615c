#include "tests/session/call_fixture.h"

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

TEST_F(CallCodecTest, HandsOnTheBackendsMetadataWhereItIsWanted) {
  transport_.DeliverMetadata();
  Start(&kProtobufDialect);
  EXPECT_EQ(upstream_->call(0).request().metadata_delivery,
            MetadataDelivery::kDelivered);
  Steps();
  backend().OnHeaders({{"a", "b"}, {"c", "d"}});
  EXPECT_THAT(Steps(), ElementsAre("ws headers a=b,c=d"));
}

TEST_F(CallCodecTest, AWebSocketHasNoPlaceForMetadata) {
  Start(&kProtobufDialect);
  EXPECT_EQ(upstream_->call(0).request().metadata_delivery,
            MetadataDelivery::kDropped);
}

// An HTTP answer's status line has to say it before the first byte of a body.
TEST_F(CallCodecTest, SaysHowItWillEndBeforeTheLastMessage) {
  transport_.DeliverMetadata();
  Start(&kPacketDialect);
  Steps();
  backend().OnDone({absl::NotFoundError("gone"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws ending 4005", HasSubstr("gone")));
}

}  // namespace
}  // namespace headgate
