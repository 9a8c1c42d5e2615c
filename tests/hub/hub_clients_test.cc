#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/text_format.h>

#include "absl/strings/str_cat.h"
#include "tests/hub/hub_fixture.h"
#include "tests/hub/quiet_engine.h"

namespace headgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// Of a client that knows of groups.
std::unique_ptr<HubArrival> ArrivalOfHubClient() {
  auto arrival = std::make_unique<HubArrival>();
  arrival->session = "s1";
  arrival->codec = HubCodec::kHubJson;
  return arrival;
}

HubRequest RequestOf(const std::string& text) {
  HubRequest request;
  request.frame = std::make_unique<v1::HubClientFrame>();
  EXPECT_TRUE(
      google::protobuf::TextFormat::ParseFromString(text, request.frame.get()));
  request.bytes = 100;
  return request;
}

// Says nothing of what it was given to publish until the test does.
class SlowEngine final : public QuietEngine {
 public:
  void Publish(const v1::EnginePublication&, PublishedCallback done) override {
    published.push_back(std::move(done));
  }
  absl::Status Publish(const v1::EnginePublication&) override {
    return absl::OkStatus();
  }
  bool HasHistory(absl::string_view group) const override {
    return group == "stored";
  }
  void Store(const v1::EnginePublication&, const StoreOptions&,
             StoredCallback done) override {
    stored.push_back(std::move(done));
  }

  std::vector<PublishedCallback> published;
  std::vector<StoredCallback> stored;
};

TEST_F(HubTest, APublicationThatWaitsForTheEngineTakesRoomOfItsSessionAlone) {
  SlowEngine engine;
  engine_ = &engine;
  target_.client_publish = {"*"};
  Make();
  Report(1, ArrivalOfHubClient());
  Report(1, RequestOf("publish { group: 'a' payload { text: '1' } }"));
  Report(1, RequestOf("publish { group: 'stored' payload { text: '1' } }"));
  EXPECT_EQ(shared_credited_, 2 * (100 + kHubEventCost));
  EXPECT_EQ(credited_, 0u);
  ASSERT_EQ(engine.published.size(), 1u);
  ASSERT_EQ(engine.stored.size(), 1u);
  engine.published[0](absl::OkStatus());
  engine.stored[0](absl::UnavailableError("away"));
  Turn();
  EXPECT_EQ(shared_credited_, 2 * (100 + kHubEventCost));
  EXPECT_EQ(credited_, 2 * (100 + kHubEventCost));
  hub_.reset();  // It has called the engine.
}

TEST_F(HubTest, ClientsJoinPublishAndLeaveWhereTheyMay) {
  target_.client_join = {"a*"};
  target_.client_publish = {"a"};
  Make();
  Report(1, ArrivalOfHubClient());
  Report(1, RequestOf("id: 1 join { group: 'a' }"));
  Report(1, RequestOf("id: 2 publish { group: 'a' payload { text: '0' } }"));
  Report(1, RequestOf("id: 3 publish { group: 'ab' payload { text: '0' } }"));
  Report(1, RequestOf("id: 4 leave: 'a'"));
  Report(1, RequestOf("join { group: 'b' }"));
  EXPECT_THAT(
      told_,
      ElementsAre(R"(w0 deliver 1 {"id":1,"joined":{"group":"a"}})",
                  R"(w0 deliver 1 {"delivery":{"payload":0,"group":"a"}})",
                  R"(w0 deliver 1 {"id":2,"ok":true})",
                  StartsWith(R"(w0 deliver 1 {"id":3,"error":{"code":7,)"),
                  R"(w0 deliver 1 {"id":4,"left":"a"})"));
  EXPECT_EQ(credited_, 5 * (100 + kHubEventCost));
  EXPECT_EQ(hub_->counts().published_by_clients, 1u);
}

TEST_F(HubTest, TheBackendDecidesOnGroupsThatClientsAskFor) {
  target_.client_join_ask = {"*"};
  target_.admission_timeout = absl::Seconds(5);
  Make();
  Report(1, ArrivalOfHubClient());
  WriteAll();
  for (const char* group : {"a", "b", "c", "d"}) {
    Report(1, RequestOf(absl::StrCat("id: ", group[0] - 'a' + 1,
                                     " join { group: '", group, "' }")));
  }
  WriteAll();
  EXPECT_THAT(Events(), Contains("3:asks for a, request 1"));
  EXPECT_THAT(told_, IsEmpty());
  // However long the backend thinks, nobody has less room for events.
  EXPECT_EQ(credited_, 4 * (100 + kHubEventCost));
  Command("commands { join { whos: 1 request: 1 } }");
  Command(
      "commands { refuse { who: 1 request: 2 "
      "status { code: 5 message: 'no' } } }");
  Command("commands { join { whos: 1 request: 3 groups: ['x', 'c'] } }");
  EXPECT_THAT(told_,
              ElementsAre(R"(w0 deliver 1 {"id":1,"joined":{"group":"a"}})",
                          R"(w0 deliver 1 {"id":2,"error":{"code":5,)"
                          R"("message":"no"}})",
                          R"(w0 deliver 1 {"id":3,"joined":{"group":"c"}})"));
  EXPECT_EQ(hub_->roster().records().at(1)->groups.size(), 3u);
  // Who is in one need not ask.
  Report(1, RequestOf("id: 5 join { group: 'a' }"));
  EXPECT_THAT(told_.back(), HasSubstr(R"("id":5,"joined")"));
  // What fits no request changes nothing.
  const std::pair<const char*, const char*> kFaults[] = {
      {"id: 1 join { whos: 1 request: 1 }", "failed 1 5"},
      {"id: 2 refuse { who: 1 request: 9 }", "failed 2 5"},
      {"id: 3 refuse { who: 2 request: 4 }", "failed 3 3"},
      {"id: 4 join { whos: [1, 2] request: 4 }", "failed 4 3"},
      {"id: 5 join { whos: 1 request: 4 groups: 'x' }", "failed 5 3"},
      {"id: 7 join { whos: 1 request: 4 groups: ['d', ''] }", "failed 7 3"}};
  for (const auto& [command, failure] : kFaults) {
    Command(absl::StrCat("commands { ", command, " }"));
    WriteAll();
    EXPECT_EQ(Events().back(), failure) << command;
  }
  Pass(absl::Seconds(5));
  EXPECT_THAT(told_.back(), HasSubstr(R"({"id":4,"error":{"code":14,)"));
  Command("commands { id: 6 join { whos: 1 request: 4 } }");
  WriteAll();
  EXPECT_EQ(Events().back(), "failed 6 5");
  EXPECT_FALSE(hub_->roster().IsMember(*hub_->roster().records().at(1), "d"));
}

TEST_F(HubTest, FewRequestsOfASessionWaitAndNoneOfOneThatHasLeft) {
  target_.client_join_ask = {"*"};
  Make();
  Report(1, ArrivalOfHubClient());
  WriteAll();
  const int most = static_cast<int>(GroupRequests::kMostOfSession);
  for (int i = 1; i <= most; ++i) {
    Report(1, RequestOf(absl::StrCat("join { group: 'g", i, "' }")));
  }
  EXPECT_THAT(told_, IsEmpty());
  Report(1, RequestOf("id: 1 join { group: 'x' }"));
  EXPECT_THAT(told_.back(), HasSubstr(R"({"id":1,"error":{"code":8,)"));
  Command("commands { refuse { who: 1 request: 3 } }");
  Report(1, RequestOf("id: 2 join { group: 'y' }"));
  EXPECT_THAT(told_.back(), HasSubstr(R"("id":1,)"));
  Leave(1);
  Command(
      absl::StrCat("commands { id: 4 refuse { who: 1 request: ", most, " } }"));
  WriteAll();
  EXPECT_EQ(Events().back(), "failed 4 5");
  // Not because its session is unknown.
  v1::FromGateway last;
  ASSERT_TRUE(last.ParseFromString(call().written().back()));
  EXPECT_THAT(last.events().rbegin()->failed().status().message(),
              HasSubstr("no request 16 waits"));
}

TEST_F(HubTest, TokensAreHandedOnToTheBackend) {
  Make();
  Report(1, ArrivalOfHubClient());
  WriteAll();
  Report(1, RequestOf("id: 1 token: 'new'"));
  Report(1, RequestOf("id: 2 token: ''"));
  Report(1, RequestOf(R"(id: 3 token: 'a\nb')"));
  // The credit comes back with the stream's.
  EXPECT_EQ(credited_, 2 * (100 + kHubEventCost));
  EXPECT_THAT(told_, ElementsAre(R"(w0 deliver 1 {"id":1,"ok":true})",
                                 HasSubstr(R"("id":2,"error":{"code":3,)"),
                                 HasSubstr(R"("id":3,"error":{"code":3,)")));
  WriteAll();
  EXPECT_EQ(credited_, 3 * (100 + kHubEventCost));
  EXPECT_THAT(Events(), Contains("3:token Bearer new"));
}

// What the session says and does behind a request waits with it, and so does
// its credit.
TEST_F(HubTest, RequestsWaitWhileTheWorkersAreBehind) {
  target_.client_publish = {"*"};
  target_.groups = {"a"};
  Make();
  Report(1, ArrivalOfHubClient());
  WriteAll();
  takes_ = false;
  const std::string long_text(Hub::kWorkerCost, '1');
  Report(1, RequestOf("publish { group: 'a' payload { text: '" + long_text +
                      "' } }"));
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(credited_, 100 + kHubEventCost);
  Report(1, RequestOf("publish { group: 'a' payload { text: '2' } }"));
  SayMessage(1);
  Leave(1);
  EXPECT_EQ(told_.size(), 1u);
  EXPECT_EQ(credited_, 100 + kHubEventCost);
  EXPECT_EQ(Events().size(), 2u);
  EXPECT_FALSE(hub_->is_idle());
  HubEvents done;
  done.cost_done = held_;
  hub_->OnEvents(0, std::move(done));
  Turn();
  WriteAll();
  EXPECT_EQ(told_.size(), 2u);
  EXPECT_THAT(Events(), ElementsAre(StartsWith("1:hello"), "2:joined 1",
                                    "3:event 1", "4:left 1"));
}

}  // namespace
}  // namespace headgate
