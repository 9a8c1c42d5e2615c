#include "gateway/hub/cluster_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace headgate {
namespace {

using ::testing::ElementsAre;

// Other gateways that answer as they are told.
class CannedEngine final : public HubEngine {
 public:
  void Publish(const v1::EnginePublication&, PublishedCallback done) override {
    done(status);
  }
  absl::Status Publish(const v1::EnginePublication&) override { return status; }
  void Ask(v1::EngineQuestion question, absl::Duration, IsEnough,
           AnswersCallback done) override {
    asked.push_back(std::move(question));
    if (!answers_at_once) return waiting.push_back(std::move(done));
    done(answers);
  }
  bool HasHistory(absl::string_view group) const override {
    return group == "h";
  }
  void Store(const v1::EnginePublication& publication,
             const StoreOptions& options, StoredCallback done) override {
    stored.push_back(publication);
    stored_with = options;
    if (!status.ok()) return done(status);
    done(Stored{"epoch", stored.size(), false});
  }
  void Recover(const std::string&, const std::optional<v1::Position>&,
               RecoveredCallback done) override {
    done(Recovery());
  }
  void Read(const std::string& group, const std::optional<v1::Position>& after,
            std::size_t limit, PageCallback done) override {
    read.push_back({group, after ? after->offset() : 0, limit});
    done(page);
  }
  void AnnounceWatched(const std::vector<std::string>&) override {}
  bool Tell(const std::string&, const v1::EngineMemberships&) override {
    return true;
  }
  bool is_up() const override { return status.ok(); }
  void OnInterest(HubScope, const std::string&, bool) override {}

  absl::Status status;
  Answers answers;
  bool answers_at_once = true;
  std::vector<v1::EngineQuestion> asked;
  std::vector<AnswersCallback> waiting;
  std::vector<v1::EnginePublication> stored;
  StoreOptions stored_with;  // The last.
  absl::StatusOr<Page> page = Page();
  // Group, offset and limit of each.
  std::vector<std::tuple<std::string, std::uint64_t, std::size_t>> read;
};

class ClusterRequestsTest : public ::testing::Test {
 protected:
  // A gateway's page with these sessions.
  void AddPage(const std::vector<std::string>& sessions,
               const std::string& next_page_token = "") {
    v1::EngineReply reply;
    for (const std::string& session : sessions) {
      reply.mutable_list()->add_sessions()->set_session(session);
    }
    reply.mutable_list()->set_next_page_token(next_page_token);
    engine_.answers.replies.push_back(reply);
  }

  v1::ListSessionsResponse List(std::uint32_t page_size) {
    v1::ListSessionsRequest request;
    request.set_page_size(page_size);
    v1::ListSessionsResponse page;
    requests_.ListSessions(
        request, [&](const absl::StatusOr<v1::ListSessionsResponse>& result) {
          ASSERT_TRUE(result.ok()) << result.status();
          page = *result;
        });
    return page;
  }

  static std::vector<std::string> SessionsOf(
      const v1::ListSessionsResponse& page) {
    std::vector<std::string> sessions;
    for (const auto& each : page.sessions()) sessions.push_back(each.session());
    return sessions;
  }

  struct Nowhere final : PresenceHost {
    std::size_t MembersOf(const std::string&) override { return 0; }
    void AnnounceWatched(const std::vector<std::string>&) override {}
    bool Tell(const std::string&, const v1::EngineMemberships&) override {
      return true;
    }
  };

  CannedEngine engine_;
  Nowhere nowhere_;
  Presence presence_{nowhere_};
  ClusterRequests requests_{HubRequests([] { return std::vector<Hub*>(); }),
                            engine_, presence_};
};

TEST_F(ClusterRequestsTest, PagesOfAllGatewaysAreOne) {
  AddPage({"b", "d"});
  AddPage({"a", "c"});
  const v1::ListSessionsResponse page = List(3);
  EXPECT_THAT(SessionsOf(page), ElementsAre("a", "b", "c"));
  EXPECT_EQ(page.next_page_token(), "c");
  EXPECT_EQ(List(4).next_page_token(), "");
}

// So many clients that come back at once cost the others few questions.
TEST_F(ClusterRequestsTest, ResumedSessionsOfOthersAreAskedForTogether) {
  engine_.answers_at_once = false;
  requests_.EndResumed("a");
  requests_.EndResumed("b");
  requests_.EndResumed("c");
  ASSERT_EQ(engine_.asked.size(), 1u);
  EXPECT_THAT(engine_.asked[0].end_resumed().sessions(), ElementsAre("a"));
  engine_.waiting[0]({});
  ASSERT_EQ(engine_.asked.size(), 2u);
  EXPECT_THAT(engine_.asked[1].end_resumed().sessions(), ElementsAre("b", "c"));
  engine_.waiting[1]({});
  EXPECT_EQ(engine_.asked.size(), 2u);
}

TEST_F(ClusterRequestsTest, BehindTheEndOfAShortPageNothingIsKnown) {
  AddPage({"a", "c"}, "c");  // There are more, such as "d".
  AddPage({"b", "e"});
  const v1::ListSessionsResponse page = List(4);
  EXPECT_THAT(SessionsOf(page), ElementsAre("a", "b", "c"));
  EXPECT_EQ(page.next_page_token(), "c");
}

TEST_F(ClusterRequestsTest, APageWithoutSessionsMayClaimThatThereAreMore) {
  AddPage({}, "a");
  AddPage({"b"});
  const v1::ListSessionsResponse page = List(4);
  EXPECT_EQ(page.sessions_size(), 0);
  EXPECT_EQ(page.next_page_token(), "a");
}

TEST_F(ClusterRequestsTest, SilentGatewaysAreNamed) {
  engine_.answers.silent = {"gw-1"};
  EXPECT_THAT(List(1).silent_gateways(), ElementsAre("gw-1"));
  v1::GetSessionRequest request;
  request.set_session("s");
  absl::Status status;
  requests_.GetSession(request,
                       [&](const absl::StatusOr<v1::SessionInfo>& result) {
                         status = result.status();
                       });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  engine_.answers.silent.clear();
  requests_.GetSession(request,
                       [&](const absl::StatusOr<v1::SessionInfo>& result) {
                         status = result.status();
                       });
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
}

TEST_F(ClusterRequestsTest, WhatNatsDoesNotTakeIsNotPublished) {
  engine_.status = absl::UnavailableError("away");
  v1::PublishRequest request;
  request.set_group("g");
  request.mutable_payload()->set_text("hello");
  absl::Status status;
  requests_.Publish(request,
                    [&](const absl::StatusOr<v1::PublishResponse>& result) {
                      status = result.status();
                    });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

class StoredRequestsTest : public ClusterRequestsTest {
 protected:
  StoredRequestsTest() {
    request_.set_group("h");
    request_.mutable_payload()->set_text("hello");
  }
  absl::StatusOr<v1::PublishResponse> Publish() {
    absl::StatusOr<v1::PublishResponse> response;
    requests_.Publish(request_,
                      [&](const absl::StatusOr<v1::PublishResponse>& result) {
                        response = result;
                      });
    return response;
  }

  v1::PublishRequest request_;
};

TEST_F(StoredRequestsTest, TheResponseSaysWhereItIs) {
  request_.set_id("order-1");
  request_.set_if_last_offset(0);
  request_.add_except_sessions("me");
  const absl::StatusOr<v1::PublishResponse> response = Publish();
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->positions_size(), 1);
  EXPECT_EQ(response->positions(0).group(), "h");
  EXPECT_EQ(response->positions(0).position().epoch(), "epoch");
  EXPECT_EQ(response->positions(0).position().offset(), 1u);
  EXPECT_EQ(engine_.stored_with.id, "order-1");
  EXPECT_EQ(engine_.stored_with.if_last_offset, 0u);
  ASSERT_EQ(engine_.stored.size(), 1u);
  EXPECT_THAT(engine_.stored[0].to().except_sessions(), ElementsAre("me"));
}

TEST_F(StoredRequestsTest, WhatCannotBeStoredIsRefused) {
  const auto expect_refused = [this](const char* why) {
    EXPECT_TRUE(absl::IsInvalidArgument(Publish().status())) << why;
  };
  for (const std::string& id :
       {std::string(129, 'x'), std::string("a b"), std::string("a\r\nB: c"),
        std::string("\xc3\xa4")}) {
    request_.set_id(id);
    expect_refused("id");
  }
  request_.clear_id();
  request_.set_key(std::string(257, 'x'));
  expect_refused("key");
  request_.clear_key();
  request_.add_groups("other");
  expect_refused("two groups");
  EXPECT_TRUE(engine_.stored.empty());
}

TEST_F(StoredRequestsTest, WithoutHistoryThereIsNothingToCompareWith) {
  request_.set_group("other");
  request_.set_id("1");
  EXPECT_TRUE(absl::IsInvalidArgument(Publish().status()));
  request_.clear_id();
  request_.set_if_last_offset(0);
  EXPECT_TRUE(absl::IsInvalidArgument(Publish().status()));
}

TEST_F(StoredRequestsTest, AFailureIsReported) {
  engine_.status = absl::FailedPreconditionError("another");
  EXPECT_TRUE(absl::IsFailedPrecondition(Publish().status()));
}

class HistoryRequestTest : public ClusterRequestsTest {
 protected:
  absl::StatusOr<v1::GetHistoryResponse> Get(
      const v1::GetHistoryRequest& request) {
    absl::StatusOr<v1::GetHistoryResponse> response;
    requests_.GetHistory(
        request, [&](const absl::StatusOr<v1::GetHistoryResponse>& result) {
          response = result;
        });
    return response;
  }
};

TEST_F(HistoryRequestTest, TheResponseHasThePage) {
  HubEngine::Page page;
  auto publication = std::make_shared<v1::EnginePublication>();
  publication->mutable_payload()->set_text("hello");
  page.entries.push_back(
      {7, absl::FromUnixMillis(1500), std::move(publication)});
  page.entries.push_back({8, absl::InfinitePast(), nullptr});
  page.top.set_offset(8);
  page.is_complete = true;
  engine_.page = page;
  v1::GetHistoryRequest request;
  request.set_group("h");
  request.mutable_after()->set_epoch("epoch");
  request.mutable_after()->set_offset(6);
  request.set_limit(4000000000u);
  const absl::StatusOr<v1::GetHistoryResponse> response = Get(request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->entries_size(), 2);
  EXPECT_EQ(response->entries(0).offset(), 7u);
  EXPECT_EQ(response->entries(0).payload().text(), "hello");
  EXPECT_EQ(response->entries(0).published_at().seconds(), 1);
  EXPECT_EQ(response->entries(0).published_at().nanos(), 500000000);
  EXPECT_FALSE(response->entries(1).has_payload());
  EXPECT_FALSE(response->entries(1).has_published_at());
  EXPECT_EQ(response->top().offset(), 8u);
  EXPECT_TRUE(response->complete());
  EXPECT_THAT(engine_.read, ElementsAre(std::make_tuple("h", 6u, 1000u)));
}

TEST_F(HistoryRequestTest, AnOffsetNeedsItsEpoch) {
  v1::GetHistoryRequest request;
  request.set_group("h");
  request.mutable_after()->set_offset(6);
  EXPECT_TRUE(absl::IsInvalidArgument(Get(request).status()));
  EXPECT_TRUE(engine_.read.empty());
}

TEST_F(HistoryRequestTest, WhatTheEngineSaysIsTheAnswer) {
  engine_.page = absl::UnavailableError("away");
  EXPECT_TRUE(absl::IsUnavailable(Get({}).status()));
}

}  // namespace
}  // namespace headgate
