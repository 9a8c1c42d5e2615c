// Clients that come back with a resume token.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/text_format.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/hub/hub_fixture.h"
#include "tests/hub/quiet_engine.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const std::string kTokenOf = "\"resumeToken\":\"";

// Of a group with history: answers when the test does.
class HistoryEngine final : public QuietEngine {
 public:
  bool HasHistory(absl::string_view group) const override {
    return absl::StartsWith(group, "h");
  }
  void Recover(const std::string& group, const std::optional<v1::Position>&,
               RecoveredCallback done) override {
    waiting[group] = std::move(done);
  }

  std::map<std::string, RecoveredCallback> waiting;
};

class HubResumeTest : public HubTest {
 protected:
  HubResumeTest() {
    resume_keys_ = std::make_unique<ResumeKeys>(
        std::vector<std::string>{std::string(kResumeKeyBytes, 'k')});
    target_.client_join = {"*"};
    now_ = absl::FromUnixSeconds(1'800'000'000);
  }

  void Come(Who who, bool asks = false, HubCodec codec = HubCodec::kHubJson) {
    auto arrival = std::make_unique<HubArrival>();
    arrival->session = absl::StrCat("s", who);
    arrival->codec = codec;
    arrival->asks = asks;
    Report(who, std::move(arrival));
  }
  void Ask(Who who, const std::string& text) {
    HubRequest request;
    request.frame = std::make_unique<v1::HubClientFrame>();
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        text, request.frame.get()));
    request.bytes = 100;
    Report(who, std::move(request));
  }
  void Resume(Who who, const std::string& token,
              const std::string& positions = "") {
    Ask(who, absl::StrCat("id: 1 resume { resume_token: '", token, "' ",
                          positions, " }"));
  }
  // The last that the session was given.
  std::string TokenFor(Who who) const {
    std::string token;
    for (const std::string& told : told_) {
      const std::size_t at = told.find(kTokenOf);
      if (at == std::string::npos ||
          !absl::StrContains(told, absl::StrCat("deliver ", who, " "))) {
        continue;
      }
      token = told.substr(at + kTokenOf.size());
      token.resize(token.find('"'));
    }
    return token;
  }
  // Session 1 has been and gone; its token.
  std::string Before() {
    Make();
    Come(1);
    const std::string token = TokenFor(1);
    EXPECT_THAT(token, Not(IsEmpty()));
    WriteAll();
    told_.clear();
    return token;
  }
};

TEST_F(HubResumeTest, ASessionHasATokenAsSoonAsItIsAdmitted) {
  Make();
  Come(1);
  EXPECT_THAT(told_,
              ElementsAre(StartsWith(R"(w0 deliver 1 {"resumeToken":")")));
  told_.clear();
  Come(2, /*asks=*/true);
  WriteAll();
  EXPECT_THAT(told_, IsEmpty());
  Command("commands { accept { who: 2 } }");
  EXPECT_THAT(told_,
              ElementsAre("w1 admit 2",
                          StartsWith(R"(w1 deliver 2 {"resumeToken":")")));
}

TEST_F(HubResumeTest, NobodyElseHasOne) {
  Make();
  Come(1, false, HubCodec::kJson);
  resume_keys_ = nullptr;
  Come(2);
  EXPECT_THAT(told_, IsEmpty());
  Resume(2, "x", "positions { group: 'a' }");
  EXPECT_THAT(told_, ElementsAre(HasSubstr(R"("id":1,"error":{"code":9,)")));
}

TEST_F(HubResumeTest, TheTokenIsRenewedAfterHalfOfItsTime) {
  Make();
  Come(1);
  WriteAll();
  const std::string first = TokenFor(1);
  Pass(absl::Seconds(59));
  EXPECT_THAT(told_, SizeIs(1));
  Pass(absl::Seconds(1));
  EXPECT_THAT(told_, SizeIs(2));
  EXPECT_NE(TokenFor(1), first);
  Pass(absl::Seconds(60));
  EXPECT_THAT(told_, SizeIs(3));
  Leave(1);
  Pass(absl::Seconds(60));
  EXPECT_THAT(told_, SizeIs(3));
}

TEST_F(HubResumeTest, AClientGoesOnAndTheSessionBeforeEnds) {
  const std::string token = Before();
  Come(2);
  told_.clear();
  Resume(2, token, "positions { group: 'a' } positions { group: 'b' }");
  EXPECT_THAT(
      told_,
      ElementsAre(
          "w0 close 1 4010",
          AllOf(StartsWith(R"(w1 deliver 2 {"id":1,"welcome":{"session":"s2",)"
                           R"("resumeToken":")"),
                EndsWith(R"(,"resumed":true}})")),
          R"(w1 deliver 2 {"id":1,"joined":{"group":"a"}})",
          R"(w1 deliver 2 {"id":1,"joined":{"group":"b"}})"));
  EXPECT_THAT(ended_, ElementsAre("s1"));
  WriteAll();
  EXPECT_THAT(Events(), Contains("4:resumed s1"));
  EXPECT_EQ(credited_, 100 + kHubEventCost);
  EXPECT_EQ(hub_->counts().resumes, 1u);

  // Again, with what it has been given now.
  const std::string next = TokenFor(2);
  Come(3);
  Resume(3, next);
  EXPECT_THAT(ended_, ElementsAre("s1", "s2"));
  EXPECT_THAT(hub_->roster().records().at(3)->lineage, ElementsAre("s2", "s1"));
}

TEST_F(HubResumeTest, TheBackendHearsOfItBeforeWhatTheClientSays) {
  const std::string token = Before();
  Come(2);
  WriteAll();
  HubEvents events;
  HubRequest request;
  request.frame = std::make_unique<v1::HubClientFrame>();
  request.frame->set_id(1);
  request.frame->mutable_resume()->set_resume_token(token);
  events.events.push_back({2, std::move(request)});
  events.events.push_back(
      {2, HubEventBody{std::string("\x2a\x02\x0a\x00", 4)}});
  hub_->OnEvents(1, std::move(events));
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), ElementsAre("1:hello i-1", "2:joined 1", "3:joined 2",
                                    "4:resumed s1", "5:event 2"));
}

TEST_F(HubResumeTest, ATokenThatIsNotGoodIsNoError) {
  const std::string token = Before();
  for (const std::string& bad : {std::string("x"), token + "A"}) {
    Come(2);
    told_.clear();
    Resume(2, bad, "positions { group: 'a' }");
    ASSERT_THAT(told_, SizeIs(2));
    EXPECT_THAT(told_[0], Not(HasSubstr("\"resumed\"")));
    EXPECT_THAT(told_[1], EndsWith(R"("joined":{"group":"a"}})"));
    Leave(2);
    WriteAll();
  }
  // Nor is one that has expired, or that of the session itself.
  Come(2);
  const std::string own = TokenFor(2);
  Resume(2, own);
  Come(3);
  Pass(absl::Minutes(2));
  Resume(3, token);
  EXPECT_THAT(ended_, IsEmpty());
  EXPECT_EQ(hub_->counts().resumes_refused, 4u);
  WriteAll();
  EXPECT_THAT(Events(), Not(Contains(HasSubstr("resumed"))));
}

TEST_F(HubResumeTest, ATokenIsForItsUser) {
  Before();
  Command("commands { set_data { who: 1 user: 'ann' } }");
  const std::string of_ann = TokenFor(1);
  ASSERT_THAT(of_ann, Not(IsEmpty()));  // A new one, at once.
  // Once for each change.
  Command("commands { set_data { who: 1 user: 'ann' } }");
  EXPECT_THAT(told_, SizeIs(1));
  Come(2);
  Command("commands { set_data { who: 2 user: 'bob' } }");
  Resume(2, of_ann);
  EXPECT_THAT(ended_, IsEmpty());
  Come(3);
  Command("commands { set_data { who: 3 user: 'ann' } }");
  Resume(3, of_ann);
  EXPECT_THAT(ended_, ElementsAre("s1"));
}

TEST_F(HubResumeTest, ThePositionsAreBoundedAndEachOnce) {
  target_.max_groups = 2;
  const std::string token = Before();
  Come(2);
  Resume(2, token, "positions { group: 'a' } positions { group: 'a' }");
  EXPECT_THAT(told_, Contains(HasSubstr(R"("error":{"code":3,)")));
  told_.clear();
  Resume(2, token,
         "positions { group: 'a' } positions { group: 'b' } "
         "positions { group: 'c' }");
  EXPECT_THAT(told_, Contains(HasSubstr(R"("error":{"code":3,)")));
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(HubResumeTest, GroupsThatItMayNotJoinAreNamed) {
  target_.client_join = {"a"};
  target_.client_join_ask = {"b"};
  const std::string token = Before();
  Come(2);
  WriteAll();
  told_.clear();
  Resume(2, token,
         "positions { group: 'a' } positions { group: 'b' } "
         "positions { group: 'c' }");
  EXPECT_THAT(told_,
              Contains(HasSubstr(
                  R"("error":{"code":7,"message":"c: hub.client_join)")));
  WriteAll();
  EXPECT_THAT(Events(), Not(Contains(HasSubstr("resumed"))));
  // When the backend has decided on the last.
  Command(
      "commands { refuse { who: 2 request: 1 "
      "status { code: 5 message: 'no' } } }");
  EXPECT_THAT(told_, Contains(HasSubstr(R"("message":"b: no")")));
  WriteAll();
  EXPECT_THAT(Events(), Contains(HasSubstr("resumed s1")));
}

TEST_F(HubResumeTest, ItIsRecoveredIfAllGroupsAre) {
  HistoryEngine engine;
  engine_ = &engine;
  const std::string token = Before();
  HubEngine::Recovery good;
  good.is_recovered = true;
  Come(2);
  Resume(2, token, "positions { group: 'h1' } positions { group: 'h2' }");
  engine.waiting["h2"](good);
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), Not(Contains(HasSubstr("resumed"))));
  engine.waiting["h1"](good);
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), Contains("4:resumed s1 recovered"));

  Come(3);
  Resume(3, TokenFor(2), "positions { group: 'h1' } positions { group: 'a' }");
  engine.waiting["h1"](good);
  Turn();
  WriteAll();
  EXPECT_THAT(Events(), Contains("6:resumed s2"));
  // One that goes before it is known.
  Come(4);
  Resume(4, TokenFor(3), "positions { group: 'h1' }");
  Leave(4);
  WriteAll();
  EXPECT_THAT(Events(), Contains("8:resumed s3"));
  EXPECT_THAT(Events(), Contains("9:left 4"));
  engine.waiting["h1"](good);
  hub_.reset();  // It has called the engine.
}

TEST_F(HubResumeTest, WhatExceptsASessionExceptsThoseThatGoOnForIt) {
  const std::string token = Before();
  Come(2);
  Resume(2, token);
  Leave(1);
  WriteAll();
  Come(3);
  told_.clear();
  v1::Audience others;
  others.add_except_sessions("s1");
  v1::Payload payload;
  payload.set_text("0");
  EXPECT_EQ(hub_->Publish(others, payload, "").sessions, 1u);
  Turn();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("deliver 3 ")));
  // It has gone: nobody is left who goes on for it.
  Leave(2);
  WriteAll();
  EXPECT_EQ(hub_->roster().HeirsOf("s1"), nullptr);
}

TEST_F(HubResumeTest, ASessionEndsOnce) {
  const std::string token = Before();
  EXPECT_FALSE(hub_->EndReplaced("s9"));
  EXPECT_TRUE(hub_->EndReplaced("s1"));
  EXPECT_TRUE(hub_->EndReplaced("s1"));
  Turn();
  EXPECT_THAT(told_, ElementsAre("w0 close 1 4010"));
}

}  // namespace
}  // namespace headgate
