#include "gateway/admin/admin_handlers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/base/log.h"
#include "tests/admin/fake_gateway.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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
    HandleAdmin(request_, is_loopback_, gateway_,
                [&](AdminResponse response) { answer = std::move(response); });
    return answer;
  }

  FakeGateway gateway_;
  AdminRequest request_{.method = "",
                        .target = "",
                        .host = "localhost:9901",
                        .origin = "",
                        .sec_fetch_site = ""};
  bool is_loopback_ = true;
};

TEST_F(AdminHandlersTest, HealthIsWhetherItAnswers) {
  gateway_.readiness_ = {false, "draining"};
  EXPECT_EQ(Ask("GET", "/healthz").body, "ok\n");
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
  EXPECT_EQ(gateway_.limit_, 5u);
  EXPECT_THAT(response.body, HasSubstr("\"matching\":7"));
  EXPECT_THAT(response.body, HasSubstr("\"id\":\"id-1\""));
  EXPECT_THAT(response.body, HasSubstr("\"method\":\"/s/?\""));
  Ask("GET", "/sessions");
  EXPECT_EQ(gateway_.limit_, 100u);
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
  route.method = "/chat.v1.Chat/Join";
  route.hosts = {"a.example"};
  route.codec = CodecKind::kJson;
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
    HandleAdmin(request_, is_loopback_, gateway_,
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
  is_loopback_ = false;
  EXPECT_EQ(Ask("GET", "/healthz").status, 200);
}

}  // namespace
}  // namespace headgate
