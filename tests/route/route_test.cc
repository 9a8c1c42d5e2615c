#include "gateway/route/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/route/plan.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

TEST(MethodPathTest, TellsMethodPathsFromOthers) {
  EXPECT_TRUE(IsMethodPath("/package.Service/Method"));
  EXPECT_TRUE(IsMethodPath("/a.b.c_1.Service/_Method"));
  EXPECT_TRUE(IsMethodPath("/Service/Method"));  // No package.

  for (const char* path :
       {"", "/", "a.S/M", "/a.S", "/a.S/", "//M", "/a.S/M/", "/a.S/M/x",
        "/.S/M", "/a..S/M", "/a./M", "/1a.S/M", "/a.S/1M", "/a.S/M.x", "/a b/M",
        "/a.S/M\n", "/a.S/M?x", "/a-b.S/M"}) {
    EXPECT_FALSE(IsMethodPath(path)) << path;
  }
}

Route WithPath(const std::string& path, const std::string& method) {
  Route route;
  route.path = path;
  route.target = FixedMethod{method};
  return route;
}

TEST(RouterTest, AnExactPathLeadsToItsMethod) {
  const Router router({WithPath("/chat", "/a.Chat/Join")});
  const auto match = router.Find("", "/chat");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->method, "/a.Chat/Join");
  EXPECT_EQ(match->route->path, "/chat");
  EXPECT_FALSE(router.Find("", "/chat/"));
  EXPECT_FALSE(router.Find("", "/Chat"));
}

TEST(RouterTest, APrefixCanBeStripped) {
  Route rules;
  rules.prefix = "/api/v2";
  rules.strip_prefix = true;
  rules.target = HttpRuleSet{};
  Route methods;
  methods.prefix = "/grpc";
  methods.strip_prefix = true;
  const Router router({rules, methods});
  EXPECT_EQ(router.Find("", "/api/v2/books/a%2Fb")->path, "/books/a%2Fb");
  EXPECT_EQ(router.Find("", "/api/v2/")->path, "/");
  EXPECT_EQ(router.Find("", "/api/v2")->path, "/");
  EXPECT_EQ(router.Find("", "/api/v2/a:b")->path, "/a:b");
  EXPECT_EQ(router.Find("", "/grpc/a.S/M")->method, "/a.S/M");
  EXPECT_FALSE(router.Find("", "/grpc/a.S"));
  EXPECT_FALSE(router.Find("", "/a.S/M"));
  rules.strip_prefix = false;
  EXPECT_EQ(Router({rules}).Find("", "/api/v2/x")->path, "/api/v2/x");
}

TEST(RouterTest, TheFirstOfTwoEqualPathsWins) {
  const Router router({WithPath("/x", "/a.S/One"), WithPath("/x", "/a.S/Two")});
  EXPECT_EQ(router.Find("", "/x")->method, "/a.S/One");
}

TEST(RouterTest, ARouteWithoutPathServesEveryMethodPath) {
  const Router router({Route{}});
  EXPECT_EQ(router.Find("", "/a.S/M")->method, "/a.S/M");
  EXPECT_FALSE(router.Find("", "/a.S"));
  EXPECT_FALSE(router.Find("", "/"));
}

TEST(RouterTest, WithoutSuchARouteMethodPathsAreNotServed) {
  const Router router({WithPath("/x", "/a.S/M")});
  EXPECT_FALSE(router.Find("", "/a.S/M"));
}

// The gateway's own services bring their codec along.
TEST(RouterTest, ThePacketServiceIsAPacketRoute) {
  const Router router({Route{}});
  const auto match = router.Find("", "/headgate.v1.PacketService/Connect");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->plan->codec, nullptr);
  EXPECT_EQ(match->plan->binary_codec, &kPacketDialect);
  EXPECT_THAT(match->plan->allowed_codecs,
              ElementsAre(&kPacketDialect, &kJsonDialect, &kProtobufDialect));
}

TEST(RouterTest, TheMessageServiceIsARawRoute) {
  const Router router({Route{}});
  const auto match = router.Find("", "/headgate.v1.MessageService/Connect");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->plan->codec, &kRawDialect);
}

TEST(RouterTest, OtherMethodsAreNeverPacketsOrPlainMessages) {
  const Router router({Route{}});
  EXPECT_THAT(router.Find("", "/a.S/M")->plan->allowed_codecs,
              ElementsAre(&kJsonDialect, &kProtobufDialect));
}

// What a route says of its codec stays.
TEST(RouterTest, ACodecThatWasSetIsKept) {
  Route json;
  json.codec = &kJsonDialect;
  const Router router({json});
  EXPECT_EQ(router.Find("", "/headgate.v1.MessageService/Connect")->plan->codec,
            &kJsonDialect);
}

// --- prefixes and templates ---

Route WithPrefix(const std::string& prefix, const std::string& method) {
  Route route;
  route.prefix = prefix;
  route.target = FixedMethod{method};
  return route;
}

Route WithTemplate(const std::string& path_template,
                   const std::string& method) {
  Route route;
  route.path_template = path_template;
  route.target = FixedMethod{method};
  return route;
}

std::string MethodAt(const Router& router, const std::string& path,
                     const std::string& host = "") {
  const auto match = router.Find(host, path);
  return match ? match->method : "none";
}

TEST(RouterTest, APrefixIsOfWholeSegments) {
  const Router router({WithPrefix("/v3", "/a.S/M")});
  for (const char* path : {"/v3", "/v3/", "/v3/x", "/v3/x/y"}) {
    EXPECT_EQ(MethodAt(router, path), "/a.S/M") << path;
  }
  for (const char* path : {"/", "/v30", "/v3x/y", "/x/v3"}) {
    EXPECT_EQ(MethodAt(router, path), "none") << path;
  }
}

TEST(RouterTest, TheRootIsAPrefixOfEverything) {
  const Router router({WithPrefix("/", "/a.S/M")});
  for (const char* path : {"/", "/x", "/x/y", "//"}) {
    EXPECT_EQ(MethodAt(router, path), "/a.S/M") << path;
  }
  EXPECT_EQ(MethodAt(router, "x"), "none");
  EXPECT_EQ(MethodAt(router, ""), "none");
}

TEST(RouterTest, TheFirstRouteThatFitsWinsWhateverItsForm) {
  const Router router({WithPath("/a/b", "/a.S/Path"),
                       WithTemplate("/a/{x}", "/a.S/Template"),
                       WithPrefix("/a", "/a.S/Prefix"),
                       WithPath("/a/c", "/a.S/Late"), Route{}});
  EXPECT_EQ(MethodAt(router, "/a/b"), "/a.S/Path");
  EXPECT_EQ(MethodAt(router, "/a/c"), "/a.S/Template");
  EXPECT_EQ(MethodAt(router, "/a/b/c"), "/a.S/Prefix");
  EXPECT_EQ(MethodAt(router, "/b.S/M"), "/b.S/M");
}

TEST(RouterTest, VariablesAreDecoded) {
  const Router router(
      {WithTemplate("/rooms/{room.name}/{rest=**}:join", "/a.S/M")});
  const auto match = router.Find("", "/rooms/a%2Fb%20c/x%2fy/%C3%A4:join");
  ASSERT_TRUE(match);
  ASSERT_EQ(match->variables.size(), 2u);
  EXPECT_EQ(match->variables[0].field, "room.name");
  EXPECT_EQ(match->variables[0].value, "a/b c");
  EXPECT_EQ(match->variables[1].value, "x%2fy/\xC3\xA4");
}

// A path is compared segment by segment, each decoded.
TEST(RouterTest, AnEscapedSlashIsNoBorder) {
  const Router router({WithPath("/a/b", "/a.S/M")});
  EXPECT_EQ(MethodAt(router, "/%61/b"), "/a.S/M");
  EXPECT_EQ(MethodAt(router, "/a%2Fb"), "none");
}

TEST(RouterTest, BadEscapesFitNothing) {
  const Router router({WithPrefix("/", "/a.S/M")});
  for (const char* path : {"/%", "/%2", "/%zz", "/a/%0", "/%00"}) {
    EXPECT_EQ(MethodAt(router, path), "none") << path;
  }
}

TEST(RouterTest, OfAServiceTheLastSegmentIsTheMethod) {
  Route route;
  route.prefix = "/lib";
  route.target = ServicePath{"/a.Library"};
  const Router router({route});
  EXPECT_EQ(MethodAt(router, "/lib/Get"), "/a.Library/Get");
  EXPECT_EQ(MethodAt(router, "/lib/x/Get"), "/a.Library/Get");
  EXPECT_EQ(MethodAt(router, "/lib/no-name"), "none");
  EXPECT_EQ(MethodAt(router, "/lib/"), "none");
}

TEST(RouterTest, AVerbIsNoPartOfTheMethod) {
  Route route;
  route.path_template = "/lib/*:call";
  route.target = ServicePath{"/a.Library"};
  const Router router({route});
  EXPECT_EQ(MethodAt(router, "/lib/Get:call"), "/a.Library/Get");
  EXPECT_EQ(MethodAt(router, "/lib/Get"), "none");
}

// The colon is not: an escaped one is part of a name.
TEST(RouterTest, AVerbIsComparedDecoded) {
  const Router router({WithTemplate("/rooms/{room}:join", "/a.S/M")});
  EXPECT_EQ(MethodAt(router, "/rooms/a:%6Aoin"), "/a.S/M");
  EXPECT_EQ(MethodAt(router, "/rooms/a%3Ajoin"), "none");
}

TEST(RouterTest, ServicesToldByTheirPathBringTheirCodecsAlong) {
  Route route;
  route.prefix = "/packets";
  route.target = ServicePath{"/headgate.v1.PacketService"};
  const Router router({route});
  const auto match = router.Find("", "/packets/Connect");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->plan->binary_codec, &kPacketDialect);
  EXPECT_THAT(match->plan->allowed_codecs,
              ElementsAre(&kPacketDialect, &kJsonDialect, &kProtobufDialect));
}

TEST(RouterTest, ARouteThatAllowsFewerCodecsKeepsThem) {
  Route route;
  route.allowed_codecs = {&kProtobufDialect};
  const Router router({route});
  for (const char* path : {"/headgate.v1.PacketService/Connect",
                           "/headgate.v1.MessageService/Connect"}) {
    const auto match = router.Find("", path);
    ASSERT_TRUE(match) << path;
    EXPECT_EQ(match->plan->codec, nullptr) << path;
    EXPECT_EQ(match->plan->binary_codec, &kProtobufDialect) << path;
    EXPECT_THAT(match->plan->allowed_codecs, ElementsAre(&kProtobufDialect))
        << path;
  }
}

TEST(RouterTest, WithHttpRulesTheMethodIsNotKnownYet) {
  Route route;
  route.prefix = "/v1";
  route.target = HttpRuleSet{};
  const Router router({route});
  ASSERT_TRUE(router.Find("", "/v1/a"));
  EXPECT_EQ(MethodAt(router, "/v1/a"), "");
}

// --- hosts ---

TEST(RouterTest, HostsAreExactOrAnySubdomain) {
  Route exact = WithPath("/x", "/a.S/Exact");
  exact.hosts = {"api.example.com"};
  Route wild = WithPath("/x", "/a.S/Wild");
  wild.hosts = {"*.example.com", "other.test"};
  const Router router({exact, wild});
  EXPECT_EQ(MethodAt(router, "/x", "api.example.com"), "/a.S/Exact");
  EXPECT_EQ(MethodAt(router, "/x", "API.example.com:8080"), "/a.S/Exact");
  EXPECT_EQ(MethodAt(router, "/x", "a.b.example.com"), "/a.S/Wild");
  EXPECT_EQ(MethodAt(router, "/x", "other.test"), "/a.S/Wild");
  EXPECT_EQ(MethodAt(router, "/x", "example.com"), "none");
  EXPECT_EQ(MethodAt(router, "/x", "badexample.com"), "none");
  EXPECT_EQ(MethodAt(router, "/x", ""), "none");
}

TEST(RouterTest, OrderCountsAcrossHosts) {
  Route wild = WithPath("/x", "/a.S/Wild");
  wild.hosts = {"*.example.com"};
  Route exact = WithPath("/x", "/a.S/Exact");
  exact.hosts = {"api.example.com"};
  const Router router({WithPath("/y", "/a.S/Y"), wild, exact});
  EXPECT_EQ(MethodAt(router, "/x", "api.example.com"), "/a.S/Wild");
  EXPECT_EQ(MethodAt(router, "/y", "api.example.com"), "/a.S/Y");
}

// RFC 3986 section 3.2.2: a dot at the end of a name says that it is whole.
TEST(RouterTest, ADotAtAHostsEndMeansNothing) {
  Route route = WithPath("/x", "/a.S/M");
  route.hosts = {"api.example.com"};
  const Router router({route});
  EXPECT_EQ(MethodAt(router, "/x", "api.example.com."), "/a.S/M");
  EXPECT_EQ(MethodAt(router, "/x", "api.example.com.:80"), "/a.S/M");
  EXPECT_EQ(MethodAt(router, "/x", "api.example.com.."), "none");
}

TEST(RouterTest, ASubdomainHasAName) {
  Route route = WithPath("/x", "/a.S/M");
  route.hosts = {"*.example.com"};
  const Router router({route});
  EXPECT_EQ(MethodAt(router, "/x", "a.example.com"), "/a.S/M");
  EXPECT_EQ(MethodAt(router, "/x", ".example.com"), "none");
}

// RFC 1035 section 2.3.4: a name has at most 255 bytes. Looking at each end of
// whatever a client sends would take the square of its length.
TEST(RouterTest, WhatIsTooLongForAHostIsNoHost) {
  Route named = WithPath("/x", "/a.S/Named");
  named.hosts = {"*.test"};
  const Router router({named, WithPath("/x", "/a.S/Any")});
  EXPECT_EQ(MethodAt(router, "/x", std::string(250, 'a') + ".test"),
            "/a.S/Named");
  EXPECT_EQ(MethodAt(router, "/x", std::string(251, 'a') + ".test"),
            "/a.S/Any");
}

TEST(RouterTest, AnIpv6HostHasColonsOfItsOwn) {
  Route route = WithPath("/x", "/a.S/M");
  route.hosts = {"[::1]"};
  const Router router({route});
  EXPECT_EQ(MethodAt(router, "/x", "[::1]"), "/a.S/M");
  EXPECT_EQ(MethodAt(router, "/x", "[::1]:8080"), "/a.S/M");
}

}  // namespace
}  // namespace headgate
