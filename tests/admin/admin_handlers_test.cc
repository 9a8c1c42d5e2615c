#include "gateway/admin/admin_handlers.h"

#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/log.h"
#include "tests/admin/fake_gateway.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

class AdminHandlersTest : public ::testing::Test {
 protected:
  AdminResponse Ask(const std::string& method, const std::string& target) {
    request_.method = method;
    request_.target = target;
    AdminResponse answer;
    answer.status = 0;
    HandleAdmin(request_, listener_, gateway_,
                [&](AdminResponse response) { answer = std::move(response); });
    return answer;
  }

  FakeGateway gateway_;
  AdminRequest request_{.method = "",
                        .target = "",
                        .host = "localhost:9901",
                        .origin = "",
                        .sec_fetch_site = "",
                        .authorization = ""};
  AdminListener listener_{.is_loopback = true, .settings = {}};
};

TEST_F(AdminHandlersTest, HealthIsWhetherTheWorkersRun) {
  gateway_.readiness_ = {false, "draining"};
  EXPECT_EQ(Ask("GET", "/healthz").body, "ok\n");
  gateway_.health_[0].silence = absl::Seconds(2);
  EXPECT_EQ(Ask("GET", "/healthz").status, 200);
  gateway_.health_[1] = {absl::Milliseconds(7250), true};
  const AdminResponse response = Ask("GET", "/healthz");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.body,
              MatchesRegex("the event loop of worker 1 has not run since "
                           "20.*Z \\(7s\\)\n"));
}

TEST_F(AdminHandlersTest, ReadinessHasItsReason) {
  EXPECT_EQ(Ask("GET", "/readyz").status, 200);
  EXPECT_EQ(Ask("GET", "/readyz").body, "{\"ready\":true}\n");
  gateway_.readiness_ = {false, "draining"};
  EXPECT_EQ(Ask("GET", "/readyz").status, 503);
  EXPECT_EQ(Ask("GET", "/readyz").body,
            "{\"ready\":false,\"reason\":\"draining\"}\n");
}

TEST_F(AdminHandlersTest, MetricsAreText) {
  const AdminResponse response = Ask("GET", "/metrics");
  EXPECT_THAT(response.content_type, HasSubstr("version=0.0.4"));
  EXPECT_THAT(response.body, HasSubstr("headgate_sessions{route=\"/chat\"} 3"));
}

TEST_F(AdminHandlersTest, SessionsAreFilteredByTheQuery) {
  const AdminResponse response =
      Ask("GET", "/sessions?route=%2Fchat&peer=::1&limit=5");
  EXPECT_EQ(gateway_.filter_.route, "/chat");
  EXPECT_EQ(gateway_.filter_.peer, "::1");
  EXPECT_EQ(gateway_.page_.limit, 5u);
  EXPECT_THAT(response.body, HasSubstr("\"matching\":7"));
  EXPECT_THAT(response.body, HasSubstr("\"id\":\"id-1\""));
  EXPECT_THAT(response.body, HasSubstr("\"method\":\"/s/?\""));
  Ask("GET", "/sessions");
  EXPECT_EQ(gateway_.page_.limit, 100u);
  EXPECT_EQ(gateway_.page_.after, 0u);
}

TEST_F(AdminHandlersTest, APageNamesTheNext) {
  EXPECT_THAT(Ask("GET", "/sessions").body, Not(HasSubstr("next")));
  gateway_.has_more_ = true;
  EXPECT_THAT(Ask("GET", "/sessions").body, HasSubstr("\"next\":\"9\""));
  Ask("GET", "/sessions?after=9");
  EXPECT_EQ(gateway_.page_.after, 9u);
  EXPECT_EQ(Ask("GET", "/sessions?after=-1").status, 400);
}

TEST_F(AdminHandlersTest, HubsAndTheirGroups) {
  EXPECT_EQ(Ask("GET", "/hubs").body,
            R"({"hubs":[{"route":"/r/{x}","upstream":"up","method":"/s/m",)"
            R"("stream":"live","incarnation":"i-1","sessions":2,"groups":3,)"
            R"("queued_bytes":4}]})"
            "\n");
  EXPECT_EQ(Ask("GET", "/hubs/r/%7Bx%7D/groups").body,
            R"({"groups":[{"name":"a?","members":1},{"name":"b","members":2}]})"
            "\n");
  EXPECT_EQ(Ask("GET", "/hubs//r/%7Bx%7D/groups?limit=1&after=A").body,
            R"({"next":"a?","groups":[{"name":"a?","members":1}]})"
            "\n");
  EXPECT_EQ(gateway_.groups_page_.after, "A");
  EXPECT_EQ(Ask("GET", "/hubs/x/groups").status, 404);
  EXPECT_EQ(Ask("GET", "/hubs/x").status, 404);
  EXPECT_EQ(Ask("POST", "/hubs").status, 405);
  EXPECT_EQ(Ask("GET", "/hubs/r/groups?limit=x").status, 400);
  EXPECT_EQ(Ask("GET", "/hubs/r/groups?what=x").status, 400);
}

TEST_F(AdminHandlersTest, WhatAWorkerDoesNotSayIsNotMadeUp) {
  EXPECT_THAT(Ask("GET", "/sessions").body, Not(HasSubstr("complete")));
  gateway_.complete_ = false;
  EXPECT_THAT(Ask("GET", "/sessions").body, HasSubstr("\"complete\":false"));
  EXPECT_EQ(Ask("POST", "/sessions/id-2/close").status, 503);
}

// --- what a listener serves ---

TEST_F(AdminHandlersTest, AListenerServesItsPartsOnly) {
  const std::pair<AdminPart, const char*> paths[] = {
      {AdminPart::kHealth, "/healthz"},  {AdminPart::kHealth, "/readyz"},
      {AdminPart::kMetrics, "/metrics"}, {AdminPart::kRoutes, "/routes"},
      {AdminPart::kTap, "/tap"},         {AdminPart::kSessions, "/sessions"},
      {AdminPart::kSessions, "/hubs"},   {AdminPart::kLogLevel, "/log_level"}};
  for (const AdminPart served : kAllAdminParts) {
    listener_.settings.serve = {served};
    const std::string index = Ask("GET", "/").body;
    for (const auto& [part, path] : paths) {
      EXPECT_EQ(Ask("GET", path).status, part == served ? 200 : 404) << path;
      EXPECT_EQ(absl::StrContains(index, path), part == served) << path;
    }
  }
  listener_.settings.serve = {AdminPart::kHealth, AdminPart::kMetrics};
  EXPECT_EQ(Ask("POST", "/sessions/id-1/close").status, 404);
  EXPECT_EQ(Ask("POST", "/log_level?level=debug").status, 404);
  EXPECT_THAT(gateway_.closed_, IsEmpty());
}

TEST_F(AdminHandlersTest, ATapShowsValuesOnlyWhereThatIsAllowed) {
  listener_.settings.serve = {AdminPart::kTap};
  EXPECT_EQ(Ask("GET", "/tap?payload=shown").status, 403);
  EXPECT_EQ(Ask("GET", "/tap?payload=raw").status, 403);
  listener_.settings.serve.insert(AdminPart::kTapPayloads);
  const AdminResponse response = Ask(
      "GET", "/tap?payload=raw&route=/chat&method=p.S/M&id=x&sample=3&rate=7");
  ASSERT_TRUE(response.tap.has_value());
  EXPECT_EQ(response.tap->content, TapContent::kRaw);
  EXPECT_EQ(response.tap->filter.route, "/chat");
  EXPECT_EQ(response.tap->filter.method, "/p.S/M");
  EXPECT_EQ(response.tap->filter.id, "x");
  EXPECT_EQ(response.tap->filter.sample, 3u);
  EXPECT_EQ(response.tap->limits.max_per_second, 7);
}

TEST_F(AdminHandlersTest, ATapOfSomethingElseIsABadRequest) {
  listener_.settings.serve = {AdminPart::kTap};
  for (const char* query : {"sample=0", "sample=x", "rate=0", "rate=10001",
                            "payload=all", "peer=1"}) {
    EXPECT_EQ(Ask("GET", absl::StrCat("/tap?", query)).status, 400) << query;
  }
}

class AdminTokenTest : public AdminHandlersTest {
 protected:
  AdminTokenTest() {
    listener_.settings.token_file = path_;
    WriteFile("s3cret\n");
  }
  ~AdminTokenTest() override { unlink(path_.c_str()); }
  void WriteFile(const std::string& text) { std::ofstream(path_) << text; }

  const std::string path_ =
      absl::StrCat(::testing::TempDir(), "headgate-token-", getpid());
};

TEST_F(AdminTokenTest, AllButHealthAndMetricsNeedsIt) {
  EXPECT_EQ(Ask("GET", "/healthz").status, 200);
  EXPECT_EQ(Ask("GET", "/readyz").status, 200);
  EXPECT_EQ(Ask("GET", "/metrics").status, 200);
  for (const char* path : {"/sessions", "/routes", "/log_level"}) {
    const AdminResponse response = Ask("GET", path);
    EXPECT_EQ(response.status, 401) << path;
    EXPECT_THAT(response.headers,
                ElementsAre(Pair("WWW-Authenticate", "Bearer")));
  }
  EXPECT_EQ(Ask("POST", "/sessions/id-1/close").status, 401);
  EXPECT_THAT(gateway_.closed_, IsEmpty());
  request_.authorization = "Bearer s3cret";
  EXPECT_EQ(Ask("POST", "/sessions/id-1/close").status, 200);
  EXPECT_EQ(Ask("GET", "/sessions").status, 200);
}

TEST_F(AdminTokenTest, OnlyTheTokenItselfWillDo) {
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets",
        "Bearer S3CRET", "s3cret", "Basic s3cret", "Bearer s3cret x"}) {
    request_.authorization = wrong;
    EXPECT_EQ(Ask("GET", "/sessions").status, 401) << wrong;
  }
  request_.authorization = "bearer  s3cret";
  EXPECT_EQ(Ask("GET", "/sessions").status, 200);
}

TEST_F(AdminTokenTest, ANewTokenHoldsAtOnce) {
  WriteFile("other");
  request_.authorization = "Bearer s3cret";
  EXPECT_EQ(Ask("GET", "/sessions").status, 401);
  request_.authorization = "Bearer other";
  EXPECT_EQ(Ask("GET", "/sessions").status, 200);
}

// Nothing is open because the file is gone.
TEST_F(AdminTokenTest, WithoutAReadableTokenNobodyIsLetIn) {
  WriteFile(" \n");
  for (const char* given : {"", "Bearer ", "Bearer s3cret"}) {
    request_.authorization = given;
    EXPECT_EQ(Ask("GET", "/sessions").status, 503) << given;
  }
  unlink(path_.c_str());
  EXPECT_EQ(Ask("GET", "/sessions").status, 503);
  EXPECT_EQ(Ask("GET", "/healthz").status, 200);
}

TEST_F(AdminHandlersTest, QueriesThatMakeNoSenseAreTold) {
  for (const char* target :
       {"/sessions?colour=red", "/sessions?limit=x", "/sessions?limit=-1",
        "/sessions?limit=10001", "/sessions?=x"}) {
    EXPECT_EQ(Ask("GET", target).status, 400) << target;
  }
  EXPECT_THAT(Ask("GET", "/sessions?colour=red").body,
              HasSubstr("there is no parameter colour"));
}

TEST_F(AdminHandlersTest, ASessionIsClosedByItsId) {
  EXPECT_EQ(Ask("POST", "/sessions/id-1/close").status, 200);
  EXPECT_EQ(Ask("POST", "/sessions/id-2/close").status, 404);
  EXPECT_THAT(gateway_.closed_, ElementsAre("id-1", "id-2"));
  EXPECT_EQ(Ask("GET", "/sessions/id-1/close").status, 405);
  EXPECT_EQ(gateway_.closed_.size(), 2u);
}

TEST_F(AdminHandlersTest, RoutesAreListedAsTheyAreInUse) {
  Route route;
  route.path = "/chat";
  route.target = FixedMethod{"/chat.v1.Chat/Join"};
  route.hosts = {"a.example"};
  route.codec = &kJsonDialect;
  route.max_sessions = 5;
  route.idle_timeout = absl::Minutes(5);
  gateway_.settings_.routes = {route};
  const std::string body = Ask("GET", "/routes").body;
  for (const char* part :
       {R"("name":"a.example/chat")", R"("path":"/chat")",
        R"("method":"/chat.v1.Chat/Join")", R"("codec":"json")",
        R"("max_sessions":5,)", R"("idle_timeout":"5m")"}) {
    EXPECT_THAT(body, HasSubstr(part));
  }
}

// "5E0" is a number for a parser only.
TEST_F(AdminHandlersTest, LimitsAreNumbersAsPeopleWriteThem) {
  Route route;
  route.max_sessions = 100;
  route.messages.per_second = 20;
  route.bytes.per_second = 0.5;
  gateway_.settings_.routes = {route};
  const std::string body = Ask("GET", "/routes").body;
  EXPECT_THAT(body, HasSubstr(R"("max_sessions":100,)"));
  EXPECT_THAT(body, HasSubstr(R"("messages_per_second":20,)"));
  EXPECT_THAT(body, HasSubstr(R"("bytes_per_second":5E-1)"));
  EXPECT_THAT(body, Not(HasSubstr("idle_timeout"))) << "there is none";
}

// The gateway asks its workers, which takes a moment.
TEST_F(AdminHandlersTest, AnswersWaitForTheGateway) {
  gateway_.answers_at_once_ = false;
  for (const char* target : {"/metrics", "/sessions"}) {
    gateway_.answers_.clear();
    std::vector<int> answers;
    request_.method = "GET";
    request_.target = target;
    HandleAdmin(request_, listener_, gateway_,
                [&](const AdminResponse& response) {
                  answers.push_back(response.status);
                });
    EXPECT_THAT(answers, IsEmpty()) << target;
    ASSERT_THAT(gateway_.answers_, SizeIs(1)) << target;
    gateway_.answers_[0]();
    EXPECT_THAT(answers, ElementsAre(200)) << target;
  }
}

TEST_F(AdminHandlersTest, TheLogLevelIsChanged) {
  EXPECT_EQ(Ask("POST", "/log_level?level=warning").body,
            "{\"level\":\"warning\"}\n");
  EXPECT_EQ(GetLogLevel(), LogLevel::kWarning);
  EXPECT_EQ(Ask("GET", "/log_level").body, "{\"level\":\"warning\"}\n");
  for (const char* target : {"/log_level", "/log_level?level=loud",
                             "/log_level?level=info&level=debug"}) {
    EXPECT_EQ(Ask("POST", target).status, 400) << target;
  }
  EXPECT_EQ(GetLogLevel(), LogLevel::kWarning);
  SetLogLevel(LogLevel::kInfo);
}

TEST_F(AdminHandlersTest, WhatIsNotThereIsTold) {
  EXPECT_EQ(Ask("GET", "/none").status, 404);
  EXPECT_EQ(Ask("GET", "/sessions/").status, 404);
  EXPECT_EQ(Ask("GET", "no path").status, 400);
  EXPECT_EQ(Ask("GET", "http://[").status, 400);
  const AdminResponse response = Ask("DELETE", "/metrics");
  EXPECT_EQ(response.status, 405);
  EXPECT_THAT(response.headers, ElementsAre(Pair("Allow", "GET, HEAD")));
}

// A script of a page that an administrator looks at may send requests here, but
// under its own origin.
TEST_F(AdminHandlersTest, PagesOfElsewhereAreRefused) {
  request_.origin = "https://evil.example";
  EXPECT_EQ(Ask("GET", "/sessions").status, 403);
  request_.origin = "http://localhost:9901";
  EXPECT_EQ(Ask("GET", "/sessions").status, 200);
  request_.sec_fetch_site = "same-site";
  EXPECT_EQ(Ask("GET", "/sessions").status, 403);
  request_.sec_fetch_site = "same-origin";
  EXPECT_EQ(Ask("GET", "/sessions").status, 200);
}

// A name that an attacker's server first has resolved to itself and then to
// this machine is of the same origin for the browser.
TEST_F(AdminHandlersTest, OnLoopbackTheHostIsThisMachine) {
  for (const char* host : {"evil.example", "evil.example:9901",
                           "localhost.evil.example", "1.2.3.4.evil.example"}) {
    request_.host = host;
    EXPECT_EQ(Ask("GET", "/healthz").status, 403) << host;
  }
  for (const char* host : {"", "localhost", "LOCALHOST:1", "127.0.0.1:9901",
                           "[::1]:9901", "[::1]", "10.0.0.1"}) {
    request_.host = host;
    EXPECT_EQ(Ask("GET", "/healthz").status, 200) << host;
  }
  request_.host = "headgate.monitoring.svc:9901";
  listener_.is_loopback = false;
  EXPECT_EQ(Ask("GET", "/healthz").status, 200);
}

}  // namespace
}  // namespace headgate
