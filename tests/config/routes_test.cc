#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/config/settings.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RoutesTest : public testing::Test {
 protected:
  std::string Faults() const {
    return std::string(Validate(settings_).message());
  }

  Settings settings_;
  Route& route_ = settings_.routes[0];
};

TEST_F(RoutesTest, NamesWhatIsWrongWithARoute) {
  route_.path = "chat";
  route_.target = FixedMethod{"chat.Chat.Join"};
  route_.forward_headers = {"x-team", "X-Team"};
  route_.deadline = absl::ZeroDuration();
  route_.packet.max_depth = 0;
  route_.json.json.max_depth = 1001;
  route_.packet.container_types = {kEndPacket};
  const std::string faults = Faults();
  EXPECT_THAT(faults, HasSubstr("routes[0].path: must begin with /"));
  EXPECT_THAT(faults,
              HasSubstr("routes[0].method: must be package.Service/Method, is "
                        "\"chat.Chat.Join\""));
  EXPECT_THAT(faults, HasSubstr("routes[0].forward_headers[1]: \"X-Team\""));
  EXPECT_THAT(faults, HasSubstr("routes[0].deadline: must be more than 0"));
  EXPECT_THAT(faults,
              HasSubstr("routes[0].packet.max_depth: must be at least"));
  EXPECT_THAT(Faults(), HasSubstr("routes[0].json.max_depth: must be"));
  EXPECT_THAT(faults, HasSubstr("routes[0].packet.container_types: "));
}

TEST_F(RoutesTest, APathOfItsOwnNeedsAMethod) {
  for (const char* path : {"/chat", "/chat/join/now", "/"}) {
    route_.path = path;
    EXPECT_THAT(Faults(), HasSubstr("routes[0].method: is missing")) << path;
  }
  route_.path = "/chat.Chat/Join";
  EXPECT_EQ(Faults(), "");
}

TEST_F(RoutesTest, APrefixOfMethodsNeedsNone) {
  for (const char* prefix : {"/", "/chat.v1.Chat"}) {
    route_.prefix = prefix;
    EXPECT_EQ(Faults(), "") << prefix;
  }
  route_.prefix = "/v1/chat";
  EXPECT_THAT(Faults(), HasSubstr("routes[0].method: is missing"));
  route_.target = ServicePath{"/chat.v1.Chat"};
  EXPECT_EQ(Faults(), "");
}

// A path is compared as a client sends it.
TEST_F(RoutesTest, PathsAreEncodedAndWhole) {
  route_.target = FixedMethod{"/a.B/C"};
  for (const char* path :
       {"/a b", "/a?b", "/a#b", "/\xc3\xa4", "/%", "/%4", "/%00"}) {
    route_.path = path;
    EXPECT_THAT(Faults(), HasSubstr("routes[0].path: must be a path")) << path;
  }
  for (const char* path : {"/", "/%20", "/a/", "/a:b@c;d=e"}) {
    route_.path = path;
    EXPECT_EQ(Faults(), "") << path;
  }
  route_.path = "/" + std::string(5000, 'a');
  EXPECT_THAT(Faults(), HasSubstr("routes[0].path: must be a path"));
  route_.path = "";
  route_.prefix = "/v3/";
  EXPECT_THAT(Faults(), HasSubstr("routes[0].prefix: must not end with /"));
}

TEST_F(RoutesTest, WhatIsStrippedIsAPrefixOfWhatSaysTheMethod) {
  route_.prefix = "/grpc";
  route_.strip_prefix = true;
  EXPECT_EQ(Faults(), "");
  route_.target = HttpRuleSet{};
  EXPECT_EQ(Faults(), "");
  route_.target = FixedMethod{"/a.S/M"};
  EXPECT_THAT(Faults(),
              HasSubstr("routes[0].strip_prefix: means nothing where"));
  route_.prefix.clear();
  route_.path = "/a";
  EXPECT_THAT(
      Faults(),
      HasSubstr("routes[0].strip_prefix: means nothing without prefix"));
}

TEST_F(RoutesTest, AtMostOneKindOfPath) {
  route_.target = FixedMethod{"/a.B/C"};
  route_.path = "/a";
  route_.prefix = "/b";
  route_.path_template = "/c";
  EXPECT_EQ(Faults(),
            "routes[0]: has path and prefix and template; it may have one of "
            "them");
}

// For every method's path the same method? Hardly what was meant.
TEST_F(RoutesTest, ACallNeedsAPlace) {
  route_.target = FixedMethod{"/a.B/C"};
  EXPECT_EQ(Faults(),
            "routes[0]: needs path, prefix or template; for all paths: prefix: "
            "/");
}

TEST_F(RoutesTest, TemplatesAreRead) {
  route_.target = FixedMethod{"/a.B/C"};
  route_.path_template = "/rooms/{room";
  EXPECT_THAT(Faults(), HasSubstr("routes[0].template: "));
  route_.path_template = "/rooms/{room}";
  EXPECT_EQ(Faults(), "");
}

// What stands in the path can be bound to JSON only.
TEST_F(RoutesTest, TemplatesWithVariablesAreJson) {
  route_.target = FixedMethod{"/a.B/C"};
  route_.path_template = "/rooms/{room}";
  route_.codec = &kProtobufDialect;
  EXPECT_EQ(Faults(),
            "routes[0].codec: must be json with a template with variables");
  route_.path_template = "/rooms/join";
  EXPECT_EQ(Faults(), "");
}

// Annotations have templates of their own.
TEST_F(RoutesTest, HttpRulesTakeNoTemplate) {
  route_.target = HttpRuleSet{};
  route_.path_template = "/v1/{x}";
  EXPECT_THAT(Faults(), HasSubstr("routes[0].template: cannot be with"));
}

TEST_F(RoutesTest, HostsAreNamesWithoutPorts) {
  route_.hosts = {"api.example.com", "*.example.com", "localhost", "10.0.0.1",
                  "[::1]"};
  EXPECT_EQ(Faults(), "");
  for (const char* host : {"", "*", "*.", "a.*.com", "a:80", "http://a",
                           "A.com", "a..b", ".a", "[::1", "*.[::1]", "a b"}) {
    route_.hosts = {"a", host};
    EXPECT_THAT(Faults(), HasSubstr("routes[0].hosts[1]: must be a host"))
        << host;
  }
}

// --- Codecs

TEST_F(RoutesTest, ACodecMustBeAllowed) {
  route_.codec = &kPacketDialect;
  route_.allowed_codecs = {&kJsonDialect};
  EXPECT_EQ(Faults(),
            "routes[0].codec: is packet, which is not among allowed_codecs");
  route_.allowed_codecs.clear();
  EXPECT_EQ(Faults(), "");
}

// auto guesses json for text.
TEST_F(RoutesTest, AutoNeedsWhatItGuesses) {
  route_.allowed_codecs = {&kPacketDialect};
  EXPECT_EQ(Faults(),
            "routes[0].codec: auto takes text for json, which is not among "
            "allowed_codecs\n"
            "routes[0].binary_codec: is protobuf, which is not among "
            "allowed_codecs");
  route_.allowed_codecs = {&kJsonDialect, &kRawDialect};
  route_.binary_codec = &kRawDialect;
  EXPECT_EQ(Faults(),
            "routes[0].binary_codec: cannot be raw, which is never guessed");
}

// Parameters of the path and the query can be bound to JSON only.
TEST_F(RoutesTest, HttpRulesAreJson) {
  route_.prefix = "/v1";
  route_.target = HttpRuleSet{};
  route_.codec = &kProtobufDialect;
  EXPECT_EQ(Faults(), "routes[0].codec: must be json with http_rules");
  route_.codec = &kJsonDialect;
  route_.allowed_codecs = {&kJsonDialect, &kProtobufDialect};
  EXPECT_EQ(Faults(),
            "routes[0].allowed_codecs: must be json alone with http_rules");
  route_.allowed_codecs.clear();
  route_.dialects = {"headgate", "grpc-web"};
  EXPECT_EQ(Faults(),
            "routes[0].dialects: grpc-web is not served with http_rules");
}

// --- Several calls on one socket

class MultiplexRoutesTest : public RoutesTest {
 protected:
  MultiplexRoutesTest() {
    route_.path = "/game";
    route_.target = MethodTable{.methods = {{1, "/game.Lobby/Join"}}};
  }
};

TEST_F(MultiplexRoutesTest, AreOfPacketsAlone) {
  EXPECT_EQ(Faults(), "");
  route_.codec = &kJsonDialect;
  EXPECT_EQ(Faults(), "routes[0].codec: must be packet with packet.methods");
}

TEST_F(MultiplexRoutesTest, EachTypeHasAMethod) {
  route_.packet.container_types = {100};
  route_.target = MethodTable{.methods = {{1, "/Join"},
                                          {100, "/a.B/C"},
                                          {kContainerPacket, "/a.B/C"},
                                          {kEndPacket, "/a.B/C"}}};
  EXPECT_EQ(Faults(),
            "routes[0].packet.methods[1]: must be package.Service/Method, is "
            "\"Join\"\n"
            "routes[0].packet.methods[100]: that is the type of a container\n"
            "routes[0].packet.methods[4294967294]: that is the type of a "
            "container\n"
            "routes[0].packet.methods[4294967295]: that is the type of the end "
            "packet");
}

TEST_F(MultiplexRoutesTest, HaveLimits) {
  auto& table = std::get<MethodTable>(route_.target);
  table.max_calls = 0;
  table.call_window_bytes = 0;
  EXPECT_EQ(Faults(),
            "routes[0].packet.max_calls: must be at least 1, is 0\n"
            "routes[0].packet.call_window: must be at least 1, is 0");
}

// --- Hubs

class HubRoutesTest : public RoutesTest {
 protected:
  HubRoutesTest() {
    route_.path_template = "/rooms/{room}";
    route_.target = HubTarget{};
  }
  HubTarget& hub() { return std::get<HubTarget>(route_.target); }
};

TEST_F(HubRoutesTest, TakeEveryCodecAndVariables) {
  EXPECT_EQ(Faults(), "");
  route_.codec = &kJsonDialect;
  hub().groups = {"all", "room:{room}"};
  hub().message = "game.v1.Frame";
  EXPECT_EQ(Faults(), "");
}

TEST_F(HubRoutesTest, GroupsNameVariablesOfTheTemplate) {
  hub().groups = {"", "{rom}", "{room",
                  std::string(124, 'g') + "{room}:{room}x",
                  std::string(128, 'g') + "{room}:"};
  EXPECT_EQ(Faults(),
            "routes[0].hub.groups[0]: must not be empty\n"
            "routes[0].hub.groups[1]: {rom} is not a variable of the route's "
            "template; did you mean 'room'?\n"
            "routes[0].hub.groups[2]: has a { without }\n"
            "routes[0].hub.groups[4]: must have at most 128 bytes, has 129 "
            "besides its variables");
}

TEST_F(HubRoutesTest, WhatClientsMayJoinArePatterns) {
  hub().client_join = {"room", "room:*", "*", "a*b"};
  hub().client_join_ask = {"**"};
  hub().client_publish = {""};
  EXPECT_EQ(Faults(),
            "routes[0].hub.client_join[3]: must be a name, or a prefix with * "
            "behind it, is \"a*b\"\n"
            "routes[0].hub.client_join_ask[0]: must be a name, or a prefix "
            "with * behind it, is \"**\"\n"
            "routes[0].hub.client_publish[0]: must be a name, or a prefix with "
            "* behind it, is \"\"");
}

TEST_F(HubRoutesTest, HaveLimits) {
  hub().method = "/Attach";
  hub().message = "Frame?";
  hub().max_groups = 0;
  hub().admission_timeout = absl::ZeroDuration();
  hub().events_bytes = 1;
  hub().slow.max_messages = 0;
  hub().slow.warn_bytes = hub().slow.max_bytes;
  EXPECT_EQ(Faults(),
            "routes[0].hub.method: must be package.Service/Method, is "
            "\"Attach\"\n"
            "routes[0].hub.message: must be package.Message, is \"Frame?\"\n"
            "routes[0].hub.admission_timeout: must be at least 10ms, is 0\n"
            "routes[0].hub.buffers.events: must be at least 1024, is 1\n"
            "routes[0].hub.slow.max_messages: must be at least 1, is 0\n"
            "routes[0].hub.max_groups: must be at least 1, is 0\n"
            "routes[0].hub.slow.warn_bytes: must be less than max_bytes "
            "(262144), is 262144");
}

}  // namespace
}  // namespace headgate
