#include "gateway/admin/explain.h"

#include <gmock/gmock.h>

#include <boost/json/serialize.hpp>

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ExplainTest : public ::testing::Test {
 protected:
  ExplainTest() {
    settings_.listeners[0].address = "127.0.0.1:8080";
    Route room;
    room.path = "/room";
    room.target = FixedMethod{"/p.S/M"};
    room.deadline = absl::Seconds(30);
    Route told = room;
    told.path = "/told";
    told.refusals = Refusals::kClose;
    Route rules;
    rules.prefix = "/v1";
    rules.target = HttpRuleSet{};
    settings_.routes = {room, told, rules, Route{}};
    settings_.upstreams[0].deadline = absl::Seconds(10);
    policy_.is_loopback = true;
    query_.url = "ws://127.0.0.1:8080/room";
  }

  std::string Explained() {
    policy_.router = std::make_shared<const Router>(settings_.routes);
    std::vector<const HandshakePolicy*> policies(settings_.listeners.size(),
                                                 &policy_);
    const auto facts = Explain(settings_, policies, query_,
                               [&](const std::string&) { return known_; },
                               {absl::UnixEpoch(), absl::UnixEpoch()});
    return facts.ok() ? boost::json::serialize(*facts)
                      : std::string(facts.status().message());
  }

  Settings settings_;
  HandshakePolicy policy_;
  KnownSchema known_;
  ExplainQuery query_;
};

TEST_F(ExplainTest, ASessionHasItsRouteCallCodecLimitsAndTimeouts) {
  query_.headers = {{"Sec-WebSocket-Protocol", "headgate.protobuf.v1"}};
  EXPECT_THAT(Explained(),
              AllOf(HasSubstr(R"("outcome":"session")"),
                    HasSubstr(R"("address":"127.0.0.1:8080")"),
                    HasSubstr(R"("name":"/room","setting":"routes[0]")"),
                    HasSubstr(R"("method":"p.S/M")"),
                    HasSubstr(R"("name":"protobuf","chosen_by":"subprotocol )"
                              R"(headgate.protobuf.v1")"),
                    HasSubstr(R"("authorization":"none")"),
                    HasSubstr(R"("max_message_bytes":1048576)"),
                    // The shorter one of the route's and the upstream's.
                    HasSubstr(R"("call":"10s")")));
}

TEST_F(ExplainTest, ARefusalHasItsReasonStatusAndTheSettingThatDecides) {
  query_.headers = {{"Origin", "https://evil.example"}};
  EXPECT_THAT(Explained(),
              AllOf(HasSubstr(R"("outcome":"refused")"),
                    HasSubstr(R"("reason":"origin")"),
                    HasSubstr(R"("status":"PERMISSION_DENIED","code":7)"),
                    HasSubstr(R"("http_status":403,"told":"HTTP 403")"),
                    HasSubstr(R"("setting":"listeners[].allowed_origins")")));
}

TEST_F(ExplainTest, ARefusalMayBeACloseFrame) {
  query_.url = "ws://127.0.0.1:8080/told";
  query_.headers = {{"Sec-WebSocket-Protocol", "Bearer"}};
  EXPECT_THAT(Explained(),
              AllOf(HasSubstr(R"("reason":"credentials")"),
                    HasSubstr(R"("told":"accepted, then Close 4016")"),
                    HasSubstr(R"("close_code":4016)")));
}

TEST_F(ExplainTest, APathThatNoRouteIsForNamesRoutes) {
  query_.url = "http://127.0.0.1:8080/nowhere";
  EXPECT_THAT(Explained(), AllOf(HasSubstr(R"("reason":"not_found")"),
                                 HasSubstr(R"("setting":"routes")")));
}

TEST_F(ExplainTest, NoTokenAndNoValueOfAHeaderIsShown) {
  query_.headers = {{"Authorization", "Bearer s3cret"},
                    {"Grpc-Metadata-Key", "s3cret"},
                    {"Sec-WebSocket-Protocol", "Bearer, s3cret"}};
  EXPECT_THAT(Explained(),
              AllOf(HasSubstr(R"("authorization":"header Authorization")"),
                    HasSubstr(R"("key")"), Not(HasSubstr("s3cret"))));
}

TEST_F(ExplainTest, RulesThatAreNotKnownLeaveTheOutcomeOpen) {
  query_.url = "http://127.0.0.1:8080/v1/things";
  EXPECT_THAT(Explained(), AllOf(HasSubstr(R"("outcome":"unknown")"),
                                 HasSubstr("descriptors are not known")));
}

TEST_F(ExplainTest, TheGatewaysOwnServicesAreKnownWithoutDescriptors) {
  query_.url = "/headgate.v1.PacketService/Connect";
  EXPECT_THAT(Explained(), AllOf(HasSubstr(R"("kind":"bidirectional")"),
                                 HasSubstr(R"("request":"headgate.v1.Pack)")));
}

TEST_F(ExplainTest, APortChoosesTheListener) {
  settings_.listeners.push_back(settings_.listeners[0]);
  settings_.listeners[1].address = "127.0.0.1:9090";
  query_.url = "ws://localhost:9090/room";
  EXPECT_THAT(Explained(), HasSubstr(R"("address":"127.0.0.1:9090")"));
  query_.url = "ws://localhost:7070/room";
  EXPECT_EQ(Explained(),
            "no listener has the port 7070; name one of 127.0.0.1:8080, "
            "127.0.0.1:9090");
  query_.listener = "127.0.0.1:9090";
  EXPECT_THAT(Explained(), HasSubstr(R"("address":"127.0.0.1:9090")"));
}

TEST_F(ExplainTest, WhatCannotBeARequestIsAnError) {
  query_.url = "ftp://127.0.0.1/";
  EXPECT_THAT(Explained(), HasSubstr("must start with ws://"));
  query_.url = "ws://ann@127.0.0.1:8080/";
  EXPECT_THAT(Explained(), HasSubstr("neither a user"));
  query_.url = "/room";
  query_.headers = {{"X", "a\r\nY: b"}};
  EXPECT_THAT(Explained(), HasSubstr("header 'X' cannot be sent"));
}

}  // namespace
}  // namespace headgate
