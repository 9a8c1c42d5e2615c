#include "gateway/config/http_rules_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

// A line for each binding, or what is wrong.
std::vector<std::string> Lines(const std::string& text) {
  const auto rules = ParseHttpRules(text, "f");
  if (!rules.ok()) return {std::string(rules.status().message())};
  std::vector<std::string> lines;
  for (const SelectedHttpRule& rule : *rules) {
    for (const HttpRule& binding : rule.bindings) {
      lines.push_back(absl::StrCat(rule.selector, ": ", binding.verb, " ",
                                   binding.path_template, " ", binding.body,
                                   " ", binding.response_body));
    }
  }
  return lines;
}

TEST(HttpRulesFileTest, OfAServiceConfigurationTheHttpRulesCount) {
  EXPECT_THAT(
      Lines(R"(
type: google.api.Service
config_version: 3
name: library.example.com
apis: [{name: a.B}]
http:
  fully_decode_reserved_expansion: true
  rules:
    - selector: a.B.Get
      get: "/v1/{name=shelves/*}"
      additional_bindings:
        - {get: "/v1/all/{name}", response_body: book}
        - post: /v1/get
          body: "*"
    - selector: a.B.Brew
      custom: {kind: BREW, path: /v1/brew}
    - {selector: a.C.*, delete: "/v1/${x}"}
backend: {rules: [{selector: "*", address: "grpcs://x"}]}
)"),
      ElementsAre("a.B.Get: GET /v1/{name=shelves/*}  ",
                  "a.B.Get: GET /v1/all/{name}  book",
                  "a.B.Get: POST /v1/get * ", "a.B.Brew: BREW /v1/brew  ",
                  "a.C.*: DELETE /v1/${x}  "));
}

TEST(HttpRulesFileTest, KeysMayBeThoseOfJson) {
  EXPECT_THAT(Lines(R"({"http": {"rules": [{"selector": "a.B.C", "get": "/a",
              "responseBody": "x", "additionalBindings": [{"put": "/b"}]}]}})"),
              ElementsAre("a.B.C: GET /a  x", "a.B.C: PUT /b  "));
}

TEST(HttpRulesFileTest, FaultsHaveAPlace) {
  const struct {
    const char* text;
    const char* fault;
  } kFaults[] = {
      {"a: b\n", "f:1:1: http: is missing"},
      {"http:\n", "f:2:1: http: must be a mapping"},
      {"- http\n", "f:1:1: http: is missing"},
      {"http: {rules: [}", "f:1:16: "},
      {"http:\n  rules:\n  - selector: a\n    gett: /a\n",
       "f:4:5: http.rules[0].gett: there is no such key; did you mean 'get'?"},
      {"http:\n  rules:\n  - get: /a\n",
       "f:3:5: http.rules[0]: selector is missing"},
      {"http: {rules: [{selector: a.B.C}]}",
       "f:1:16: http.rules[0]: has none of get, put,"},
      {"http: {rules: [{selector: 'a.*.C', get: /a}]}",
       "f:1:16: http.rules[0]: selector: * may only be its last word"},
      {"http: {rules: [{selector: 'a.B*', get: /a}]}",
       "f:1:16: http.rules[0]: selector: * may only be its last word"},
      {"http: {rules: [{selector: a.B, get: /a, get: /b}]}",
       "f:1:41: http.rules[0].get: is here twice"},
      {"", "f"},
  };
  for (const auto& one : kFaults) {
    EXPECT_THAT(Lines(one.text), ElementsAre(StartsWith(one.fault)))
        << one.text;
  }
  EXPECT_THAT(
      std::string(ReadHttpRulesFile("/nowhere/a.yaml").status().message()),
      StartsWith("/nowhere/a.yaml "));
}

TEST(HttpRuleOverridesTest, TheLastRuleThatNamesAMethodCounts) {
  HttpRuleOverrides rules;
  const auto add = [&rules](const std::string& selector,
                            const std::string& path) {
    rules.Add({selector, {{"GET", path, "", ""}}});
  };
  const auto path_of = [&rules](absl::string_view method) {
    const auto* const found = rules.Find(method);
    return found == nullptr ? "-" : found->at(0).path_template;
  };
  EXPECT_TRUE(rules.empty());
  EXPECT_EQ(path_of("a.B.C"), "-");
  add("a.B.C", "/1");
  EXPECT_EQ(path_of("a.B.C"), "/1");
  EXPECT_EQ(path_of("a.B.CD"), "-");
  add("a.B.*", "/2");
  EXPECT_EQ(path_of("a.B.C"), "/2");
  EXPECT_EQ(path_of("a.B.D"), "/2");
  EXPECT_EQ(path_of("a.BB.D"), "-");
  add("a.B.C", "/3");
  EXPECT_EQ(path_of("a.B.C"), "/3");
  EXPECT_EQ(path_of("a.B.D"), "/2");
  add("z.*", "/4");
  EXPECT_THAT(rules.Unmatched({"a.B.D", "b.C.D"}), ElementsAre("a.B.C", "z.*"));
  add("*", "/5");
  EXPECT_EQ(path_of("a.B.C"), "/5");
  EXPECT_EQ(path_of("x.Y.Z"), "/5");
  EXPECT_THAT(rules.Unmatched({}), ElementsAre("*", "a.B.*", "a.B.C", "z.*"));
}

}  // namespace
}  // namespace headgate
