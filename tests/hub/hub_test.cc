#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/hub/hub_fixture.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using StreamState = Hub::StreamState;

TEST_F(HubTest, OpensTheStreamWithTheFirstSession) {
  Make();
  Pass(absl::Seconds(1));
  EXPECT_EQ(upstream_.call_count(), 0u);
  Join(1);
  EXPECT_EQ(call().method(), "/headgate.v1.HubBackend/Attach");
  Join(2);
  EXPECT_THAT(Events(), ElementsAre("1:hello i-1"));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("1:hello i-1", "2:joined 1", "3:joined 2"));
}

TEST_F(HubTest, EventsWaitForTheStreamAndLeaveTogether) {
  Make();
  Join(1);
  WriteAll();
  Say(1);
  Say(1);
  Say(1);
  EXPECT_EQ(call().written().size(), 3u);  // hello; joined; the first.
  WriteAll();
  EXPECT_EQ(call().written().size(), 4u);
  EXPECT_EQ(Events().size(), 5u);
}

TEST_F(HubTest, CreditReturnsWhenTheStreamHasTakenTheEvent) {
  Make();
  Join(1);
  WriteAll();
  Say(1);
  EXPECT_EQ(credited_, 0u);
  Written();
  EXPECT_EQ(credited_, 4 + kHubEventCost);
}

TEST_F(HubTest, CreditReturnsForEventsOfSessionsThatAreGone) {
  Make();
  Say(7);
  EXPECT_EQ(credited_, 4 + kHubEventCost);
}

TEST_F(HubTest, AcceptAdmitsAndPutsIntoTheGroups) {
  target_.groups = {"room:{room}"};
  Make();
  Join(1, true);
  WriteAll();
  EXPECT_THAT(Events(), Contains("2:joined 1 asks"));
  EXPECT_EQ(hub_->roster().groups(), 0u);
  Command(
      "commands { id: 1 send { who: 1 payload { text: 'early' } } }"
      "commands { accept { who: 1 groups: 'vip' } }"
      "commands { broadcast { to { groups: 'room:5' } payload { text: 'a' "
      "} } } commands { broadcast { to { groups: 'vip' } payload { text: "
      "'b' } } }");
  EXPECT_THAT(told_,
              ElementsAre("w0 admit 1", "w0 deliver 1 a", "w0 deliver 1 b"));
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 1 9"));
}

TEST_F(HubTest, ARejectedSessionIsRefusedAndLeaves) {
  Make();
  Join(1, true);
  WriteAll();
  Command(
      "commands { reject { who: 1 status { code: 7 } } }"
      "commands { id: 1 accept { who: 1 } }");
  EXPECT_THAT(told_, ElementsAre("w0 refuse 1 PERMISSION_DENIED"));
  Leave(1);
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("1:hello i-1", "2:joined 1 asks",
                                    "failed 1 9", "4:left 1"));
  EXPECT_EQ(hub_->sessions(), 0u);
}

// hub.groups[].slow, and the route's policy where no pattern has one.
TEST_F(HubTest, AMessageHasThePolicyOfItsGroup) {
  using Policy = SlowClientSettings::Policy;
  patterns_ = GroupPatterns({{"chat:*", Policy::kDisconnect},
                             {"cursor:*", Policy::kDropOldest},
                             {"plain", std::nullopt}});
  target_.slow.policy = Policy::kKeepLatest;
  Make();
  Join(1);
  Join(3);
  Command(
      "commands { join { whos: 1 groups: 'chat:1' groups: 'cursor:1' "
      "groups: 'plain' groups: 'x' } } commands { join { whos: 3 groups: "
      "'chat:1' } }");
  const auto policies_of = [&](const std::string& command) {
    delivered_.clear();
    Command(absl::StrCat("commands { ", command, " }"));
    std::vector<std::pair<std::vector<Who>, Policy>> policies;
    for (const HubDeliver& deliver : delivered_) {
      policies.emplace_back(deliver.whos, deliver.policy);
    }
    return policies;
  };
  const auto to = [](const std::string& groups) {
    return absl::StrCat("broadcast { to { ", groups,
                        " } payload { text: 'a' } }");
  };
  const std::vector<Who> one = {1};
  const std::vector<Who> three = {3};
  EXPECT_THAT(policies_of(to("groups: 'chat:1' except_whos: 3")),
              ElementsAre(std::pair(one, Policy::kDisconnect)));
  EXPECT_THAT(policies_of(to("groups: 'cursor:1'")),
              ElementsAre(std::pair(one, Policy::kDropOldest)));
  for (const std::string group : {"plain", "x"}) {
    EXPECT_THAT(policies_of(to(absl::StrCat("groups: '", group, "'"))),
                ElementsAre(std::pair(one, Policy::kKeepLatest)));
  }
  EXPECT_THAT(policies_of(to("whos: 1")),
              ElementsAre(std::pair(one, Policy::kKeepLatest)));
  EXPECT_THAT(policies_of("send { who: 1 payload { text: 'a' } }"),
              ElementsAre(std::pair(one, Policy::kKeepLatest)));
  // Of several groups the first that the session is in.
  EXPECT_THAT(
      policies_of(to("groups: 'cursor:1' groups: 'chat:1'")),
      ::testing::UnorderedElementsAre(std::pair(one, Policy::kDropOldest),
                                      std::pair(three, Policy::kDisconnect)));
}

TEST_F(HubTest, AKeyIsOfItsGroupAndOnlyWhereItCounts) {
  using Policy = SlowClientSettings::Policy;
  patterns_ = GroupPatterns({{"chat", Policy::kDisconnect}});
  target_.slow.policy = Policy::kKeepLatest;
  target_.groups = {"chat", "a", "b"};
  Make();
  Join(1);
  const std::string rest = "key: 'k' payload { text: 'x' } } } ";
  Command(absl::StrCat("commands { broadcast { to { groups: 'chat' } ", rest,
                       "commands { broadcast { to { groups: 'a' } ", rest,
                       "commands { broadcast { to { groups: 'b' } ", rest,
                       "commands { broadcast { ", rest,
                       "commands { send { who: 1 ", rest));
  std::vector<std::string> keys;
  for (const HubDeliver& deliver : delivered_) keys.push_back(deliver.key);
  EXPECT_THAT(keys, ElementsAre("", "1:ak", "1:bk", "0:k", "0:k"));
}

constexpr char kToBoth[] =
    "commands { send { who: 1 payload { text: 'a' } } } "
    "commands { send { who: 2 payload { text: 'b' } } }";

// slow.policy: block.
TEST_F(HubTest, CommandsWaitForASlowSessionAndGoOn) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2);
  WriteAll();
  log_.clear();
  Wait(1, HubWait::kBegins);
  Command(kToBoth);
  Pass(absl::Seconds(4));
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_THAT(log_, IsEmpty());  // It is not read any more.
  Wait(1, HubWait::kTaken);
  EXPECT_THAT(told_, ElementsAre("w0 deliver 1 a", "w1 deliver 2 b"));
  EXPECT_EQ(delivered_[0].policy, SlowClientSettings::Policy::kBlock);
}

TEST_F(HubTest, ASessionThatIsWaitedForInVainIsClosed) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2);
  WriteAll();
  Wait(1, HubWait::kBegins);
  Command(kToBoth);
  Pass(absl::Milliseconds(4999));
  EXPECT_THAT(told_, IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4008", "w1 deliver 2 b"));
}

TEST_F(HubTest, ASessionThatEndsIsNotWaitedFor) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2);
  WriteAll();
  Wait(1, HubWait::kBegins);
  Command(kToBoth);
  Leave(1);
  EXPECT_THAT(told_, ElementsAre("w1 deliver 2 b"));
  Wait(1, HubWait::kBegins);  // Too late.
  Command(kToBoth);
  EXPECT_EQ(told_.size(), 2u);
}

TEST_F(HubTest, WhatIsNotOnTheStreamDoesNotWait) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2);
  WriteAll();
  Wait(1, HubWait::kBegins);
  v1::Payload payload;
  payload.set_text("news");
  EXPECT_EQ(hub_->Publish({}, payload, "").sessions, 2u);
  Leave(2);
  Turn();
  WriteAll();
  EXPECT_THAT(told_, ElementsAre("w0 deliver 1 news", "w1 deliver 2 news"));
  EXPECT_THAT(Events(), Contains("4:left 2"));
  // Nor does the stream wait for a client because of these.
  EXPECT_EQ(delivered_[0].policy, SlowClientSettings::Policy::kDisconnect);
}

TEST_F(HubTest, PublicationsToGroupsNeverBlock) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  target_.groups = {"g"};
  Make();
  Join(1);
  Command(
      "commands { broadcast { to { groups: 'g' } payload { text: 'a' } } }"
      "commands { broadcast { payload { text: 'b' } } }");
  ASSERT_EQ(delivered_.size(), 2u);
  EXPECT_EQ(delivered_[0].policy, SlowClientSettings::Policy::kDisconnect);
  EXPECT_EQ(delivered_[1].policy, SlowClientSettings::Policy::kBlock);
}

// The backend cannot answer while its stream waits.
TEST_F(HubTest, AdmissionHasTimeWhileTheStreamWaits) {
  target_.slow.policy = SlowClientSettings::Policy::kBlock;
  Make();
  Join(1);
  Join(2, true);
  WriteAll();
  Wait(1, HubWait::kBegins);
  Command("commands { accept { who: 2 } }");
  Pass(absl::Milliseconds(4900));
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4008", "w1 admit 2"));
}

TEST_F(HubTest, ALongKeyIsRefused) {
  Make();
  Join(1);
  WriteAll();
  const std::string key(257, 'k');
  Command(absl::StrCat("commands { id: 1 send { who: 1 key: '", key,
                       "' payload { text: 'a' } } }",
                       "commands { id: 2 broadcast { key: '", key,
                       "' payload { text: 'a' } } }"));
  EXPECT_THAT(told_, IsEmpty());
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 1 3"));
  EXPECT_THAT(Events(), Contains("failed 2 3"));
}

// A scope, an acknowledgement, another kind of payload: this gateway would do
// something else than was asked for.
TEST_F(HubTest, WhatHasAnUnknownFieldIsNotCarriedOut) {
  Make();
  Join(1);
  WriteAll();
  v1::ToGateway message;
  const auto add = [&](const std::string& text) -> v1::Command& {
    v1::Command& command = *message.add_commands();
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &command));
    command.set_id(static_cast<std::uint64_t>(message.commands_size()));
    return command;
  };
  const auto extend = [](auto& extended) {
    extended.GetReflection()->MutableUnknownFields(&extended)->AddVarint(1000,
                                                                         1);
  };
  extend(add("broadcast { payload { text: 'a' } }"));
  extend(*add("broadcast { payload { text: 'a' } }").mutable_broadcast());
  extend(*add("broadcast { payload { text: 'a' } }")
              .mutable_broadcast()
              ->mutable_payload());
  extend(*add("close { to { filters { key: 'a' op: PRESENT } } }")
              .mutable_close()
              ->mutable_to()
              ->mutable_filters(0));
  extend(*add("send { who: 1 payload { text: 'a' } }").mutable_send());
  extend(*add("join { whos: 1 groups: 'a' }").mutable_join());
  add("send { who: 1 payload { text: 'known' } }");
  call().observer().OnMessage(message.SerializeAsString());
  Turn();
  EXPECT_THAT(told_, ElementsAre("w0 deliver 1 known"));
  WriteAll();
  const std::vector<std::string> events = Events();
  for (int id = 1; id <= 6; ++id) {
    EXPECT_THAT(events, Contains(absl::StrCat("failed ", id, " 12")));
  }
  EXPECT_THAT(events, Not(Contains("failed 7 12")));
}

TEST_F(HubTest, ALongReasonIsCut) {
  Make();
  Join(1);
  Join(2, true);
  WriteAll();
  Command(absl::StrCat("commands { close { code: 4500 to { whos: 1 } reason: '",
                       std::string(122, 'x'), "\303\251' } }",
                       "commands { reject { who: 2 status { code: 7 message: '",
                       std::string(5000, 'x'), "' } } }"));
  EXPECT_EQ(reasons_, (std::vector<std::size_t>{122, 1024}));
}

TEST_F(HubTest, WhatIsTooMuchForASessionIsRefusedBeforeTheyAreAsked) {
  Make();
  Join(1);
  WriteAll();
  v1::Audience all;
  v1::SetData change;
  for (int i = 0; i < 33; ++i) change.add_unset(absl::StrCat(i));
  EXPECT_EQ(hub_->Update(all, change).status.code(),
            absl::StatusCode::kInvalidArgument);
  const std::vector<std::string> groups(64 * 1024 + 1, "g");
  EXPECT_EQ(hub_->Join(all, groups).status.code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(hub_->Leave(all, groups).status.code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(hub_->Join(all, {"g"}).sessions, 1u);
}

TEST_F(HubTest, CommandsAreCarriedOutInSlicesOfTime) {
  Make();
  Join(1);
  WriteAll();
  passes_ = absl::Milliseconds(1.5);  // Each time that it is asked.
  std::string commands;
  for (int i = 0; i < 6; ++i) {
    absl::StrAppend(&commands, "commands { send { who: 1 payload { text: '", i,
                    "' } } }");
  }
  v1::ToGateway message;
  ASSERT_TRUE(
      google::protobuf::TextFormat::ParseFromString(commands, &message));
  call().observer().OnMessage(message.SerializeAsString());
  flush_ = false;
  hub_->Flush();
  EXPECT_EQ(told_.size(), 1u);
  // Not within the same event loop iteration, whatever else there is to do.
  Join(3);
  Turn();
  EXPECT_EQ(told_.size(), 1u);
  while (std::exchange(go_on_, false)) {
    hub_->GoOn();
    Turn();
  }
  EXPECT_EQ(told_.size(), 6u);
}

TEST_F(HubTest, SessionsThatHaveLeftAreNotAbandoned) {
  Make();
  Join(1);
  Join(3);
  WriteAll();
  End(absl::UnavailableError(""));
  Leave(1);
  EXPECT_EQ(hub_->sessions(), 1u);
  Pass(absl::Seconds(1));
  End(absl::UnavailableError(""));
  Pass(absl::Seconds(16));
  EXPECT_EQ(hub_->counts().abandoned, 1u);
  EXPECT_EQ(hub_->sessions(), 0u);
  EXPECT_THAT(told_, ElementsAre("w0 close 3 4014"));
}

TEST_F(HubTest, TheFirstSessionsDoNotWaitForAStreamForEver) {
  target_.hold = absl::Seconds(3);
  Make();
  Join(1);
  // Hello is never taken.
  Pass(absl::Seconds(4));
  EXPECT_THAT(told_, IsEmpty());
  Pass(absl::Seconds(2));  // admission_timeout.
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4014"));
}

TEST_F(HubTest, ASessionExpiresWhenTheBackendSaysSo) {
  Make();
  Join(1);
  WriteAll();
  Command(
      "commands { expire { who: 1 at { seconds: 7 } } }"
      "commands { id: 1 expire { who: 1 at { nanos: -1 } } }"
      "commands { id: 2 expire { who: 3 } }");
  EXPECT_THAT(told_, ElementsAre("w0 expire 1 7"));
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 1 3"));
  EXPECT_THAT(Events(), Contains("failed 2 5"));
}

TEST_F(HubTest, ARequestWaitsUntilTheClientHasTakenItsMessage) {
  Make();
  Join(1);
  WriteAll();
  v1::Payload payload;
  payload.set_text("a");
  std::vector<absl::StatusCode> ended;
  const auto send = [&] {
    hub_->SendAndWait(
        *hub_->roster().records().at(1), payload, "", absl::Seconds(5),
        [&](const absl::Status& status) { ended.push_back(status.code()); });
    Turn();
    return report_;
  };
  const HubReport first = send();
  EXPECT_EQ(first.stream, kApiReports);
  const HubReport second = send();
  EXPECT_NE(first.command, second.command);
  EXPECT_THAT(ended, IsEmpty());
  // It does not depend on the stream.
  End(absl::UnavailableError(""));
  Report(1, HubEventBody{"\x52\x02\x08\x02", kApiReports});
  EXPECT_THAT(ended, ElementsAre(absl::StatusCode::kOk));
  Report(1, HubEventBody{"\x52\x02\x08\x02", kApiReports});
  Pass(absl::Seconds(5));
  EXPECT_THAT(ended, ElementsAre(absl::StatusCode::kOk,
                                 absl::StatusCode::kDeadlineExceeded));
  send();
  Leave(1);
  EXPECT_EQ(ended.back(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ended.size(), 3u);
}

TEST_F(HubTest, SessionsAreClosedOneAfterTheOtherWithinTheSpread) {
  Make();
  for (const Who who : {1u, 3u, 5u}) Join(who);
  WriteAll();
  v1::Close close;
  EXPECT_EQ(hub_->Close(close, absl::Seconds(10)).sessions, 3u);
  Turn();
  EXPECT_EQ(told_.size(), 1u);
  Pass(absl::Seconds(4));
  EXPECT_EQ(told_.size(), 1u);
  Pass(absl::Seconds(1));
  EXPECT_EQ(told_.size(), 2u);
  // One that has left meanwhile is none of it.
  for (const Who who : {1u, 3u, 5u}) {
    const bool is_told =
        absl::StrJoin(told_, ",").find(absl::StrCat("close ", who, " ")) !=
        std::string::npos;
    if (!is_told) Leave(who);
  }
  Pass(absl::Seconds(5));
  EXPECT_EQ(told_.size(), 2u);
}

TEST_F(HubTest, AnUpdateMovesTheExpiryOfSessions) {
  Make();
  Join(1);
  WriteAll();
  v1::Audience all;
  google::protobuf::Timestamp at;
  at.set_seconds(100);
  EXPECT_EQ(hub_->Update(all, {}, &at).sessions, 1u);
  Turn();
  EXPECT_THAT(told_, ElementsAre("w0 expire 1 100"));
  const HubRecord& record = *hub_->roster().records().at(1);
  EXPECT_EQ(hub_->InfoOf(record).expires_at().seconds(), 100);
  at.set_nanos(-1);
  EXPECT_EQ(hub_->Update(all, {}, &at).status.code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(HubTest, WhatWasSentIsReportedToTheStreamThatAsked) {
  Make();
  Join(1);
  WriteAll();
  Command(
      "commands { id: 5 send { who: 1 report_sent: true payload { text: 'a' } "
      "} }");
  EXPECT_EQ(report_.command, 5u);
  EXPECT_EQ(report_.stream, 1u);
  const auto sent = [this] {
    Report(1, HubEventBody{"\x52\x02\x08\x05", report_.stream});
  };
  sent();
  WriteAll();
  EXPECT_THAT(Events(), Contains("3:sent 5"));
  EXPECT_EQ(hub_->counts().messages, 0u);
  // One that comes too late, and one that waits when the stream ends.
  Say(1);
  sent();
  End(absl::UnavailableError(""));
  sent();
  Pass(absl::Seconds(1));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre(StartsWith("5:hello"),
                                    StartsWith("6:joined"), "7:replayed 1"));
  EXPECT_EQ(hub_->queued_bytes(), 0u);
  EXPECT_EQ(credited_, 4 * (4 + kHubEventCost));
}

TEST_F(HubTest, ADrainIsToldToEachStream) {
  Make();
  Join(1);
  WriteAll();
  hub_->Drain(absl::FromUnixSeconds(100));
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), Contains("3:draining 100"));
  End(absl::UnavailableError(""));
  Pass(absl::Seconds(1));
  WriteAll();
  EXPECT_THAT(Events(), Contains("7:draining 100"));
}

TEST_F(HubTest, AStreamThatIsBeingOpenedWhenHoldEndsIsNotUsed) {
  Make();
  Join(1);
  WriteAll();
  End(absl::UnavailableError(""));
  Pass(absl::Seconds(1));
  ASSERT_EQ(upstream_.call_count(), 2u);  // Whose Hello is not taken.
  Pass(absl::Seconds(16));
  EXPECT_FALSE(call().alive());
  Join(3);
  Pass(absl::Seconds(10));
  ASSERT_EQ(upstream_.call_count(), 3u);
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("1:hello i-2", "2:joined 3"));
}

TEST_F(HubTest, ADrainingStreamIsSucceededBeforeItEnds) {
  Make();
  Join(1);
  WriteAll();
  Pass(absl::Seconds(1));
  Say(1);  // Under way.
  Say(1);  // Waits.
  testing::FakeUpstream::Call& old = call();
  old.observer().OnDraining();
  Turn();
  ASSERT_EQ(upstream_.call_count(), 2u);
  EXPECT_TRUE(old.alive());
  Written();
  EXPECT_FALSE(old.writes_done());  // A write is pending.
  EXPECT_FALSE(call().writing());
  old.observer().OnWritten();
  Turn();
  EXPECT_TRUE(old.writes_done());
  EXPECT_THAT(Events(), ElementsAre("4:hello i-1 resumes"));

  // It is read to its end; then the next one goes on.
  v1::ToGateway message;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "commands { send { who: 1 payload { text: 'a' } } }"
      "commands { id: 9 send { who: 7 payload { text: 'nobody' } } }",
      &message));
  old.observer().OnMessage(message.SerializeAsString());
  Turn();
  EXPECT_THAT(told_, ElementsAre("w0 deliver 1 a"));
  EXPECT_TRUE(old.reading());
  EXPECT_FALSE(call().writing());
  old.observer().OnDone({absl::OkStatus(), ""});
  Turn();
  EXPECT_FALSE(old.alive());
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("4:hello i-1 resumes", "5:joined 1 resumed",
                                    "6:replayed 1", "7:event 1"));
  EXPECT_EQ(hub_->counts().streams_lost, 0u);
}

TEST_F(HubTest, WhatADrainingStreamDoesNotAcknowledgeIsSentAgain) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  WriteAll();
  SayMessage(1);
  WriteAll();
  SayMessage(1);
  WriteAll();
  testing::FakeUpstream::Call& old = call();
  old.observer().OnDraining();
  Pass(absl::Seconds(1));
  ASSERT_EQ(upstream_.call_count(), 2u);
  WriteAll();
  v1::ToGateway message;
  message.add_commands()->mutable_ack()->set_seq(2);
  old.observer().OnMessage(message.SerializeAsString());
  Turn();
  Pass(HubStream::kLongestSuccession);  // It does not end.
  EXPECT_FALSE(old.alive());
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("0:hello i-1 resumes", "0:joined 1 resumed",
                                    "0:replayed 1", "3:event 1 again"));
}

TEST_F(HubTest, AStreamWaitsForSoLongForTheEndOfTheOneBefore) {
  Make();
  Join(1);
  WriteAll();
  Pass(absl::Seconds(1));
  testing::FakeUpstream::Call& old = call();
  old.observer().OnDraining();
  Turn();
  WriteAll();
  Say(1);
  Pass(HubStream::kLongestSuccession - absl::Milliseconds(1));
  EXPECT_EQ(Events().size(), 1u);
  Pass(absl::Milliseconds(1));
  WriteAll();
  EXPECT_THAT(Events(), Contains("5:replayed 1"));
  EXPECT_THAT(Events(), Contains("6:event 1"));
  EXPECT_TRUE(old.alive());  // Its commands are still carried out.
  old.observer().OnDone({absl::UnavailableError(""), ""});
  Turn();
  EXPECT_EQ(hub_->stream_state(), StreamState::kLive);
}

TEST_F(HubTest, AnOldStreamMayEndBeforeTheNextIsThere) {
  Make();
  Join(1);
  WriteAll();
  Pass(absl::Seconds(1));
  testing::FakeUpstream::Call& old = call();
  old.observer().OnDraining();
  Turn();
  Say(1);
  old.observer().OnDone({absl::UnavailableError(""), ""});
  End(absl::UnavailableError(""));  // The next one cannot be opened.
  Pass(absl::Milliseconds(100));
  ASSERT_EQ(upstream_.call_count(), 3u);
  WriteAll();
  EXPECT_THAT(Events(), Contains(HasSubstr("event 1")));
  EXPECT_THAT(told_, IsEmpty());
}

// A server that says GOAWAY on each connection at once.
TEST_F(HubTest, StreamsThatDrainAtOnceAreNotOpenedWithoutAPause) {
  Make();
  Join(1);
  call().observer().OnDraining();
  Written();
  EXPECT_EQ(upstream_.call_count(), 1u);
  Pass(absl::Milliseconds(100));
  ASSERT_EQ(upstream_.call_count(), 2u);
  call().observer().OnDraining();
  Written();
  Pass(absl::Milliseconds(199));
  EXPECT_EQ(upstream_.call_count(), 2u);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(upstream_.call_count(), 3u);
}

TEST_F(HubTest, AHubThatStopsTellsTheNextStream) {
  Make();
  Join(1);
  WriteAll();
  Pass(absl::Seconds(1));
  testing::FakeUpstream::Call& old = call();
  old.observer().OnDraining();
  Turn();
  Leave(1);
  hub_->Finish();
  Turn();
  WriteAll();
  EXPECT_FALSE(hub_->is_finished());
  old.observer().OnDone({absl::OkStatus(), ""});
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), Contains(HasSubstr("left 1")));
  EXPECT_TRUE(call().writes_done());
  End(absl::OkStatus());
  EXPECT_TRUE(hub_->is_finished());
}

TEST_F(HubTest, ItIsNotIdleWhileSessionsAreBeingClosed) {
  Make();
  Join(1);
  Join(2);
  EXPECT_FALSE(hub_->is_idle());
  WriteAll();
  End(absl::UnavailableError(""));
  Pass(absl::Seconds(1));
  Pass(absl::Seconds(16));
  EXPECT_EQ(told_.size(), 1u);
  EXPECT_FALSE(hub_->is_idle());
  Pass(absl::Seconds(5));
  EXPECT_EQ(told_.size(), 2u);
  EXPECT_TRUE(hub_->is_idle());
}

TEST_F(HubTest, TheBackendMustDecideInTime) {
  Make();
  Join(1, true);
  WriteAll();
  Pass(absl::Seconds(4));
  EXPECT_THAT(told_, IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(told_, ElementsAre("w0 refuse 1 UNAVAILABLE"));
  Command("commands { id: 2 accept { who: 1 } }");
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 2 9"));
}

TEST_F(HubTest, ABroadcastIsOneBatchForEachWorkerAndCodec) {
  Make();
  for (const Who who : {1, 2, 3}) Join(who);
  WriteAll();
  Command(
      "commands { broadcast { to { whos: 1 whos: 2 } payload { text: 'x' } "
      "} }");
  EXPECT_THAT(told_, ElementsAre("w0 deliver 1 x", "w1 deliver 2 x"));
  EXPECT_EQ(hub_->counts().encodings, 1u);
  EXPECT_EQ(hub_->counts().deliveries, 2u);
}

TEST_F(HubTest, ACloseIsTheLastThatASessionGets) {
  Make();
  Join(1);
  WriteAll();
  Command(
      "commands { close { to { whos: 1 } code: 4100 } }"
      "commands { id: 1 send { who: 1 payload { text: 'x' } } }"
      "commands { broadcast { payload { text: 'x' } } }");
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4100"));
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 1 5"));
}

TEST_F(HubTest, CommandsForWhoLeftReachNobody) {
  Make();
  Join(1);
  WriteAll();
  Leave(1);
  Command(
      "commands { id: 1 send { who: 1 payload { text: 'x' } } }"
      "commands { id: 2 join { whos: 1 groups: 'g' } }"
      "commands { id: 3 set_data { who: 1 } }");
  EXPECT_THAT(told_, IsEmpty());
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("1:hello i-1", "2:joined 1", "3:left 1",
                                    "failed 1 5", "failed 2 5", "failed 3 5"));
}

// --- Flow control ---

TEST_F(HubTest, TheStreamIsReadWhileWorkersTakeCommands) {
  Make();
  Join(1);
  WriteAll();
  takes_ = false;
  const std::string big(300 * 1024, 'x');
  v1::ToGateway message;
  for (int i = 0; i < 10; ++i) {
    v1::Send& send = *message.add_commands()->mutable_send();
    send.set_who(1);
    send.mutable_payload()->set_text(big);
  }
  call().observer().OnMessage(message.SerializeAsString());
  Turn();
  // The limit, and the command that went over it.
  EXPECT_EQ(told_.size(), 4u);
  EXPECT_FALSE(call().reading());
  HubEvents done;
  done.cost_done = held_;
  takes_ = true;
  hub_->OnEvents(0, std::move(done));
  Turn();
  EXPECT_EQ(told_.size(), 10u);
  EXPECT_TRUE(call().reading());
}

TEST_F(HubTest, TheStreamIsNotReadWhileFailuresAreNotTaken) {
  Make();
  Join(1);
  WriteAll();
  Say(1);  // The stream takes nothing more.
  v1::ToGateway message;
  for (int i = 1; i <= 100'000; ++i) {
    v1::Command& command = *message.add_commands();
    command.set_id(static_cast<std::uint64_t>(i));
    command.mutable_send()->set_who(99);
  }
  call().observer().OnMessage(message.SerializeAsString());
  Turn();
  EXPECT_LT(hub_->queued_bytes(), 512u * 1024);
  EXPECT_FALSE(call().reading());
  WriteAll();
  EXPECT_EQ(hub_->counts().commands[v1::Command::kSend][1], 100'000u);
  EXPECT_TRUE(call().reading());
  EXPECT_EQ(hub_->queued_bytes(), 0u);
}

TEST_F(HubTest, NoSessionBeginsWhileTooMuchWaits) {
  Make();
  for (Who who = 1; hub_->queued_bytes() <= 4 * 1024 * 1024; ++who) {
    Join(who);
  }
  Join(1'000'001, true);
  EXPECT_THAT(told_, ElementsAre("w0 refuse 1000001 UNAVAILABLE"));
}

// --- The stream fails ---

TEST_F(HubTest, AStreamThatIsLostIsOpenedAgainAndResumes) {
  Make();
  Join(1);
  Join(2, true);
  WriteAll();
  Command("commands { set_data { who: 1 state: 'mine' user: 'u' } }");
  End(absl::UnavailableError("gone"));
  Say(1);
  Join(3);
  Leave(2);
  EXPECT_EQ(upstream_.call_count(), 1u);
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(upstream_.call_count(), 2u);
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("4:hello i-1 resumes", "5:joined 1 resumed",
                                    "6:joined 2 resumed", "7:replayed 2",
                                    "8:event 1", "9:joined 3", "10:left 2"));
}

TEST_F(HubTest, FailuresAreOfTheStreamOfTheirCommands) {
  Make();
  Join(1);
  WriteAll();
  Say(1);
  Command("commands { id: 1 send { who: 9 payload { text: 'x' } } }");
  End(absl::UnavailableError("gone"));
  Pass(absl::Seconds(1));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("4:hello i-1 resumes", "5:joined 1 resumed",
                                    "6:replayed 1"));
  EXPECT_EQ(hub_->queued_bytes(), 0u);
}

TEST_F(HubTest, AReplayThatIsInterruptedBeginsAgain) {
  Make();
  for (Who who = 1; who <= 3000; ++who) Join(who);
  WriteAll();
  for (int round = 0; round < 2; ++round) {
    End(absl::UnavailableError("gone"));
    Pass(absl::Seconds(1));
    Written();  // Of the hello.
    EXPECT_EQ(hub_->stream_state(), StreamState::kReplaying);
  }
  WriteAll();
  EXPECT_EQ(hub_->stream_state(), StreamState::kLive);
  EXPECT_THAT(Events().back(), HasSubstr("replayed 3000"));
}

TEST_F(HubTest, NothingIsLostByAStreamThatDoesNotOpen) {
  Make();
  Join(1);
  End(absl::UnavailableError("refused"));
  Say(1);
  Pass(absl::Milliseconds(100));
  End(absl::UnavailableError("refused"));
  Pass(absl::Milliseconds(199));
  EXPECT_EQ(upstream_.call_count(), 2u);
  Pass(absl::Milliseconds(1));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("3:hello i-1", "4:joined 1", "5:event 1"));
}

TEST_F(HubTest, SessionsThatHaveWaitedInVainAreClosedOverATime) {
  Make();
  for (const Who who : {1, 3, 5}) Join(who);
  Join(7, true);
  WriteAll();
  Pass(absl::Seconds(2));  // The stream has worked.
  End(absl::UnavailableError("gone"));
  Pass(absl::Seconds(14));
  End(absl::UnavailableError("gone"));
  EXPECT_THAT(told_, ElementsAre("w0 refuse 7 UNAVAILABLE"));
  Pass(absl::Seconds(1));
  EXPECT_THAT(told_.back(), HasSubstr(" 4014"));
  Pass(absl::Seconds(5));
  int closed = 0;
  for (const std::string& told : told_) {
    if (told.find("close") != std::string::npos) ++closed;
  }
  EXPECT_EQ(closed, 2);  // The first at once, the others together.
  EXPECT_EQ(hub_->sessions(), 0u);
}

TEST_F(HubTest, AfterwardsItIsAnotherIncarnation) {
  target_.hold = absl::ZeroDuration();
  Make();
  Join(1);
  WriteAll();
  End(absl::UnavailableError("gone"));
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4014"));
  Say(1);
  Leave(1);
  Join(3);
  Pass(absl::Seconds(1));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("1:hello i-2", "2:joined 3"));
}

TEST_F(HubTest, CloseDoesNotWaitForTheBackend) {
  target_.on_backend_loss = HubTarget::OnBackendLoss::kClose;
  Make();
  Join(1);
  WriteAll();
  End(absl::UnavailableError("gone"));
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4014"));
}

TEST_F(HubTest, ABackendThatDoesNotImplementItIsNotAskedAgainForAWhile) {
  Make();
  Join(1);
  Join(2, true);
  End(absl::UnimplementedError(""));
  EXPECT_THAT(told_, ::testing::UnorderedElementsAre(
                         "w0 close 1 4012", "w1 refuse 2 UNIMPLEMENTED"));
  told_.clear();
  Pass(absl::Seconds(29));
  Join(3);
  Join(4, true);
  EXPECT_THAT(told_,
              ElementsAre("w0 close 3 4012", "w1 refuse 4 UNIMPLEMENTED"));
  EXPECT_EQ(upstream_.call_count(), 1u);
  Pass(absl::Seconds(1));
  Join(5);
  EXPECT_EQ(upstream_.call_count(), 2u);
}

TEST_F(HubTest, AMessageThatIsNoneEndsTheStream) {
  Make();
  Join(1);
  WriteAll();
  call().observer().OnMessage("\xff\xff");
  Turn();
  EXPECT_EQ(hub_->stream_state(), StreamState::kLost);
  EXPECT_FALSE(call().alive());
}

TEST_F(HubTest, WithoutSessionsALostStreamIsNotOpenedAgain) {
  Make();
  Join(1);
  WriteAll();
  Leave(1);
  WriteAll();
  End(absl::OkStatus());
  Pass(absl::Seconds(10));
  EXPECT_EQ(hub_->stream_state(), StreamState::kNone);
  EXPECT_EQ(upstream_.call_count(), 1u);
}

TEST_F(HubTest, FinishesBehindTheLastEvent) {
  Make();
  Join(1);
  WriteAll();
  Leave(1);
  hub_->Finish();
  Turn();
  EXPECT_FALSE(call().writes_done());
  WriteAll();
  EXPECT_TRUE(call().writes_done());
  EXPECT_FALSE(hub_->is_finished());
  End(absl::OkStatus());
  EXPECT_TRUE(hub_->is_finished());
  Pass(absl::Seconds(10));
  EXPECT_EQ(upstream_.call_count(), 1u);
}

TEST_F(HubTest, AGroupNameThatIsTooLongRefusesTheSession) {
  target_.groups = {std::string(130, 'g')};
  Make();
  Join(1, true);
  EXPECT_THAT(told_, ElementsAre("w0 refuse 1 INVALID_ARGUMENT"));
}

TEST_F(HubTest, BoundsWhatOneCommandMayDo) {
  Make();
  Join(1);
  WriteAll();
  v1::ToGateway message;
  v1::Command& command = *message.add_commands();
  command.set_id(1);
  for (int i = 0; i < 1000; ++i) {
    command.mutable_join()->add_whos(1);
    command.mutable_join()->add_groups(absl::StrCat(i));
  }
  call().observer().OnMessage(message.SerializeAsString());
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 1 3"));
  EXPECT_EQ(hub_->roster().groups(), 0u);
}

}  // namespace
}  // namespace headgate
