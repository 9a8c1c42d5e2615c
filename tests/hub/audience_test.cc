#include "gateway/hub/audience.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <google/protobuf/text_format.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Five sessions: 1 and 2 in room a, 2 and 3 in room b, 4 asks, 5 is gone.
class AudienceTest : public ::testing::Test {
 protected:
  AudienceTest() {
    for (const Who who : {1, 2, 3, 4, 5}) {
      HubRecord record;
      record.who = who;
      record.session = "s" + std::to_string(who);
      record.data["n"] = std::to_string(who);
      roster_.Add(record);
    }
    Join(1, "a");
    Join(2, "a");
    Join(2, "b");
    Join(3, "b");
    roster_.SetUser(*roster_.Find(1), "ann");
    roster_.SetUser(*roster_.Find(3), "ann");
    roster_.Find(4)->phase = HubRecord::Phase::kAsking;
    roster_.Find(5)->phase = HubRecord::Phase::kGone;
  }

  void Join(Who who, const std::string& group) {
    EXPECT_TRUE(roster_.Join(*roster_.Find(who), group, 10).ok());
  }

  // `audience`: in protobuf's text format.
  std::vector<Who> Find(const std::string& audience) {
    v1::Audience message;
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(audience, &message));
    const auto found = FindAudience(message, roster_);
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<Who> whos;
    for (const HubRecord* record : *found) whos.push_back(record->who);
    std::sort(whos.begin(), whos.end());
    return whos;
  }

  HubRoster roster_;
};

TEST_F(AudienceTest, WithoutConditionsItIsAllThatAreIn) {
  EXPECT_THAT(Find(""), ElementsAre(1, 2, 3));
}

TEST_F(AudienceTest, MembersOfSeveralGroupsAreThereOnce) {
  EXPECT_THAT(Find("groups: 'a' groups: 'b' groups: 'none'"),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(Find("groups: 'none'"), IsEmpty());
}

TEST_F(AudienceTest, EveryConditionMustHold) {
  EXPECT_THAT(Find("groups: 'b' users: 'ann'"), ElementsAre(3));
  EXPECT_THAT(Find("whos: 1 whos: 3 whos: 4 groups: 'a'"), ElementsAre(1));
  EXPECT_THAT(Find("sessions: 's2' sessions: 's3' sessions: 'x' users: 'ann'"),
              ElementsAre(3));
}

TEST_F(AudienceTest, LeavesOutExceptions) {
  EXPECT_THAT(Find("groups: 'a' except_whos: 1"), ElementsAre(2));
  EXPECT_THAT(Find("except_sessions: 's1' except_whos: 3"), ElementsAre(2));
}

TEST_F(AudienceTest, Filters) {
  EXPECT_THAT(Find("filters { key: 'n' op: LESS values: '2.5' }"),
              ElementsAre(1, 2));
  EXPECT_THAT(Find("filters { key: 'n' op: GREATER values: '1' }"
                   "filters { key: 'n' op: NOT_EQUAL values: '2' }"),
              ElementsAre(3));
  EXPECT_THAT(Find("filters { key: 'x' op: PRESENT }"), IsEmpty());
}

TEST_F(AudienceTest, RefusesFiltersThatAreNone) {
  for (const char* filter :
       {"filters { key: 'n' }", "filters { key: 'n' op: LESS }",
        "filters { key: 'n' op: LESS values: 'x' }"}) {
    v1::Audience audience;
    ASSERT_TRUE(
        google::protobuf::TextFormat::ParseFromString(filter, &audience));
    EXPECT_TRUE(
        absl::IsInvalidArgument(FindAudience(audience, roster_).status()))
        << filter;
  }
}

TEST_F(AudienceTest, RefusesListsThatAreTooLong) {
  const auto is_refused = [this](const v1::Audience& audience) {
    return absl::IsInvalidArgument(FindAudience(audience, roster_).status());
  };
  v1::Audience groups;
  for (int i = 0; i < 1024; ++i) groups.add_groups("a");
  EXPECT_FALSE(is_refused(groups));
  groups.add_groups("a");
  EXPECT_TRUE(is_refused(groups));
  v1::Audience users;
  for (int i = 0; i < 64 * 1024; ++i) users.add_users("ann");
  EXPECT_FALSE(is_refused(users));
  users.add_users("ann");
  EXPECT_TRUE(is_refused(users));
  v1::Audience filters;
  filters.add_filters()->set_op(v1::DataFilter::EQUAL);
  filters.mutable_filters(0)->add_values(std::string(4096, '1'));
  EXPECT_FALSE(is_refused(filters));
  filters.mutable_filters(0)->set_values(0, std::string(4097, '1'));
  EXPECT_TRUE(is_refused(filters));
}

TEST_F(AudienceTest, AGroupIsThereWhileItHasMembers) {
  EXPECT_EQ(roster_.groups(), 2u);
  roster_.Remove(1);
  roster_.LeaveAll(*roster_.Find(2));
  EXPECT_EQ(roster_.groups(), 1u);
  EXPECT_EQ(roster_.FindGroup("a"), nullptr);
  roster_.Leave(*roster_.Find(3), "b");
  EXPECT_EQ(roster_.groups(), 0u);
}

TEST_F(AudienceTest, GroupsAreListedByNameInPages) {
  using Page = std::vector<std::pair<std::string, std::size_t>>;
  roster_.Join(*roster_.Find(1), "c", 9).IgnoreError();
  EXPECT_EQ(roster_.ListGroups("", 1), (Page{{"a", 2}}));
  EXPECT_EQ(roster_.ListGroups("a", 10), (Page{{"b", 2}, {"c", 1}}));
  EXPECT_EQ(roster_.ListGroups("c", 10), Page());
}

TEST_F(AudienceTest, AMemberHasAtMostMaxGroups) {
  EXPECT_TRUE(
      absl::IsResourceExhausted(roster_.Join(*roster_.Find(2), "c", 2)));
  EXPECT_TRUE(roster_.Join(*roster_.Find(2), "a", 2).ok());
}

}  // namespace
}  // namespace headgate
