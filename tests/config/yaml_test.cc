// How a YAML text becomes the message: keys, types, places of faults, and what
// a hostile text may not do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// --- Keys

TEST(YamlTest, AKeyThatThereIsNotIsAFaultWithItsPlace) {
  EXPECT_EQ(FaultsOf("threads: 1\nlimits:\n  max_session: 3\n"),
            "f:3:3: limits.max_session: there is no such key; did you mean "
            "'max_sessions'?");
  EXPECT_EQ(FaultsOf("zebra: 1"), "f:1:1: zebra: there is no such key");
}

TEST(YamlTest, AKeyThatComesTwiceIsAFault) {
  EXPECT_EQ(FaultsOf("threads: 1\nthreads: 2\n"),
            "f:2:1: threads: is here twice");
  EXPECT_EQ(FaultsOf("routes: [{path: /g, packet: {methods: {1: a.B/C, "
                     "0x1: a.B/D}}}]"),
            "f:1:50: routes[0].packet.methods[1]: is here twice");
}

TEST(YamlTest, KeysAreWords) {
  EXPECT_THAT(FaultsOf("[a]: 1"), HasSubstr("a key must be a word, is a list"));
  EXPECT_THAT(FaultsOf("{a: 1}: 1"), HasSubstr("a key must be a word"));
  EXPECT_THAT(FaultsOf("routes: [{path: /g, packet: {methods: {x: a.B/C}}}]"),
              HasSubstr("routes[0].packet.methods: a key must be a number from "
                        "0 to 4294967295, is \"x\""));
}

// --- Types

TEST(YamlTest, WrongTypesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"listeners: 127.0.0.1:80",
       "f:1:12: listeners: must be a list, is \"127.0.0.1:80\""},
      {"listeners: {address: ':1'}",
       "f:1:12: listeners: must be a list, is a mapping"},
      {"listeners: [a]",
       "f:1:13: listeners[0]: must be a mapping of keys to values, is \"a\""},
      {"limits: []",
       "f:1:9: limits: must be a mapping of keys to values, is a list"},
      {"threads: many",
       "f:1:10: threads: must be a number from 0 to 4294967295, is \"many\""},
      {"threads: -1",
       "f:1:10: threads: must be a number from 0 to 4294967295, is \"-1\""},
      {"threads: 1.5",
       "f:1:10: threads: must be a number from 0 to 4294967295, is \"1.5\""},
      {"threads: '1'",
       "f:1:10: threads: must be a number from 0 to 4294967295, is the text "
       "\"1\""},
      {"threads: [1]", "f:1:10: threads: must be one value, is a list"},
      {"log_level: loud",
       "f:1:12: log_level: must be debug|info|warning|error, is \"loud\""},
      {"log_level: unspecified",
       "f:1:12: log_level: must be debug|info|warning|error, is "
       "\"unspecified\""},
      {"log_level: warnin",
       "f:1:12: log_level: must be debug|info|warning|error, is \"warnin\"; "
       "did you mean 'warning'?"},
      {"routes: [{http_rules: yes, prefix: /}]",
       "f:1:23: routes[0].http_rules: must be true or false, is \"yes\""},
      {"routes: [{path: [/a]}]",
       "f:1:17: routes[0].path: must be one value, is a list"},
  };
  for (const auto& [text, fault] : cases) EXPECT_EQ(FaultsOf(text), fault);
}

// Whether `tls:` is there means something: whoever wrote it down wanted TLS.
TEST(YamlTest, AnEmptyValueIsAFault) {
  EXPECT_EQ(FaultsOf("upstreams: [{tls: }]"),
            "f:1:19: upstreams[0].tls: is empty; leave the key out, or write "
            "{} for its defaults");
  EXPECT_EQ(FaultsOf("threads: ~"),
            "f:1:10: threads: is empty; give it a value, or leave the key out");
  EXPECT_THAT(FaultsOf("routes:"),
              HasSubstr("routes: must be a list, is empty"));
}

TEST(YamlTest, ChoicesAreLowerCaseWithDashes) {
  const auto settings = Parse(
      "upstreams: [{load_balancing: pick-first}]\n"
      "routes: [{packet: {order: type-who-length}, json: {error_shape: "
      "grpc-gateway-v1}}]");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->upstreams[0].load_balancing,
            UpstreamSettings::LoadBalancing::kPickFirst);
  EXPECT_EQ(settings->routes[0].packet.order,
            PacketOptions::Order::kTypeWhoLength);
  EXPECT_EQ(settings->routes[0].json.error_shape,
            JsonCodecOptions::ErrorShape::kGrpcGatewayV1);
  EXPECT_THAT(FaultsOf("upstreams: [{load_balancing: PICK_FIRST}]"),
              HasSubstr("must be round-robin|pick-first"));
}

TEST(YamlTest, NumbersMayBeHexadecimal) {
  const auto settings =
      Parse("routes: [{packet: {container_types: [100, 0xFF, 0]}}]");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->routes[0].packet.container_types,
              testing::ElementsAre(100, 255, 0));
}

TEST(YamlTest, TextsAreOneLine) {
  EXPECT_THAT(FaultsOf("upstreams: [{target: \"a\\nb\"}]"),
              HasSubstr("upstreams[0].target: must be one line"));
  EXPECT_THAT(FaultsOf("upstreams: [{target: \"a\\0b\"}]"),
              HasSubstr("upstreams[0].target: must be one line"));
}

// --- Places

TEST(YamlTest, AllFaultsComeAtOnceInTheirOrder) {
  EXPECT_EQ(FaultsOf("routes:\n"
                     "  - path: chat\n"
                     "    method: x\n"
                     "    deadlin: 1s\n"
                     "threads: x\n"
                     "limits: {max_answer_bytes: 1KB}\n"),
            "f:2:11: routes[0].path: must begin with /, is \"chat\"\n"
            "f:3:13: routes[0].method: must be package.Service/Method, is "
            "\"x\"\n"
            "f:4:5: routes[0].deadlin: there is no such key; did you mean "
            "'deadline'?\n"
            "f:5:10: threads: must be a number from 0 to 4294967295, is "
            "\"x\"\n"
            "f:6:28: limits.max_answer_bytes: must be a size such as 512, "
            "64KiB or 1MiB, is \"1KB\"");
}

// What is wrong only because something else is would hide it.
TEST(YamlTest, ConsequencesAreNotTold) {
  EXPECT_THAT(FaultsOf("upstreams: [{nme: chat}]\nroutes: [{upstream: chat}]"),
              Not(HasSubstr("no upstream")));
  EXPECT_THAT(FaultsOf("routes: [{pth: /a}, {path: /a.B/C}]"),
              Not(HasSubstr("never reached")));
}

// An element with a fault does not shift the places of the others.
TEST(YamlTest, IndicesAreThoseOfTheFile) {
  EXPECT_EQ(FaultsOf("listeners:\n"
                     "  - allowed_origins:\n"
                     "      - [a]\n"
                     "      - b\n"),
            "f:3:9: listeners[0].allowed_origins[0]: must be one value, is a "
            "list\n"
            "f:4:9: listeners[0].allowed_origins[1]: must be an origin such as "
            "https://example.com, https://*.example.com, http://localhost:* or "
            "*, is \"b\"");
}

// A fault of something that the file does not mention is told where it would
// stand.
TEST(YamlTest, WhatIsMissingIsToldAtItsPlace) {
  EXPECT_EQ(FaultsOf("threads: 1\nroutes:\n  - path: /a\n"),
            "f:3:5: routes[0].method: is missing, and the path is not "
            "/package.Service/Method");
}

TEST(YamlTest, MapEntriesHaveTheirOwnPlaces) {
  EXPECT_EQ(FaultsOf("routes:\n"
                     "  - path: /g\n"
                     "    packet:\n"
                     "      methods:\n"
                     "        1: game.Lobby/Join\n"
                     "        0x2: game\n"),
            "f:6:14: routes[0].packet.methods[2]: must be "
            "package.Service/Method, is \"game\"");
}

// --- Variables

TEST(YamlTest, VariablesComeBeforeTypes) {
  const auto settings = Parse(
      "upstreams:\n"
      "  - target: dns:///${TARGET}\n"
      "    max_streams_per_channel: ${STREAMS}\n"
      "    descriptors: {reflection: \"${OFF}\"}\n"
      "routes: [{codec: \"${CODEC}\"}]\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->upstreams[0].target, "dns:///chat:1");
  EXPECT_EQ(settings->upstreams[0].max_streams_per_channel, 7);
  EXPECT_FALSE(settings->upstreams[0].descriptors.reflection);
  EXPECT_EQ(settings->routes[0].codec, &kJsonDialect);
}

TEST(YamlTest, AVariableThatIsNotSetIsAFault) {
  EXPECT_EQ(FaultsOf("upstreams: [{target: \"${NONE}\"}]"),
            "f:1:22: upstreams[0].target: the environment variable NONE is not "
            "set");
  EXPECT_EQ(FaultsOf("upstreams: [{target: \"${NONE:-chat:1}\"}]"), "");
}

// One value stays one value.
TEST(YamlTest, AVariableMakesNoStructure) {
  EXPECT_THAT(FaultsOf("listeners: [{trusted_proxies: \"${LIST}\"}]"),
              HasSubstr("trusted_proxies: must be a list"));
  EXPECT_THAT(FaultsOf("upstreams: [{name: \"${TWO_LINES}\"}]"),
              HasSubstr("upstreams[0].name: must be one line"));
  EXPECT_THAT(FaultsOf("upstreams: [{name: \"${NOT_UTF8}\"}]"),
              HasSubstr("upstreams[0].name: must be UTF-8"));
}

TEST(YamlTest, NoFaultShowsWhatAVariableHolds) {
  for (const char* text :
       {"threads: ${SECRET}", "log_level: ${SECRET}",
        "limits: {max_answer_bytes: \"${SECRET}\"}",
        "timeouts: {send: \"${SECRET}\"}",
        "listeners: [{address: \"${SECRET}\"}]",
        "listeners: [{allowed_origins: [\"${SECRET}\"]}]",
        "listeners: [{trusted_proxies: [\"x${SECRET}\"]}]",
        "upstreams: [{target: \"${SECRET}\"}]",
        "upstreams: [{descriptors: {files: [\"/${SECRET}\"]}}]",
        "upstreams: [{tls: {ca: \"/${SECRET}\"}}]",
        "routes: [{upstream: \"${SECRET}\"}]",
        "routes: [{path: \"${METHOD}\"}]",
        "routes: [{path: /a, method: \"${METHOD}\"}]",
        "routes: [{path: /a, service: \"${SECRET}/\"}]",
        "routes: [{path: /a, packet: {methods: {1: \"${SECRET}\"}}}]",
        "routes: [{hosts: [\"${SECRET}:1\"]}]",
        "routes: [{forward_headers: [\"${SECRET} \"]}]"}) {
    const std::string faults = FaultsOf(text);
    EXPECT_NE(faults, "") << text;
    EXPECT_THAT(faults, Not(HasSubstr("hunter2"))) << text;
  }
  EXPECT_EQ(
      FaultsOf("upstreams: [{target: \"${SECRET}\"}]"),
      "f:1:22: upstreams[0].target: must be host:port or a gRPC name such "
      "as dns:///host:port or unix:/path, is \"${SECRET}\"");
}

// --- Texts that are no configuration

TEST(YamlTest, WhatIsNoYamlIsToldWithItsPlace) {
  EXPECT_THAT(FaultsOf("threads: [1\n"), StartsWith("f:2:1: is not YAML: "));
  EXPECT_THAT(FaultsOf("a: b: c"), StartsWith("f:1:5: is not YAML: "));
  EXPECT_THAT(FaultsOf("\tthreads: 1"), HasSubstr("is not YAML"));
  EXPECT_THAT(FaultsOf("threads: *unknown"), HasSubstr("is not YAML"));
  EXPECT_EQ(FaultsOf("threads: 1\nlog_level: \xff\n"), "f:2:12: is not UTF-8");
}

// Such a file is one that somebody is still writing.
TEST(YamlTest, AnEmptyFileIsAFault) {
  for (const char* text : {"", "\n\n", "# all of it\n", "~", "---\n"}) {
    EXPECT_EQ(FaultsOf(text), "f: there is nothing in it") << text;
  }
  EXPECT_EQ(FaultsOf("text"),
            "f:1:1: must be a mapping of keys to values, is \"text\"");
  EXPECT_EQ(FaultsOf("[]"),
            "f:1:1: must be a mapping of keys to values, is a list");
}

TEST(YamlTest, ASecondDocumentIsAFault) {
  EXPECT_THAT(FaultsOf("threads: 1\n---\nthreads: 2\n"),
              EndsWith("a second document begins here; there must be one"));
}

// --- Hostile texts

// yaml-cpp sees an empty document before each of these, and again, and again.
TEST(YamlTest, AStrayMarkIsNoEndlessRowOfDocuments) {
  for (const char* text : {",", ",list", "]", "}", "- a\n,", "a: 1\n]"}) {
    EXPECT_NE(FaultsOf(text), "") << text;
  }
}

TEST(YamlTest, AnchorsAndAliasesWork) {
  const auto settings = Parse(
      "routes:\n"
      "  - {path: /a, method: a.B/C, json: &json {envelope: result}}\n"
      "  - {path: /b, method: a.B/D, json: *json}\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->routes[1].json.envelope,
            JsonCodecOptions::Envelope::kResult);
}

// "Billion laughs": a few lines that mean 10^9 elements.
TEST(YamlTest, ABombOfAliasesIsRefused) {
  std::string bomb = "routes:\n- &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char name = 'b'; name <= 'i'; ++name) {
    absl::StrAppend(&bomb, "- &", std::string(1, name), " [");
    for (int i = 0; i < 10; ++i) {
      absl::StrAppend(&bomb, "*", std::string(1, name - 1), ",");
    }
    bomb += "]\n";
  }
  EXPECT_THAT(FaultsOf(bomb), HasSubstr("must be a mapping"));

  // Where it is what the schema asks for, a list of one list's elements.
  std::string wide = "listeners:\n  - &l {allowed_origins: &o [";
  for (int i = 0; i < 2000; ++i) wide += "a,";
  wide += "]}\n";
  for (int i = 0; i < 2000; ++i) wide += "  - *l\n";
  EXPECT_THAT(FaultsOf(wide), HasSubstr("its aliases and variables make too "
                                        "much of it to be read"));
}

TEST(YamlTest, ALongTextTimesManyIsRefused) {
  std::string text = "listeners:\n  - allowed_origins:\n    - &o '" +
                     std::string(500 * 1000, 'a') + "'\n";
  for (int i = 0; i < 1000; ++i) text += "    - *o\n";
  EXPECT_THAT(FaultsOf(text), HasSubstr("make too much of it"));
}

TEST(YamlTest, DeepNestingIsRefused) {
  for (const char* open : {"[", "{a: ", "- ", "? "}) {
    std::string text;
    for (int i = 0; i < 20000; ++i) text += open;
    EXPECT_THAT(FaultsOf(text), EndsWith(": nests too deep")) << open;
    EXPECT_NE(FaultsOf("threads: " + text), "") << open;
  }
}

TEST(YamlTest, AFileOverAMebibyteIsRefused) {
  EXPECT_EQ(FaultsOf(std::string(1024 * 1024 + 1, '#')),
            "f: is longer than 1024KiB");
}

// A key or value may be of any length; a fault is not.
TEST(YamlTest, FaultsAreShort) {
  const std::string huge(100000, 'x');
  EXPECT_LT(FaultsOf(huge + ": 1").size(), 500u);
  EXPECT_LT(FaultsOf("threads: " + huge).size(), 500u);
  EXPECT_LT(FaultsOf("log_level: " + huge).size(), 500u);
}

// Nothing that is read writes a line of its own.
TEST(YamlTest, FaultsAreOneLineEach) {
  EXPECT_EQ(FaultsOf("\"a\\nb\\u001b[0m\": 1"),
            "f:1:1: a\\nb\\033[0m: there is no such key");
}

}  // namespace
}  // namespace headgate
