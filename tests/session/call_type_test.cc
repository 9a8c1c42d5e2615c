// An Any in a call's messages may be of a type that no descriptor defines; the
// call's messages wait while the server is asked for it.

#include <string>

#include "tests/session/call_fixture.h"
#include "tests/session/unknown_type.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CallTypeTest : public CallFixture {
 protected:
  CallTypeTest() {
    Start(&kJsonDialect, "/s.S/Talk");
    Steps();
  }

  void Tick(absl::Duration later) {
    now_ += later;
    session_->OnTick(now_);
  }
  void TickPastPatience() {
    Tick(absl::Seconds(1));
    Tick(absl::Seconds(6));
  }

  static constexpr auto& kJson = UnknownType::kJson;
  static constexpr auto& kBase64 = UnknownType::kBase64;
  static std::string Message() { return UnknownType::Message(); }

  UnknownType type_{*schemas_};
};

TEST_F(CallTypeTest, ARequestWaitsForTheType) {
  Text(kJson);
  EXPECT_THAT(Steps(), IsEmpty());
  EXPECT_THAT(schemas_->awaited_types(), ElementsAre("t.T"));
  EXPECT_FALSE(session_->is_at_rest());
  type_.Answer();
  ASSERT_THAT(upstream_->call(0).written(), ElementsAre(Message()));
  EXPECT_EQ(Steps().back(), "ws read");
}

TEST_F(CallTypeTest, MessagesBehindTheOneThatWaitsKeepTheirOrder) {
  Text(std::string("{}") + kJson + "{}");
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(""));
  type_.Answer();
  backend().OnWritten();
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("", Message(), ""));
}

TEST_F(CallTypeTest, ARequestOfATypeThatTheServerDoesNotKnowIsInvalid) {
  Text(kJson);
  type_.AnswerNothing();
  EXPECT_THAT(Steps(), Contains(AllOf(
                           HasSubstr("ws close 4003"),
                           HasSubstr("the gateway knows no type \"a/t.T\""))));
}

TEST_F(CallTypeTest, AServerThatDoesNotAnswerIsNotWaitedForLong) {
  Text(kJson);
  Tick(absl::Seconds(1));
  Tick(absl::Seconds(4));
  EXPECT_THAT(Steps(), IsEmpty());
  Tick(absl::Seconds(2));
  EXPECT_THAT(Steps(), Contains(HasSubstr("ws close 4003")));
}

TEST_F(CallTypeTest, AResponseWaitsForTheType) {
  backend().OnMessage(Message());
  EXPECT_THAT(Steps(), IsEmpty());
  EXPECT_GE(session_->held_bytes(), Message().size());
  type_.Answer();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kJson, "read"));
}

TEST_F(CallTypeTest, AResponseOfATypeThatTheServerDoesNotKnowIsBase64) {
  backend().OnMessage(Message());
  type_.AnswerNothing();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64, "read"));
}

TEST_F(CallTypeTest, AResponseIsBase64WhereTheServerDoesNotAnswer) {
  backend().OnMessage(Message());
  TickPastPatience();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64, "read"));
}

TEST_F(CallTypeTest, AResponseThatWaitsIsDeliveredWhenTheCallBreaksOff) {
  backend().OnMessage(Message());
  backend().OnDone({absl::UnavailableError("gone"), ""});
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4014 gone"));
}

TEST_F(CallTypeTest, NothingWaitsWhereTheServerIsNotAsked) {
  type_.AskNobody();
  backend().OnMessage(Message());
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64, "read"));
  session_->OnWritten();
  Text(kJson);
  EXPECT_THAT(Steps(), Contains(HasSubstr("ws close 4003")));
  EXPECT_THAT(schemas_->awaited_types(), IsEmpty());
}

TEST_F(CallTypeTest, TheEndWaitsForTheTypeOfItsDetails) {
  const std::string any = UnknownType::Any();
  backend().OnDone(
      {absl::NotFoundError("no"), std::string("\x08\x05\x12\x02no\x1a") +
                                      static_cast<char>(any.size()) + any});
  EXPECT_THAT(Steps(), IsEmpty());
  Text("{}");  // Comes too late.
  type_.Answer();
  EXPECT_THAT(Steps(), ElementsAre("ws read", "ws close 4005 no"));
}

TEST_F(CallTypeTest, AClientThatLeavesEndsTheWaiting) {
  Text(kJson);
  backend().OnMessage(Message());
  session_->OnClosed({});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  type_.Answer();
  EXPECT_THAT(Steps(), IsEmpty());
}

TEST_F(CallTypeTest, ADrainDeliversTheResponseThatWaits) {
  backend().OnMessage(Message());
  TellToDrain();
  EXPECT_THAT(Steps(), IsEmpty());
  type_.Answer();
  EXPECT_EQ(Steps().front(), std::string("ws text ") + kJson);
}

}  // namespace
}  // namespace headgate
