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
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(HubTest, WhatIsNotAcknowledgedIsSentAgain) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  SayMessage(1);
  SayMessage(1);
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("0:hello i-1", "1:joined 1", "2:event 1",
                                    "3:event 1"));
  Command("commands { ack { seq: 2 } }");
  End(absl::UnavailableError("gone"));
  SayMessage(1);
  Pass(absl::Milliseconds(100));
  WriteAll();
  EXPECT_THAT(Events(),
              ElementsAre("0:hello i-1 resumes", "0:joined 1 resumed",
                          "0:replayed 1", "3:event 1 again", "4:event 1"));
  Command("commands { ack { seq: 4 } }");
  End(absl::UnavailableError("gone"));
  Pass(absl::Milliseconds(200));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("0:hello i-1 resumes", "0:joined 1 resumed",
                                    "0:replayed 1"));
}

TEST_F(HubTest, AnAckOfWhatTheStreamBeforeHasCarriedCounts) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  SayMessage(1);
  SayMessage(1);
  WriteAll();
  End(absl::UnavailableError("gone"));
  Pass(absl::Milliseconds(100));
  Written();  // Hello.
  Command("commands { ack { seq: 2 } }");
  WriteAll();
  EXPECT_EQ(Events().back(), "3:event 1 again");
  EXPECT_THAT(Events(), Not(Contains("2:event 1 again")));
}

// It may not know of the session yet.
TEST_F(HubTest, AJoinedThatIsNotAcknowledgedComesAgainWithItsMetadata) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  Join(3);
  WriteAll();
  Command("commands { ack { seq: 1 } }");
  End(absl::UnavailableError("gone"));
  Pass(absl::Milliseconds(100));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("0:hello i-1 resumes", "0:joined 1 resumed",
                                    "0:joined 3 resumed", "0:replayed 2"));
  std::vector<std::size_t> metadata;
  for (const std::string& written : call().written()) {
    v1::FromGateway batch;
    ASSERT_TRUE(batch.ParseFromString(written));
    for (const v1::Event& event : batch.events()) {
      if (event.has_joined()) {
        metadata.push_back(event.joined().metadata().size());
      }
    }
  }
  EXPECT_THAT(metadata, ElementsAre(0u, 1u));
}

TEST_F(HubTest, ALeftIsSentUntilItIsAcknowledged) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  Leave(1);
  WriteAll();
  EXPECT_EQ(hub_->sessions(), 0u);
  EXPECT_TRUE(hub_->is_idle());
  for (int i = 0; i < 2; ++i) {
    End(absl::UnavailableError("gone"));
    Pass(absl::Milliseconds(200));
    WriteAll();
    EXPECT_THAT(Events(),
                ElementsAre("0:hello i-1 resumes", "0:joined 1 resumed",
                            "0:replayed 1", "2:left 1"));
  }
  Command("commands { ack { seq: 2 } }");
  EXPECT_EQ(hub_->queued_bytes(), 0u);
  End(absl::UnavailableError("gone"));
  Pass(absl::Seconds(1));
  EXPECT_EQ(upstream_.call_count(), 3u);  // There is nobody left.
}

TEST_F(HubTest, ALeftMayBeAcknowledgedInMidReplay) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  Leave(1);
  Join(3);
  WriteAll();
  End(absl::UnavailableError("gone"));
  Pass(absl::Milliseconds(100));
  call().observer().OnWritten();  // Hello; the replay has not begun.
  Command("commands { ack { seq: 2 } }");
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("0:hello i-1 resumes", "0:joined 3 resumed",
                                    "0:replayed 1"));
  EXPECT_EQ(hub_->roster().records().size(), 1u);
}

TEST_F(HubTest, ClientsMaySendMoreWhenTheBackendHasAcknowledged) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  Say(1);
  WriteAll();
  EXPECT_EQ(credited_, 0u);
  Command("commands { ack { seq: 1 } }");
  EXPECT_EQ(credited_, 0u);
  Command("commands { ack { seq: 2 } }");
  EXPECT_EQ(credited_, 4 + kHubEventCost);
  Command("commands { ack { seq: 2 } }");  // Says nothing new.
  EXPECT_EQ(credited_, 4 + kHubEventCost);
}

TEST_F(HubTest, NobodyNewIsLetInWhileTooMuchIsNotAcknowledged) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  Report(1, HubEventBody{std::string(5 * 1024 * 1024, 'x')});
  WriteAll();
  Join(3, true);
  EXPECT_THAT(told_, ElementsAre("w0 refuse 3 UNAVAILABLE"));
  Command("commands { ack { seq: 2 } }");
  Join(5);
  WriteAll();
  EXPECT_EQ(Events().back(), "3:joined 5");
}

TEST_F(HubTest, AnotherIncarnationHasNothingOfTheOneBefore) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  target_.hold = absl::ZeroDuration();
  Make();
  Join(1);
  Say(1);
  WriteAll();
  End(absl::UnavailableError("gone"));
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(credited_, 4 + kHubEventCost);
  Join(3);
  Pass(absl::Seconds(1));
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("0:hello i-2", "1:joined 3"));
}

TEST_F(HubTest, AnAckOfWhatWasNotSentIsAFault) {
  target_.delivery = HubTarget::Delivery::kAtLeastOnce;
  Make();
  Join(1);
  WriteAll();
  Command("commands { id: 7 ack { seq: 2 } } commands { id: 8 ack { } }");
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 7 3"));
  EXPECT_THAT(Events(), Not(Contains(StartsWith("failed 8"))));
}

TEST_F(HubTest, AnAckMeansNothingWhereEventsAreNotKept) {
  Make();
  Join(1);
  WriteAll();
  Command("commands { id: 7 ack { seq: 1 } }");
  WriteAll();
  EXPECT_THAT(Events(), Contains("failed 7 9"));
}

}  // namespace
}  // namespace headgate
