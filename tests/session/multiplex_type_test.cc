// As call_type_test.cc, of a session with several calls whose packets hold
// JSON: one call waits for the type of an Any, the others do not.

#include <string>

#include "tests/session/multiplex_fixture.h"
#include "tests/session/unknown_type.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class MultiplexTypeTest : public MultiplexFixture {
 protected:
  static constexpr std::uint32_t kAsk = 21;
  static constexpr std::uint32_t kTalkJson = 22;

  MultiplexTypeTest() {
    table().methods = {{kAsk, "/s.S/Ask"}, {kTalkJson, "/s.S/Talk"}};
    table().content = PacketContent::kJson;
  }

  // Opens the calls 1 and 2 with a message each, which their backends take.
  void OpenTwo() {
    Start();
    for (const std::uint32_t who : {1, 2}) {
      Send(Packet(kTalkJson, who, "{}"));
      backend(who - 1).OnWritten();
    }
    Steps();
  }
  void Pass(absl::Duration time) { session_->OnTick(now_ += time); }

  static constexpr auto& kJson = UnknownType::kJson;
  static constexpr auto& kBase64 = UnknownType::kBase64;
  static std::string Message() { return UnknownType::Message(); }

  UnknownType type_{*schemas_};
};

TEST_F(MultiplexTypeTest, ARequestWaitsForTheType) {
  Start();
  Send(Packet(kAsk, 1, kJson) + End(1));
  EXPECT_THAT(upstream_->call(0).written(), IsEmpty());
  EXPECT_THAT(schemas_->awaited_types(), ElementsAre("t.T"));
  EXPECT_GE(session_->held_bytes(), sizeof(UnknownType::kJson) - 1);
  Steps();
  type_.Answer();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(Message()));
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), Contains("writes-done"));
}

TEST_F(MultiplexTypeTest, MessagesOfTheCallKeepTheirOrderAndOtherCallsGoOn) {
  OpenTwo();
  Send(Packet(kTalkJson, 1, kJson) + Packet(kTalkJson, 1, "{}") + End(1));
  Send(Packet(kTalkJson, 2, "{}") + End(2));
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(""));
  EXPECT_THAT(upstream_->call(1).written(), ElementsAre("", ""));
  Steps();
  type_.Answer();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("", Message()));
  backend(0).OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("", Message(), ""));
  EXPECT_THAT(Steps(), Not(Contains("writes-done")));
  backend(0).OnWritten();
  EXPECT_THAT(Steps(), Contains("writes-done"));
}

// It waits for the backend as any other message does.
TEST_F(MultiplexTypeTest, WhatWaitsForATypeCountsForTheWindow) {
  table().call_window_bytes = 100;
  OpenTwo();
  Send(Packet(kTalkJson, 1, kJson));
  Send(Packet(kTalkJson, 1, "{}" + std::string(100, ' ')));
  EXPECT_THAT(Steps(), Not(Contains("cancel")));
  Send(Packet(kTalkJson, 1, "{}"));
  EXPECT_THAT(
      Steps(),
      Contains("ws binary end#1 RESOURCE_EXHAUSTED more than call_window (100) "
               "waits for the backend"));
}

TEST_F(MultiplexTypeTest, ARequestOfATypeThatTheServerDoesNotKnowEndsItsCall) {
  OpenTwo();
  Send(Packet(kTalkJson, 1, kJson));
  Steps();
  type_.AnswerNothing();
  EXPECT_THAT(Steps(), Contains(AllOf(
                           HasSubstr("end#1 INVALID_ARGUMENT"),
                           HasSubstr("the gateway knows no type \"a/t.T\""))));
  Send(Packet(kTalkJson, 2, "{}"));
  EXPECT_THAT(upstream_->call(1).written(), ElementsAre("", ""));
}

TEST_F(MultiplexTypeTest, AServerThatDoesNotAnswerIsNotWaitedForLong) {
  OpenTwo();
  Send(Packet(kTalkJson, 1, kJson));
  backend(1).OnMessage(Message());
  Pass(absl::Seconds(1));
  Pass(absl::Seconds(4));
  EXPECT_THAT(Steps(), Not(Contains(HasSubstr("ws binary 22#2"))));
  Pass(absl::Seconds(2));
  session_->OnWritten();
  EXPECT_THAT(Steps(),
              AllOf(Contains(HasSubstr("end#1 INVALID_ARGUMENT")),
                    Contains(std::string("ws binary 22#2 ") + kBase64)));
}

TEST_F(MultiplexTypeTest, AResponseWaitsForTheTypeAndTheOtherCallDoesNot) {
  OpenTwo();
  backend(0).OnMessage(Message());
  EXPECT_THAT(Steps(), IsEmpty());
  EXPECT_GE(session_->held_bytes(), Message().size());
  backend(1).OnMessage("");
  EXPECT_THAT(Steps(), ElementsAre("ws binary 22#2 {}", "#1 read"));
  session_->OnWritten();
  type_.Answer();
  EXPECT_THAT(Steps(),
              ElementsAre(std::string("ws binary 22#1 ") + kJson, "read"));
}

TEST_F(MultiplexTypeTest, AResponseOfATypeThatTheServerDoesNotKnowIsBase64) {
  OpenTwo();
  backend(0).OnMessage(Message());
  type_.AnswerNothing();
  EXPECT_THAT(Steps(),
              ElementsAre(std::string("ws binary 22#1 ") + kBase64, "read"));
}

TEST_F(MultiplexTypeTest, AResponseThatWaitsIsDeliveredWhenTheCallBreaksOff) {
  OpenTwo();
  backend(0).OnMessage(Message());
  backend(0).OnDone({absl::UnavailableError("gone"), ""});
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws binary 22#1 ") + kBase64,
                                   "ws binary end#1 UNAVAILABLE gone"));
}

TEST_F(MultiplexTypeTest, NothingWaitsWhereTheServerIsNotAsked) {
  type_.AskNobody();
  OpenTwo();
  backend(0).OnMessage(Message());
  EXPECT_THAT(Steps(),
              ElementsAre(std::string("ws binary 22#1 ") + kBase64, "read"));
  session_->OnWritten();
  Send(Packet(kTalkJson, 2, kJson));
  EXPECT_THAT(Steps(), Contains(HasSubstr("end#2 INVALID_ARGUMENT")));
  EXPECT_THAT(schemas_->awaited_types(), IsEmpty());
}

TEST_F(MultiplexTypeTest, AClientThatLeavesEndsTheWaiting) {
  OpenTwo();
  Send(Packet(kTalkJson, 1, kJson));
  backend(1).OnMessage(Message());
  session_->OnClosed({});
  Steps();
  type_.Answer();
  EXPECT_THAT(Steps(), IsEmpty());
}

TEST_F(MultiplexTypeTest, ADrainDeliversTheResponseThatWaits) {
  OpenTwo();
  backend(0).OnMessage(Message());
  Drain();
  EXPECT_THAT(Steps(), Not(Contains(HasSubstr("ws close"))));
  type_.Answer();
  EXPECT_THAT(Steps(), Contains(std::string("ws binary 22#1 ") + kJson));
}

// A message may be longer as protobuf than it is as JSON.
TEST_F(MultiplexTypeTest, WhatHasWaitedFillsTheWindowWithoutEndingTheCall) {
  table().call_window_bytes = 100;
  OpenTwo();
  Send(Packet(kTalkJson, 1, kJson) + Packet(kTalkJson, 1, kJson) +
       Packet(kTalkJson, 1, kJson) + End(1));
  Steps();
  type_.Answer();
  for (int i = 0; i < 3; ++i) backend(0).OnWritten();
  EXPECT_THAT(upstream_->call(0).written(),
              ElementsAre("", Message(), Message(), Message()));
  EXPECT_THAT(Steps(), Contains("writes-done"));
}

}  // namespace
}  // namespace headgate
