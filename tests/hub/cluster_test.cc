#include "gateway/hub/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/hub/cluster_link.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

v1::EnginePublication ToGroup(const std::string& group,
                              const std::string& text) {
  v1::EnginePublication publication;
  publication.mutable_to()->add_groups(group);
  publication.mutable_payload()->set_text(text);
  return publication;
}

bool HasFound(const v1::EngineReply& reply) {
  return reply.status().code() == 0;
}

class ClusterTest : public ::testing::Test {
 protected:
  using Node = FakeBroker::Node;

  ClusterTest() {
    broker_.Run();
    broker_.Advance(absl::Seconds(1));  // They have had the time to meet.
    broker_.seen.clear();
  }

  // What has come of a question; absent: it goes on.
  std::optional<HubEngine::Answers>& Ask(
      Cluster& cluster, HubEngine::IsEnough is_enough = nullptr,
      absl::Duration patience = absl::ZeroDuration()) {
    answers_.reset();
    v1::EngineQuestion question;
    question.mutable_count();
    cluster.Ask(std::move(question), patience, is_enough,
                [this](HubEngine::Answers answers) {
                  EXPECT_FALSE(answers_.has_value());
                  answers_ = std::move(answers);
                });
    return answers_;
  }

  FakeBroker broker_;
  std::optional<HubEngine::Answers> answers_;
  Node a_{broker_, "a"};
  Node b_{broker_, "b"};
  Node c_{broker_, "c"};
};

// --- Who is there ---

TEST_F(ClusterTest, GatewaysMeetAtOnce) {
  broker_.Advance(absl::Milliseconds(50));
  EXPECT_EQ(a_.cluster().replicas(), 2u);
  EXPECT_EQ(c_.cluster().replicas(), 2u);
}

TEST_F(ClusterTest, OneThatStopsIsForgottenAtOnce) {
  broker_.Advance(absl::Seconds(1));
  {
    Node d(broker_, "d");
    broker_.Run();
    EXPECT_EQ(a_.cluster().replicas(), 3u);
  }
  broker_.Run();
  EXPECT_EQ(a_.cluster().replicas(), 2u);
  EXPECT_THAT(a_.log, ElementsAre("+b", "+c", "+d", "-d"));
}

TEST_F(ClusterTest, OneThatIsNotHeardOfIsForgottenLater) {
  broker_.Advance(absl::Seconds(1));
  b_.up = false;
  broker_.Advance(absl::Seconds(7));
  EXPECT_EQ(a_.cluster().replicas(), 2u);
  broker_.Advance(absl::Seconds(5));
  EXPECT_EQ(a_.cluster().replicas(), 1u);
  b_.up = true;
  b_.cluster().OnUp(broker_.now);
  broker_.Run();
  EXPECT_EQ(a_.cluster().replicas(), 2u);
}

TEST_F(ClusterTest, WhileTheBrokerIsAwayNobodyIsForgotten) {
  broker_.Advance(absl::Seconds(1));
  a_.up = false;
  a_.cluster().OnDown(broker_.now);
  broker_.Advance(absl::Minutes(1));
  EXPECT_EQ(a_.cluster().replicas(), 2u);
}

TEST_F(ClusterTest, TwoOfOneNameAreTold) {
  Node other(broker_, "a");
  v1::EngineRecord record;
  record.mutable_beat()->set_instance("another");
  record.mutable_beat()->set_gateway("a");
  a_.cluster().OnRecord(record.SerializeAsString(), broker_.now);
  EXPECT_THAT(a_.log, Contains("=a"));
}

TEST_F(ClusterTest, BeatsOfAnybodyFillNoMemory) {
  v1::EngineRecord record;
  for (int i = 0; i < 3000; ++i) {
    record.mutable_beat()->set_instance(std::to_string(i));
    a_.cluster().OnRecord(record.SerializeAsString(), broker_.now);
  }
  EXPECT_EQ(a_.cluster().replicas(), Cluster::kMostReplicas);
  record.mutable_beat()->set_instance(std::string(257, 'x'));
  a_.cluster().OnRecord(record.SerializeAsString(), broker_.now);
  EXPECT_EQ(a_.cluster().malformed(), 1u);
}

// --- Publications ---

TEST_F(ClusterTest, APublicationReachesGatewaysWithMembersAlone) {
  b_.cluster().OnInterest(HubScope::kGroup, "g", true);
  EXPECT_EQ(a_.cluster().Publish(ToGroup("g", "hello")), absl::OkStatus());
  broker_.Run();
  EXPECT_THAT(b_.delivered, ElementsAre("hello"));
  EXPECT_THAT(c_.delivered, IsEmpty());
  EXPECT_THAT(a_.delivered, IsEmpty());
}

TEST_F(ClusterTest, OneToSeveralGroupsReachesAllOnce) {
  b_.cluster().OnInterest(HubScope::kGroup, "g", true);
  b_.cluster().OnInterest(HubScope::kGroup, "h", true);
  v1::EnginePublication publication = ToGroup("g", "hello");
  publication.mutable_to()->add_groups("h");
  EXPECT_EQ(a_.cluster().Publish(publication), absl::OkStatus());
  broker_.Run();
  EXPECT_THAT(b_.delivered, ElementsAre("hello"));
  EXPECT_THAT(broker_.seen, Contains("hg.cmd"));
}

TEST_F(ClusterTest, AUserIsReachedByItsOwnSubject) {
  c_.cluster().OnInterest(HubScope::kUser, "ann.b", true);
  v1::EnginePublication publication;
  publication.mutable_to()->add_users("ann.b");
  publication.mutable_payload()->set_text("psst");
  EXPECT_EQ(a_.cluster().Publish(publication), absl::OkStatus());
  broker_.Run();
  EXPECT_THAT(c_.delivered, ElementsAre("psst"));
  EXPECT_THAT(broker_.seen, Contains("hg.now.u.ann=2Eb"));
}

TEST_F(ClusterTest, ASubscriptionStaysForAWhileWithoutMembers) {
  Cluster& cluster = b_.cluster();
  cluster.OnInterest(HubScope::kGroup, "g", true);
  cluster.OnInterest(HubScope::kGroup, "g", true);  // Of another hub.
  cluster.OnInterest(HubScope::kGroup, "g", false);
  broker_.Advance(absl::Seconds(6));
  EXPECT_THAT(b_.subjects, Contains("hg.now.g.g"));
  cluster.OnInterest(HubScope::kGroup, "g", false);
  broker_.Advance(absl::Seconds(3));
  // A member in between: five seconds from its end on.
  cluster.OnInterest(HubScope::kGroup, "g", true);
  cluster.OnInterest(HubScope::kGroup, "g", false);
  broker_.Advance(absl::Seconds(3));
  EXPECT_THAT(b_.subjects, Contains("hg.now.g.g"));
  broker_.Advance(absl::Seconds(3));
  EXPECT_THAT(b_.subjects, Not(Contains("hg.now.g.g")));
}

TEST_F(ClusterTest, NoMoreThanSomeSubscriptionsStayWithoutMembers) {
  Cluster& cluster = b_.cluster();
  const std::size_t before = b_.subjects.size();
  for (std::size_t i = 0; i < 2 * Cluster::kMostLingering; ++i) {
    const std::string name = absl::StrCat("g", i);
    cluster.OnInterest(HubScope::kGroup, name, true);
    cluster.OnInterest(HubScope::kGroup, name, false);
  }
  broker_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(b_.subjects.size(), before + Cluster::kMostLingering);
}

TEST_F(ClusterTest, WithoutTheBrokerNothingIsPublished) {
  a_.up = false;
  EXPECT_TRUE(absl::IsUnavailable(a_.cluster().Publish(ToGroup("g", "hello"))));
  std::optional<absl::Status> told;
  a_.cluster().Publish(ToGroup("g", "hello"),
                       [&](const absl::Status& status) { told = status; });
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*told));
}

// NATS ends a connection that sends a subject of 4096 bytes.
TEST_F(ClusterTest, NamesThatNobodyCanHaveAreNoSubjects) {
  broker_.Advance(absl::Seconds(1));
  broker_.seen.clear();
  int done = 0;
  a_.cluster().Publish(ToGroup(std::string(1400, '%'), "hello"),
                       [&](const absl::Status& status) {
                         EXPECT_EQ(status, absl::OkStatus());
                         ++done;
                       });
  broker_.Run();
  EXPECT_EQ(done, 1);
  EXPECT_THAT(broker_.seen, IsEmpty());
}

// --- Questions ---

TEST_F(ClusterTest, AQuestionEndsWithTheLastAnswer) {
  broker_.Advance(absl::Seconds(1));
  const auto& answers = Ask(a_.cluster());
  EXPECT_FALSE(answers.has_value());
  broker_.Run();
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->replies, SizeIs(2));
  EXPECT_THAT(answers->silent, IsEmpty());
}

TEST_F(ClusterTest, OneThatDoesNotAnswerIsNamedInTime) {
  broker_.Advance(absl::Seconds(1));
  c_.is_silent = true;
  const auto& answers = Ask(a_.cluster());
  broker_.Advance(absl::Milliseconds(450));
  EXPECT_FALSE(answers.has_value());
  broker_.Advance(absl::Milliseconds(100));
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->replies, SizeIs(1));
  EXPECT_THAT(answers->silent, ElementsAre("c"));
}

// As the broker sees it they are not there, but they have their sessions.
TEST_F(ClusterTest, ThoseThatAreCutOffAreNamedAtOnce) {
  broker_.Advance(absl::Seconds(1));
  b_.up = c_.up = false;
  const auto& answers = Ask(a_.cluster());
  broker_.Run();
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->silent, ElementsAre("b", "c"));
}

TEST_F(ClusterTest, AQuestionOfALongNameIsNone) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{257}}) {
    v1::EngineRecord record;
    record.mutable_question()->set_instance(std::string(size, '%'));
    record.mutable_question()->set_number(1);
    a_.cluster().OnRecord(record.SerializeAsString(), broker_.now);
  }
  EXPECT_THAT(a_.asked, IsEmpty());
  EXPECT_EQ(a_.cluster().malformed(), 2u);
}

TEST_F(ClusterTest, PatienceIsLonger) {
  broker_.Advance(absl::Seconds(1));
  c_.is_silent = true;
  const auto& answers = Ask(a_.cluster(), nullptr, absl::Seconds(5));
  broker_.Advance(absl::Seconds(5));
  EXPECT_FALSE(answers.has_value());
  broker_.Advance(absl::Seconds(1));
  EXPECT_TRUE(answers.has_value());
}

TEST_F(ClusterTest, AnAnswerThatIsEnoughEndsIt) {
  broker_.Advance(absl::Seconds(1));
  b_.is_silent = true;
  const auto& answers = Ask(a_.cluster(), &HasFound);
  broker_.Run();
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->silent, IsEmpty());
}

TEST_F(ClusterTest, OneThatHasLeftIsNotWaitedFor) {
  broker_.Advance(absl::Seconds(1));
  auto d = std::make_unique<Node>(broker_, "d");
  broker_.Run();
  d->is_silent = true;
  const auto& answers = Ask(a_.cluster());
  d.reset();
  broker_.Advance(absl::Milliseconds(50));
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->silent, IsEmpty());
}

TEST_F(ClusterTest, WithoutTheBrokerAllAreSilent) {
  broker_.Advance(absl::Seconds(1));
  a_.up = false;
  const auto& answers = Ask(a_.cluster());
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->silent, ElementsAre("b", "c"));
}

TEST_F(ClusterTest, TheBrokersLossEndsQuestions) {
  broker_.Advance(absl::Seconds(1));
  const auto& answers = Ask(a_.cluster());
  a_.up = false;
  a_.cluster().OnDown(broker_.now);
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->silent, ElementsAre("b", "c"));
}

TEST_F(ClusterTest, StrangersAnswersDoNotCount) {
  broker_.Advance(absl::Seconds(1));
  b_.is_silent = c_.is_silent = true;
  const auto& answers = Ask(a_.cluster());
  v1::EngineRecord record;
  record.mutable_reply()->set_instance("stranger");
  for (std::uint64_t number = 0; number < 5; ++number) {
    record.mutable_reply()->set_number(number);
    a_.cluster().OnRecord(record.SerializeAsString(), broker_.now);
  }
  broker_.Advance(absl::Seconds(1));
  ASSERT_TRUE(answers.has_value());
  EXPECT_THAT(answers->replies, IsEmpty());
}

TEST(LoneClusterTest, OneAloneIsToldSo) {
  FakeBroker broker;
  FakeBroker::Node lone(broker, "lone");
  int ended = 0;
  // Others may be there that have not said so yet; the broker knows.
  lone.cluster().Ask({}, absl::ZeroDuration(), nullptr,
                     [&](HubEngine::Answers) { ++ended; });
  EXPECT_EQ(ended, 0);
  broker.Run();
  EXPECT_EQ(ended, 1);
  broker.Advance(absl::Seconds(1));
  lone.cluster().Ask({}, absl::ZeroDuration(), nullptr,
                     [&](HubEngine::Answers) { ++ended; });
  EXPECT_EQ(ended, 2);
}

TEST(LoneClusterTest, BeforeTheBrokerWasThereAnybodyMayBeSilent) {
  FakeBroker broker;
  FakeBroker::Node lone(broker, "lone");
  lone.up = false;
  lone.cluster().OnDown(broker.now);
  std::vector<std::string> silent;
  lone.cluster().Ask(
      {}, absl::ZeroDuration(), nullptr,
      [&](HubEngine::Answers answers) { silent = std::move(answers.silent); });
  EXPECT_THAT(silent, ElementsAre("*"));
}

TEST_F(ClusterTest, GarbageIsCounted) {
  for (const std::string& bytes :
       {std::string(), std::string("\xff\xff\xff\xff"), std::string("PUB x 0"),
        std::string(1000, '\n')}) {
    a_.cluster().OnRecord(bytes, broker_.now);
  }
  EXPECT_GE(a_.cluster().malformed(), 3u);
}

// --- What all engines promise ---

class EngineContract : public ::testing::TestWithParam<bool> {
 protected:
  HubEngine& engine() {
    if (!GetParam()) return memory_;
    return node_.cluster();
  }
  FakeBroker broker_;
  FakeBroker::Node node_{broker_, "a"};
  MemoryEngine memory_;
};

TEST_P(EngineContract, PublishesAndSaysSoOnce) {
  EXPECT_TRUE(engine().is_up());
  int done = 0;
  engine().Publish(ToGroup("g", "hello"), [&](const absl::Status& status) {
    EXPECT_EQ(status, absl::OkStatus());
    ++done;
  });
  broker_.Run();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(engine().Publish(ToGroup("g", "hello")), absl::OkStatus());
}

TEST_P(EngineContract, AQuestionToNobodyIsAnsweredOnceByNobody) {
  int done = 0;
  engine().Ask({}, absl::ZeroDuration(), nullptr,
               [&](HubEngine::Answers answers) {
                 EXPECT_THAT(answers.replies, IsEmpty());
                 EXPECT_THAT(answers.silent, IsEmpty());
                 ++done;
               });
  broker_.Advance(absl::Seconds(1));
  EXPECT_EQ(done, 1);
}

TEST_P(EngineContract, InterestEndsAsOftenAsItBegan) {
  for (int i = 0; i < 3; ++i) {
    engine().OnInterest(HubScope::kGroup, "g", true);
    engine().OnInterest(HubScope::kGroup, "g", false);
  }
  engine().OnInterest(HubScope::kUser, "never", false);
  broker_.Advance(absl::Seconds(6));
}

INSTANTIATE_TEST_SUITE_P(All, EngineContract, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "cluster" : "memory";
                         });

}  // namespace
}  // namespace headgate
