#include "gateway/session/tap.h"

#include "absl/strings/str_cat.h"
#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Keeps what it is offered, as lines.
class FakeSink final : public TapSink {
 public:
  explicit FakeSink(TapFilter filter) : TapSink(std::move(filter)) {}

  std::uint64_t dropped() const override { return 0; }
  void Offer(const TapEvent& event, absl::string_view payload) override {
    const char* const kinds[] = {"opened", "request", "response", "ended"};
    const bool is_wire = event.form == TapEvent::Form::kWire;
    lines.push_back(absl::StrCat(kinds[static_cast<int>(event.kind)],
                                 is_wire ? " " : " message ", payload, " of ",
                                 event.bytes));
    session = event.session;
  }

  std::vector<std::string> lines;
  std::shared_ptr<const TapSession> session;
};

class TapTest : public CallFixture {
 protected:
  std::shared_ptr<FakeSink> Tap(TapFilter filter = {}) {
    auto sink = std::make_shared<FakeSink>(std::move(filter));
    taps_->Add(sink);
    return sink;
  }
};

TEST_F(TapTest, WebSocketMessagesAreShownBothWaysAsTheyAre) {
  const auto sink = Tap();
  Start(&kProtobufDialect).TapOpened();
  Binary("question");
  backend().OnMessage("answer");
  session_->TapEnded();
  EXPECT_THAT(sink->lines, ElementsAre("opened  of 0", "request question of 8",
                                       "response answer of 6", "ended  of 0"));
  EXPECT_EQ(sink->session->id, "id");
  EXPECT_EQ(sink->session->method, "/s/m");
}

TEST_F(TapTest, WhatBeginsAfterAMessageIsSeenFromThere) {
  Start(&kRawDialect);
  Text("before");
  const auto sink = Tap();
  Text("now");
  taps_->Remove(sink.get());
  Text("after");
  EXPECT_THAT(sink->lines, ElementsAre("request now of 3"));
}

TEST_F(TapTest, SinksSeeTheSessionsThatFit) {
  route_->path = "/chat";
  const auto other_id = Tap({.id = "other"});
  const auto other_route = Tap({.route = "/news"});
  const auto other_method = Tap({.method = "/s/n"});
  const auto fitting =
      Tap({.id = "id", .route = "/chat", .method = "/s/m", .sample = 1});
  Start(&kRawDialect);
  Text("hi");
  EXPECT_THAT(other_id->lines, IsEmpty());
  EXPECT_THAT(other_route->lines, IsEmpty());
  EXPECT_THAT(other_method->lines, IsEmpty());
  EXPECT_THAT(fitting->lines, ElementsAre("request hi of 2"));
  EXPECT_EQ(fitting->session->path, "/chat");
}

TEST(TapFilterTest, ASampleIsTheSameForASessionAlways) {
  SessionRequest request;
  request.route = std::make_shared<const Route>();
  TapFilter filter;
  filter.sample = 10;
  int chosen = 0;
  for (int i = 0; i < 1000; ++i) {
    request.id = absl::StrCat("session-", i);
    const bool matches = filter.Matches(request);
    EXPECT_EQ(filter.Matches(request), matches);
    chosen += matches;
  }
  EXPECT_GT(chosen, 50);
  EXPECT_LT(chosen, 200);
}

TEST(TapPathTest, AnotherSessionCanBeOpenedWhereThisOneWas) {
  SessionRequest request;
  request.method = "/p.S/M";
  Route route;
  const auto path = [&] {
    request.route = std::make_shared<const Route>(route);
    return PathOf(request);
  };
  EXPECT_EQ(path(), "/p.S/M");
  route.prefix = "/api";
  EXPECT_EQ(path(), "/api/p.S/M");
  route.target = ServicePath{"/p.S"};
  EXPECT_EQ(path(), "/api/M");
  route.prefix.clear();
  route.path_template = "/rooms/{room}/join";
  route.target = FixedMethod{"/p.S/M"};
  EXPECT_EQ(path(), "");
  request.variables = {{"room", "5"}};
  EXPECT_EQ(path(), "/rooms/5/join");
  request.variables = {{"room", "a b/{room}?\xC3\xA9"}};
  EXPECT_EQ(path(), "/rooms/a%20b%2f%7broom%7d%3f%c3%a9/join");
  route.target = HttpRuleSet{};
  EXPECT_EQ(path(), "");
  route.path_template.clear();
  route.path = "/chat";
  EXPECT_EQ(path(), "/chat");
}

}  // namespace
}  // namespace headgate
