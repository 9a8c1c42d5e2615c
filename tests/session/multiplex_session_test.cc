#include "gateway/session/packet_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/session/multiplex_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Log;
using ::testing::Pair;

class MultiplexSessionTest : public MultiplexFixture {};

// --- Packets and calls

TEST_F(MultiplexSessionTest, MakesACallOfItsOwnForEachNumber) {
  Start();
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  Send(Packet(kTalk, 42, "a"));
  EXPECT_THAT(Steps(),
              ElementsAre("start /s/Talk", "read", "write a", "ws read"));
  Send(Packet(kTalk, 43, "b"));
  EXPECT_THAT(Steps(), ElementsAre("#1 start /s/Talk", "#1 read", "#1 write b",
                                   "ws read"));
  backend(0).OnWritten();
  Send(Packet(kTalk, 42, "c"));
  EXPECT_THAT(Steps(), ElementsAre("write c", "ws read"));
}

TEST_F(MultiplexSessionTest, TheTypeOfTheFirstPacketChoosesTheMethod) {
  Start();
  Send(Packet(kWalk, 1));
  EXPECT_EQ(upstream_->call(0).method(), "/s/Walk");
}

TEST_F(MultiplexSessionTest, AnswersCarryTheTypeAndTheNumberOfTheirCall) {
  Start();
  Send(Packet(kTalk, 42) + Packet(kWalk, 0xFFFFFFFF));
  Steps();
  backend(1).OnMessage("step");
  EXPECT_THAT(Steps(), ElementsAre("ws binary 2#4294967295 step", "#1 read"));
  session_->OnWritten();
  backend(0).OnMessage("word");
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#42 word", "read"));
}

TEST_F(MultiplexSessionTest, EveryCallHasTheMetadataAndTheTimeoutOfTheSession) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kWalk, 2));
  for (const std::size_t call : {0, 1}) {
    EXPECT_THAT(upstream_->call(call).request().metadata,
                ElementsAre(Pair("x-player", "ann")));
    EXPECT_EQ(upstream_->call(call).request().timeout, absl::Seconds(7));
  }
}

TEST_F(MultiplexSessionTest, TakesThePacketsOfAMessageInTheirOrder) {
  Start();
  Steps();
  Send(Packet(kTalk, 1, "a") + Packet(kWalk, 2, "b") + End(2) +
       Packet(kTalk, 1, "c"));
  EXPECT_THAT(Steps(), ElementsAre("start /s/Talk", "read", "write a",
                                   "#1 start /s/Walk", "#1 read", "#1 write b",
                                   "ws read"));
  backend(0).OnWritten();
  backend(1).OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("write c", "#1 writes-done"));
}

// order, endian and length_counts hold both ways.
TEST_F(MultiplexSessionTest, SpeaksTheHeaderOfTheRoute) {
  route_->packet.order = PacketOptions::Order::kTypeWhoLength;
  route_->packet.endian = PacketOptions::Endian::kLittle;
  route_->packet.length_counts = PacketOptions::LengthCounts::kPacket;
  Start();
  Send({"\x01\0\0\0\x2a\0\0\0\x0d\0\0\0a", 13});
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("a"));
  Steps();
  backend(0).OnMessage("word");
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#42 word", "read"));
}

TEST_F(MultiplexSessionTest, IsWhatARouteWithATableOfMethodsAsksFor) {
  SessionRequest request;
  request.route = route_;
  const std::unique_ptr<Session> session =
      MakeSession(std::move(request),
                  std::make_shared<const SessionContext>(
                      SessionContext{limits_, upstream_, schemas_}),
                  transport_);
  EXPECT_NE(dynamic_cast<MultiplexSession*>(session.get()), nullptr);
}

TEST_F(MultiplexSessionTest, CountsMessagesAndTheirBytes) {
  Start();
  Send(Packet(kTalk, 1, "abc") + Packet(kTalk, 1, "d"));
  Text("");
  backend(0).OnMessage("12345");
  EXPECT_EQ(session_->report().messages_in, 2u);
  EXPECT_EQ(session_->report().bytes_in, 28u);
  EXPECT_EQ(session_->report().messages_out, 1u);
  EXPECT_EQ(session_->report().bytes_out, 17u);
  EXPECT_EQ(session_->report().codec, &kPacketDialect);
}

// --- How a call ends

// OK too: without it a client could not tell when the number is free.
TEST_F(MultiplexSessionTest, TheStatusOfACallIsItsEndPacket) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  Steps();
  backend(0).OnDone({absl::NotFoundError("no such room"), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 NOT_FOUND no such room"));
  session_->OnWritten();
  backend(1).OnDone({absl::OkStatus(), ""});
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#2 OK"));
}

// A google.rpc.Status that the backend sent goes through as it is.
TEST_F(MultiplexSessionTest, TheEndPacketHasTheBackendsDetails) {
  Start();
  Send(Packet(kTalk, 1));
  Steps();
  // {code: 5, message: "rich"}
  backend(0).OnDone({absl::NotFoundError("plain"), "\x08\x05\x12\x04rich"});
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 NOT_FOUND rich"));
}

TEST_F(MultiplexSessionTest, TheStatusComesBehindTheAnswers) {
  Start();
  Send(Packet(kTalk, 1));
  backend(0).OnMessage("a");
  backend(0).OnMessage("b");
  backend(0).OnDone({absl::OkStatus(), ""});
  Steps();
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 b, end#1 OK"));
}

TEST_F(MultiplexSessionTest, ANumberIsFreeAfterItsStatus) {
  Start();
  Send(Packet(kTalk, 1, "a"));
  backend(0).OnDone({absl::OkStatus(), ""});
  Steps();
  Send(Packet(kWalk, 1, "b"));
  EXPECT_THAT(Steps(), ElementsAre("#1 start /s/Walk", "#1 read", "#1 write b",
                                   "ws read"));
}

TEST_F(MultiplexSessionTest, AFailedCallEndsAlone) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  backend(0).OnDone({absl::InternalError("oops"), ""});
  EXPECT_TRUE(upstream_->call(1).alive());
  Steps();
  backend(1).OnMessage("still here");
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("#1 read", "ws binary 1#2 still here"));
  EXPECT_TRUE(session_->report().status.ok());
}

TEST_F(MultiplexSessionTest, AnUnknownTypeIsUnimplemented) {
  Start();
  Steps();
  Send(Packet(77, 5, "a"));
  EXPECT_THAT(
      Steps(),
      ElementsAre("ws binary end#5 UNIMPLEMENTED there is no method of type 77",
                  "ws read"));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

// Packets do not nest where `who` numbers calls: a container is a type like any
// other.
TEST_F(MultiplexSessionTest, AContainerIsAnUnknownType) {
  route_->packet.container_types = {100};
  Start();
  Steps();
  Send(Packet(100, 5, Packet(kTalk, 6)) +
       Packet(kContainerPacket, 7, Packet(kTalk, 8)));
  EXPECT_EQ(upstream_->call_count(), 0u);
  session_->OnWritten();
  EXPECT_THAT(Steps(),
              ElementsAre("ws binary end#5 UNIMPLEMENTED there is no method of "
                          "type 100",
                          "ws read",
                          "ws binary end#7 UNIMPLEMENTED there is no method of "
                          "type 4294967294"));
}

TEST_F(MultiplexSessionTest, AnotherTypeOnAnOpenNumberEndsThatCall) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  Steps();
  Send(Packet(kWalk, 1));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 INVALID_ARGUMENT type 2 "
                                   "for a call of type 1",
                                   "cancel", "ws read"));
  EXPECT_TRUE(upstream_->call(1).alive());
}

TEST_F(MultiplexSessionTest, ACallOverMaxCallsEndsAtOnce) {
  table().max_calls = 2;
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  Steps();
  Send(Packet(kTalk, 3));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#3 RESOURCE_EXHAUSTED more "
                                   "than max_calls (2) are open",
                                   "ws read"));
  EXPECT_EQ(upstream_->call_count(), 2u);
  // The others go on, and the place of one that ends is free.
  backend(0).OnDone({absl::OkStatus(), ""});
  Send(Packet(kTalk, 3));
  EXPECT_EQ(upstream_->call_count(), 3u);
}

// Its content could not be anything that the client was promised to read.
TEST_F(MultiplexSessionTest, AnAnswerOverMaxPacketBytesEndsItsCall) {
  route_->packet.max_packet_bytes = 80;
  Start();
  Send(Packet(kTalk, 1));
  Steps();
  backend(0).OnMessage(std::string(81, 'x'));
  EXPECT_THAT(Steps(),
              ElementsAre("ws binary end#1 RESOURCE_EXHAUSTED an answer of 81 "
                          "bytes is over max_packet_bytes (80)",
                          "cancel"));
}

// --- Half-close

TEST_F(MultiplexSessionTest, TheEndPacketHalfClosesItsCallAlone) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  backend(0).OnWritten();
  backend(1).OnWritten();
  Steps();
  Send(End(1));
  EXPECT_THAT(Steps(), ElementsAre("writes-done", "ws read"));
  backend(0).OnMessage("late");  // Answers still arrive.
  EXPECT_THAT(Steps(), ElementsAre("ws binary 1#1 late", "read"));
}

// It may have crossed the call's status on its way.
TEST_F(MultiplexSessionTest, AnEndPacketForANumberNotInUseDoesNothing) {
  Start();
  Steps();
  Send(End(1));
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
}

TEST_F(MultiplexSessionTest, ASecondEndPacketEndsThatCall) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2));
  Send(End(1));
  Steps();
  Send(End(1));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 INVALID_ARGUMENT "
                                   "half-close after half-close",
                                   "cancel", "ws read"));
  EXPECT_TRUE(upstream_->call(1).alive());
}

TEST_F(MultiplexSessionTest, DataAfterTheEndPacketEndsThatCall) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2) + End(1));
  Steps();
  Send(Packet(kTalk, 1, "late"));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 INVALID_ARGUMENT data "
                                   "after half-close",
                                   "cancel", "ws read"));
  EXPECT_TRUE(upstream_->call(1).alive());
}

// ws.send("") is the half-close of every codec but raw.
TEST_F(MultiplexSessionTest, AnEmptyTextHalfClosesEveryCallThatIsNotYet) {
  Start();
  Send(Packet(kTalk, 1) + Packet(kTalk, 2) + Packet(kTalk, 3) + End(2));
  for (const std::size_t call : {0, 1, 2}) backend(call).OnWritten();
  Steps();
  Text("");
  EXPECT_TRUE(upstream_->call(0).writes_done());
  EXPECT_TRUE(upstream_->call(2).writes_done());
  for (const std::size_t call : {0, 1, 2}) {
    EXPECT_TRUE(upstream_->call(call).alive());
  }
  Steps();
  Text("");  // Of no call, so it is not a second one.
  EXPECT_THAT(Steps(), ElementsAre("ws read"));
  Send(End(1));
  EXPECT_FALSE(upstream_->call(0).alive());
}

TEST_F(MultiplexSessionTest, AnEmptyTextLeavesTheSessionOpenForCalls) {
  Start();
  Text("");
  Send(Packet(kTalk, 1, "a"));
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("a"));
  EXPECT_FALSE(upstream_->call(0).writes_done());
}

// --- The four kinds of call

TEST_F(MultiplexSessionTest, OneMessageIsTheRequestOfAUnaryCall) {
  Start();
  Steps();
  Send(Packet(kUnary, 1, "a"));
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), ElementsAre(absl::StrCat("start ", kSayHello), "read",
                                   "write a", "ws read", "writes-done"));
  Send(End(1));  // Says what is so already.
  EXPECT_TRUE(upstream_->call(0).alive());
}

TEST_F(MultiplexSessionTest, ASecondRequestOfAUnaryCallEndsIt) {
  Start();
  Send(Packet(kUnary, 1, "a"));
  Steps();
  Send(Packet(kUnary, 1, "b"));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 INVALID_ARGUMENT a second "
                                   "request message, and the method takes one",
                                   "cancel", "ws read"));
}

TEST_F(MultiplexSessionTest, ASecondAnswerOfAUnaryCallEndsIt) {
  Start();
  Send(Packet(kUnary, 1, "a") + Packet(kTalk, 2));
  backend(0).OnMessage("b");
  session_->OnWritten();
  Steps();
  backend(0).OnMessage("c");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[0], HasSubstr("ws binary end#1 INTERNAL"));
  EXPECT_EQ(steps[1], "cancel");
}

TEST_F(MultiplexSessionTest, AClientStreamingCallLastsUntilItsEndPacket) {
  Start();
  Send(Packet(kGreetings, 1, "a") + Packet(kGreetings, 1, "b"));
  backend(0).OnWritten();
  backend(0).OnWritten();
  EXPECT_FALSE(upstream_->call(0).writes_done());
  Send(End(1));
  EXPECT_TRUE(upstream_->call(0).writes_done());
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("a", "b"));
}

// --- JSON content

class MultiplexJsonTest : public MultiplexFixture {
 protected:
  MultiplexJsonTest() { table().content = PacketContent::kJson; }
};

TEST_F(MultiplexJsonTest, GoesToTheBackendAsProtobufAndComesBackAsJson) {
  Start();
  Send(Packet(kUnary, 1, R"({"greeting": "ann"})"));
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(Greeting("ann")));
  Steps();
  backend(0).OnMessage(Reply("hello, ann"));
  EXPECT_THAT(Steps(),
              ElementsAre(R"(ws binary 11#1 {"reply":"hello, ann"})", "read"));
}

TEST_F(MultiplexJsonTest, HasTheOptionsOfTheRoute) {
  route_->json.json.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  route_->json.json.unpopulated = JsonOptions::Unpopulated::kEmit;
  Start();
  Send(Packet(kUnary, 1, R"({"greetin": "ann"})"));
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(""));
  Steps();
  backend(0).OnMessage("");
  EXPECT_THAT(Steps(), ElementsAre(R"(ws binary 11#1 {"reply":""})", "read"));
}

TEST_F(MultiplexJsonTest, ThatDoesNotFitEndsItsCallAndSaysWhere) {
  Start();
  Send(Packet(kBidi, 1, "{}") + Packet(kBidi, 2, "{}"));
  Steps();
  Send(Packet(kBidi, 2, "{\n\"greeting\": 5, \"greetin\": 1}"));
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_THAT(steps[0],
              HasSubstr("ws binary end#2 INVALID_ARGUMENT line 2, byte "));
  EXPECT_THAT(steps[0], HasSubstr("field greeti"));
  EXPECT_THAT(steps[1], "#1 cancel");
  EXPECT_TRUE(upstream_->call(0).alive());
}

TEST_F(MultiplexJsonTest, IsOneTextInEachPacket) {
  const struct {
    const char* json;
    const char* fault;
  } kCases[] = {
      {"", "empty, or cut short"},         {"  ", "empty, or cut short"},
      {"{", "empty, or cut short"},        {"{}{}", "more than one JSON text"},
      {"{} {", "more than one JSON text"}, {"]", "line 1, byte 0"},
  };
  Start();
  std::size_t calls = 0;
  for (const auto& [json, fault] : kCases) {
    Steps();
    Send(Packet(kUnary, 1, json));
    ASSERT_EQ(upstream_->call_count(), ++calls);
    EXPECT_FALSE(upstream_->call(calls - 1).alive()) << json;
    EXPECT_THAT(upstream_->call(calls - 1).written(), IsEmpty()) << json;
    session_->OnWritten();
    const std::string steps = absl::StrJoin(Steps(), "\n");
    EXPECT_THAT(steps, HasSubstr("ws binary end#1 INVALID_ARGUMENT"));
    EXPECT_THAT(steps, HasSubstr(fault));
  }
}

TEST_F(MultiplexJsonTest, NeedsTheMethodsDescriptor) {
  Start();
  Steps();
  Send(Packet(kTalk, 1, "{}"));
  EXPECT_THAT(Steps(), ElementsAre("ws binary end#1 UNIMPLEMENTED JSON needs "
                                   "the method's descriptor: unknown method",
                                   "ws read"));
  EXPECT_EQ(upstream_->call_count(), 0u);
}

// An answer that is not what the descriptor says is the backend's fault.
TEST_F(MultiplexJsonTest, OfAnUnreadableAnswerIsInternal) {
  Start();
  Send(Packet(kBidi, 1, "{}") + Packet(kBidi, 2, "{}"));
  Steps();
  backend(0).OnMessage("\xff");
  const Log steps = Steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_THAT(steps[0], HasSubstr("ws binary end#1 INTERNAL"));
  EXPECT_EQ(steps[1], "cancel");
  EXPECT_TRUE(upstream_->call(1).alive());
}

}  // namespace
}  // namespace headgate
