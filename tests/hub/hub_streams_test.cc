// hub.streams: per-worker. Sessions with odd numbers are on worker 0, and on
// the stream 0.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/hub/stream_form.h"
#include "gateway/route/plan.h"
#include "headgate/v1/packet.pb.h"
#include "tests/hub/hub_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using StreamState = Hub::StreamState;

class HubStreamsTest : public HubTest {
 protected:
  HubStreamsTest() { target_.streams = HubTarget::Streams::kPerWorker; }

  // `number`: of the call, from 0; the streams 0 and 1 begin with these.
  testing::FakeUpstream::Call& CallOf(std::size_t number) {
    return upstream_.call(number);
  }
  // Takes everything that the hub has to send on the calls that live.
  void TakeAll() {
    for (std::size_t i = 0; i < upstream_.call_count(); ++i) {
      while (CallOf(i).alive() && CallOf(i).writing()) {
        CallOf(i).observer().OnWritten();
        Turn();
      }
    }
  }
  void CommandOn(std::size_t number, const std::string& commands) {
    v1::ToGateway message;
    ASSERT_TRUE(
        google::protobuf::TextFormat::ParseFromString(commands, &message));
    CallOf(number).observer().OnMessage(message.SerializeAsString());
    Turn();
  }
  void EndOf(std::size_t number) {
    CallOf(number).observer().OnDone({absl::UnavailableError("gone"), ""});
    Turn();
  }
  std::vector<v1::Event> Parsed(std::size_t number) {
    std::vector<v1::Event> events;
    for (const std::string& written : CallOf(number).written()) {
      v1::FromGateway batch;
      EXPECT_TRUE(batch.ParseFromString(written));
      events.insert(events.end(), batch.events().begin(), batch.events().end());
    }
    return events;
  }
  std::vector<std::string> EventsOf(std::size_t number) {
    std::vector<std::string> events;
    for (const v1::Event& event : Parsed(number)) {
      events.push_back(Describe(event));
    }
    return events;
  }
};

TEST_F(HubStreamsTest, TheSessionsOfEachWorkerHaveAStream) {
  Make();
  Join(1);
  EXPECT_EQ(upstream_.call_count(), 1u);  // The other worker has none.
  EXPECT_EQ(hub_->stream(1).state(), StreamState::kNone);
  Join(2);
  Say(1);
  Say(2);
  Join(3);
  Leave(2);
  TakeAll();
  EXPECT_EQ(upstream_.call_count(), 2u);
  EXPECT_THAT(EventsOf(0), ElementsAre("1:hello i-0.1", "2:joined 1",
                                       "3:event 1", "4:joined 3"));
  EXPECT_THAT(EventsOf(1), ElementsAre("1:hello i-1.1", "2:joined 2",
                                       "3:event 2", "4:left 2"));
  for (const std::uint32_t index : {0u, 1u}) {
    EXPECT_EQ(Parsed(index)[0].hello().stream(), index);
    EXPECT_EQ(Parsed(index)[0].hello().streams(), 2u);
  }
  EXPECT_EQ(hub_->sessions(), 2u);
  EXPECT_EQ(hub_->sessions(hub_->stream(1)), 0u);
}

TEST_F(HubStreamsTest, ALossIsNoticedByTheSessionsOfThatStreamAlone) {
  Make();
  Join(1);
  Join(2);
  TakeAll();
  EndOf(0);
  EXPECT_EQ(hub_->stream_state(), StreamState::kLost);
  EXPECT_EQ(hub_->stream(1).state(), StreamState::kLive);
  Say(1);
  Say(2);
  Pass(absl::Milliseconds(100));
  TakeAll();
  ASSERT_EQ(upstream_.call_count(), 3u);
  EXPECT_THAT(EventsOf(2),
              ElementsAre("3:hello i-0.1 resumes", "4:joined 1 resumed",
                          "5:replayed 1", "6:event 1"));
  EXPECT_THAT(EventsOf(1),
              ElementsAre("1:hello i-1.1", "2:joined 2", "3:event 2"));
  EXPECT_EQ(hub_->stream_state(), StreamState::kLive);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(HubStreamsTest, SessionsThatWaitInVainAreThoseOfTheLostStream) {
  target_.hold = absl::Seconds(3);
  Make();
  Join(1);
  Join(2);
  TakeAll();
  EndOf(0);
  Pass(absl::Milliseconds(100));
  EndOf(2);
  Pass(absl::Seconds(3));
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4014"));
  EXPECT_EQ(hub_->counts().abandoned, 1u);
  EXPECT_EQ(hub_->sessions(), 1u);
  EXPECT_NE(hub_->roster().records().find(2), hub_->roster().records().end());
  Say(2);
  TakeAll();
  EXPECT_EQ(EventsOf(1).back(), "3:event 2");
  // The next session of the worker is one of another incarnation.
  Join(3);
  TakeAll();
  EXPECT_THAT(EventsOf(upstream_.call_count() - 1),
              ElementsAre("1:hello i-0.2", "2:joined 3"));
}

TEST_F(HubStreamsTest, EachStreamIsAcknowledgedByItself) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  Join(2);
  SayMessage(1);
  SayMessage(2);
  TakeAll();
  CommandOn(1, "commands { ack { seq: 2 } }");
  EndOf(0);
  EndOf(1);
  Pass(absl::Milliseconds(100));
  TakeAll();
  EXPECT_THAT(EventsOf(2),
              ElementsAre("0:hello i-0.1 resumes", "0:joined 1 resumed",
                          "0:replayed 1", "2:event 1 again"));
  EXPECT_THAT(EventsOf(3), ElementsAre("0:hello i-1.1 resumes",
                                       "0:joined 2 resumed", "0:replayed 1"));
}

TEST_F(HubStreamsTest, CommandsOfAStreamAreForTheSessionsOfAll) {
  Make();
  Join(1, true);
  Join(2);
  TakeAll();
  CommandOn(
      1,
      "commands { accept { who: 1 } }"
      "commands { join { whos: [1, 2] groups: 'g' } }"
      "commands { send { who: 1 payload { text: 'a' } } }"
      "commands { broadcast { to { groups: 'g' } payload { text: 'b' } } }"
      "commands { id: 7 send { who: 5 payload { text: 'c' } } }");
  TakeAll();
  EXPECT_THAT(told_, ElementsAre("w0 admit 1", "w0 deliver 1 a",
                                 "w0 deliver 1 b", "w1 deliver 2 b"));
  EXPECT_THAT(EventsOf(1), Contains("failed 7 5"));
}

TEST_F(HubStreamsTest, WhatIsSentIsReportedOnTheStreamOfTheCommand) {
  Make();
  Join(1);
  Join(2);
  TakeAll();
  CommandOn(1,
            "commands { id: 9 send { who: 1 payload { text: 'a' } report_sent: "
            "true } }");
  Report(1, HubEventBody{std::string("\x52\x02\x08\x09", 4), report_.stream});
  TakeAll();
  EXPECT_EQ(EventsOf(1).back(), "3:sent 9");
  EXPECT_EQ(EventsOf(0).back(), "2:joined 1");
}

// slow.policy: block.
TEST_F(HubStreamsTest, OnlyAStreamThatHasSentToASlowSessionWaitsForIt) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2);
  TakeAll();
  CommandOn(1, "commands { send { who: 1 payload { text: 'a' } } }");
  Wait(1, HubWait::kBegins);
  told_.clear();
  CommandOn(1, "commands { send { who: 2 payload { text: 'b' } } }");
  EXPECT_THAT(told_, IsEmpty());
  // The other one does from its next message for the session on.
  CommandOn(0,
            "commands { send { who: 2 payload { text: 'c' } } }"
            "commands { send { who: 1 payload { text: 'd' } } }"
            "commands { send { who: 2 payload { text: 'e' } } }");
  EXPECT_THAT(told_, UnorderedElementsAre("w1 deliver 2 c", "w0 deliver 1 d"));
  told_.clear();
  Wait(1, HubWait::kTaken);
  EXPECT_THAT(told_, UnorderedElementsAre("w1 deliver 2 b", "w1 deliver 2 e"));
}

TEST_F(HubStreamsTest, ASlowSessionIsClosedOnceForAllThatWait) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2);
  TakeAll();
  CommandOn(0, "commands { broadcast { payload { text: 'a' } } }");
  CommandOn(1, "commands { broadcast { payload { text: 'a' } } }");
  told_.clear();
  Wait(1, HubWait::kBegins);
  CommandOn(0, "commands { send { who: 2 payload { text: 'b' } } }");
  CommandOn(1, "commands { send { who: 2 payload { text: 'b' } } }");
  Pass(absl::Seconds(4));
  EXPECT_THAT(told_, IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4008", "w1 deliver 2 b",
                                 "w1 deliver 2 b"));
}

TEST_F(HubStreamsTest, AStreamThatHasLostItsSessionsWaitsForOthersAgain) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  target_.on_backend_loss = HubTarget::OnBackendLoss::kClose;
  Make();
  Join(1);
  Join(2);
  TakeAll();
  CommandOn(0, "commands { send { who: 2 payload { text: 'a' } } }");
  Wait(2, HubWait::kBegins);
  EndOf(0);
  Join(3);
  Pass(absl::Milliseconds(100));
  TakeAll();
  ASSERT_EQ(upstream_.call_count(), 3u);
  told_.clear();
  CommandOn(2,
            "commands { send { who: 2 payload { text: 'b' } } }"
            "commands { send { who: 3 payload { text: 'c' } } }");
  EXPECT_THAT(told_, ElementsAre("w1 deliver 2 b"));
  Wait(2, HubWait::kTaken);
  EXPECT_THAT(told_, ElementsAre("w1 deliver 2 b", "w0 deliver 3 c"));
}

TEST_F(HubStreamsTest, AllStreamsHearOfTheDrainAndAreEnded) {
  Make();
  Join(1);
  Join(2);
  TakeAll();
  hub_->Drain(now_ + absl::Seconds(9));
  Turn();
  TakeAll();
  EXPECT_EQ(EventsOf(0).back(), "3:draining 9");
  EXPECT_EQ(EventsOf(1).back(), "3:draining 9");
  hub_->Finish();
  Turn();
  CallOf(0).observer().OnDone({absl::OkStatus(), ""});
  EXPECT_FALSE(hub_->is_finished());
  CallOf(1).observer().OnDone({absl::OkStatus(), ""});
  EXPECT_TRUE(hub_->is_finished());
}

// Neither stream has the hub's thread for itself.
TEST_F(HubStreamsTest, StreamsTakeTurns) {
  Make();
  Join(1);
  Join(2);
  TakeAll();
  passes_ = absl::Milliseconds(1);
  std::string many;
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&many,
                    "commands { send { who: 1 payload { text: 'a' } } }");
  }
  CommandOn(0, many);
  EXPECT_TRUE(std::exchange(go_on_, false));
  CommandOn(1, "commands { send { who: 2 payload { text: 'b' } } }");
  hub_->GoOn();
  EXPECT_EQ(std::count(told_.begin(), told_.end(), "w1 deliver 2 b"), 1);
  EXPECT_LT(told_.size(), 20u);
}

TEST_F(HubStreamsTest, AMessageThatIsNoneEndsItsStreamAlone) {
  Make();
  Join(1);
  Join(2);
  TakeAll();
  CallOf(0).observer().OnMessage("\xff");
  Turn();
  EXPECT_EQ(hub_->stream(0).state(), StreamState::kLost);
  EXPECT_EQ(hub_->stream(1).state(), StreamState::kLive);
  CommandOn(1, "commands { send { who: 1 payload { text: 'a' } } }");
  EXPECT_THAT(told_, ElementsAre("w0 deliver 1 a"));
}

TEST_F(HubStreamsTest, PacketsHaveStreamsOfTheirOwnToo) {
  target_.method = std::string(kPacketMethod);
  Make();
  Join(1);
  Join(2);
  TakeAll();
  for (const std::uint32_t index : {0u, 1u}) {
    ASSERT_EQ(CallOf(index).written().size(), 2u);
    v1::Packet first, second;
    ASSERT_TRUE(first.ParseFromString(CallOf(index).written()[0]));
    ASSERT_TRUE(second.ParseFromString(CallOf(index).written()[1]));
    v1::Hello hello;
    ASSERT_TRUE(hello.ParseFromString(first.content()));
    EXPECT_EQ(hello.stream(), index);
    EXPECT_EQ(second.type(), kJoinedPacket);
    EXPECT_EQ(second.who(), index + 1);
  }
  v1::Packet others;
  others.set_type(kOthersPacket);
  others.set_who(2);
  others.add_packets()->set_content("hi");
  CallOf(1).observer().OnMessage(others.SerializeAsString());
  Turn();
  EXPECT_THAT(told_,
              ElementsAre(AllOf(StartsWith("w0 deliver 1 "), EndsWith("hi"))));
}

}  // namespace
}  // namespace headgate
