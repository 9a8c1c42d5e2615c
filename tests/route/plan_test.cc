#include "gateway/route/plan.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using MethodFrom = RoutePlan::MethodFrom;

Route Calling(Target target, const std::string& path_template = "") {
  Route route;
  route.path_template = path_template;
  route.target = std::move(target);
  return route;
}

TEST(RoutePlanTest, ATargetSaysWhereTheMethodComesFrom) {
  EXPECT_EQ(PlanRoute(Route()).method_from, MethodFrom::kPath);
  EXPECT_EQ(PlanRoute(Calling(ServicePath{"/a.S"})).method_from,
            MethodFrom::kPath);
  EXPECT_EQ(PlanRoute(Calling(FixedMethod{"/a.S/M"})).method_from,
            MethodFrom::kRoute);
  EXPECT_EQ(PlanRoute(Calling(HttpRuleSet{})).method_from,
            MethodFrom::kHttpRules);
  EXPECT_EQ(PlanRoute(Calling(MethodTable{})).method_from,
            MethodFrom::kPacketType);
}

TEST(RoutePlanTest, OnlyHttpRulesServePlainHttp) {
  EXPECT_TRUE(PlanRoute(Calling(HttpRuleSet{})).serves_http);
  EXPECT_FALSE(PlanRoute(Calling(FixedMethod{"/a.S/M"})).serves_http);
}

TEST(RoutePlanTest, AMethodOfOnesOwnIsJsonOrProtobufByTheFirstMessage) {
  const RoutePlan plan = PlanRoute(Calling(FixedMethod{"/a.S/M"}));
  EXPECT_EQ(plan.codec, nullptr);
  EXPECT_EQ(plan.binary_codec, &kProtobufDialect);
  EXPECT_THAT(plan.allowed_codecs,
              ElementsAre(&kJsonDialect, &kProtobufDialect));
  EXPECT_EQ(plan.only_because, "");
}

TEST(RoutePlanTest, VariablesAreBoundToJson) {
  Route route = Calling(FixedMethod{"/a.S/M"}, "/rooms/{room}/join");
  route.codec = &kProtobufDialect;
  const RoutePlan plan = PlanRoute(route);
  EXPECT_TRUE(plan.binds_variables);
  EXPECT_EQ(plan.only_because, "a template with variables");
  EXPECT_EQ(plan.codec, &kJsonDialect);
  EXPECT_THAT(plan.allowed_codecs, ElementsAre(&kJsonDialect));
}

// Such a template is a path, and has nothing that only JSON could take.
TEST(RoutePlanTest, ATemplateWithoutVariablesTakesAnyCodec) {
  Route route = Calling(FixedMethod{"/a.S/M"}, "/rooms/join");
  route.codec = &kProtobufDialect;
  const RoutePlan plan = PlanRoute(route);
  EXPECT_FALSE(plan.binds_variables);
  EXPECT_EQ(plan.only_because, "");
  EXPECT_EQ(plan.codec, &kProtobufDialect);
}

// A packet chooses among several methods, so there is no first message.
TEST(RoutePlanTest, ATableOfMethodsTakesPacketsAndBindsNothing) {
  const RoutePlan plan = PlanRoute(
      Calling(MethodTable{.methods = {{1, "/a.S/M"}, {2, "/a.S/Long"}}},
              "/games/{game}"));
  EXPECT_FALSE(plan.binds_variables);
  EXPECT_EQ(plan.only_because, "packet.methods");
  EXPECT_EQ(plan.codec, &kPacketDialect);
  EXPECT_EQ(plan.binary_codec, &kPacketDialect);
  EXPECT_EQ(plan.longest_method_bytes, absl::string_view("/a.S/Long").size());
}

TEST(RoutePlanTest, TheGatewaysOwnServicesBringTheirCodecs) {
  RoutePlan plan = PlanRoute(Calling(FixedMethod{std::string(kPacketMethod)}));
  EXPECT_EQ(plan.codec, nullptr);
  EXPECT_EQ(plan.binary_codec, &kPacketDialect);
  EXPECT_THAT(plan.allowed_codecs,
              ElementsAre(&kPacketDialect, &kJsonDialect, &kProtobufDialect));
  plan = PlanRoute(Route(), kMessageMethod);
  EXPECT_EQ(plan.codec, &kRawDialect);
  EXPECT_THAT(plan.allowed_codecs,
              ElementsAre(&kRawDialect, &kJsonDialect, &kProtobufDialect));
}

TEST(RoutePlanTest, ACodecThatTheRouteNamesIsAllowed) {
  Route route = Calling(FixedMethod{"/a.S/M"});
  route.codec = &kPacketDialect;
  EXPECT_THAT(PlanRoute(route).allowed_codecs,
              ElementsAre(&kPacketDialect, &kJsonDialect, &kProtobufDialect));
  route.allowed_codecs = {&kJsonDialect};  // A fault of the configuration.
  EXPECT_THAT(PlanRoute(route).allowed_codecs, ElementsAre(&kJsonDialect));
}

TEST(RoutePlanTest, WhatARouteAllowsIsNotWidenedByARequest) {
  Route route;
  route.allowed_codecs = {&kProtobufDialect};
  for (const absl::string_view method : {kPacketMethod, kMessageMethod}) {
    const RoutePlan plan = PlanRoute(route, method);
    EXPECT_EQ(plan.codec, nullptr);
    EXPECT_EQ(plan.binary_codec, &kProtobufDialect);
    EXPECT_THAT(plan.allowed_codecs, ElementsAre(&kProtobufDialect));
  }
}

std::vector<absl::string_view> NamesOf(const RoutePlan& plan) {
  std::vector<absl::string_view> names;
  for (const Dialect* dialect : plan.http_dialects) {
    if (names.empty() || names.back() != dialect->name) {
      names.push_back(dialect->name);
    }
  }
  return names;
}

TEST(RoutePlanTest, RoutesThatLeadToMethodsServeEveryDialect) {
  for (const Target& target :
       {Target(PathMethod{}), Target(ServicePath{"/a.S"}),
        Target(FixedMethod{"/a.S/M"})}) {
    EXPECT_THAT(NamesOf(PlanRoute(Calling(target))),
                testing::IsSupersetOf({"grpc-web", "connect"}));
  }
  for (const Target& target : {Target(HttpRuleSet{}), Target(MethodTable{})}) {
    EXPECT_THAT(NamesOf(PlanRoute(Calling(target))), testing::IsEmpty());
  }
}

TEST(RoutePlanTest, OnlyHubsServeTheFramesOfHubs) {
  Route hub = Calling(HubTarget{});
  EXPECT_TRUE(PlanRoute(hub).MaySpeak(&kHubJsonDialect));
  EXPECT_TRUE(PlanRoute(hub).MaySpeak(&kHubProtobufDialect));
  hub.allowed_codecs = {&kRawDialect, &kJsonDialect};
  EXPECT_TRUE(PlanRoute(hub).MaySpeak(&kHubJsonDialect));
  EXPECT_FALSE(PlanRoute(hub).MaySpeak(&kHubProtobufDialect));
  const Route call = Calling(FixedMethod{"/a.S/M"});
  EXPECT_FALSE(PlanRoute(call).MaySpeak(&kHubJsonDialect));
}

TEST(RoutePlanTest, ARouteMayNarrowItsDialects) {
  Route route = Calling(PathMethod{});
  route.dialects = {"connect"};
  EXPECT_THAT(NamesOf(PlanRoute(route)), ElementsAre("connect"));
  EXPECT_FALSE(PlanRoute(route).serves_own_codecs);
  route.dialects = {"headgate"};
  EXPECT_THAT(NamesOf(PlanRoute(route)), testing::IsEmpty());
  EXPECT_TRUE(PlanRoute(route).serves_own_codecs);
}

}  // namespace
}  // namespace headgate
