#include "gateway/config/substitution.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/config/suggestion.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<std::string> Substituted(absl::string_view text) {
  static const auto& variables =
      *new std::map<std::string, std::string>{{"HOST", "chat"},
                                              {"_P1", "50051"},
                                              {"EMPTY", ""},
                                              {"SLY", "${HOST}"},
                                              {"SECRET", "hunter2"}};
  return Substitute(text,
                    [](const std::string& name) -> std::optional<std::string> {
                      const auto it = variables.find(name);
                      if (it == variables.end()) return std::nullopt;
                      return it->second;
                    });
}

TEST(SubstitutionTest, PutsVariablesIn) {
  EXPECT_EQ(*Substituted("dns:///${HOST}:${_P1}"), "dns:///chat:50051");
  EXPECT_EQ(*Substituted("${EMPTY}"), "");
  EXPECT_EQ(*Substituted(""), "");
}

TEST(SubstitutionTest, ADefaultIsForUnsetAndEmptyVariables) {
  EXPECT_EQ(*Substituted("${NONE:-a:-b}${EMPTY:-c}${HOST:-d}"), "a:-bcchat");
  EXPECT_EQ(*Substituted("${NONE:-}"), "");
}

TEST(SubstitutionTest, OtherDollarsStay) {
  EXPECT_EQ(*Substituted("$HOST $$ 5$ }"), "$HOST $$ 5$ }");
  EXPECT_EQ(*Substituted("$${HOST} $$${HOST}"), "${HOST} $${HOST}");
}

// Otherwise who sets one variable could read another one.
TEST(SubstitutionTest, AValueIsNotLookedInto) {
  EXPECT_EQ(*Substituted("${SLY}"), "${HOST}");
}

TEST(SubstitutionTest, RefusesWhatHasNoValue) {
  EXPECT_EQ(Substituted("${NONE}").status().message(),
            "the environment variable NONE is not set");
  EXPECT_THAT(Substituted("a ${HOST").status().ToString(),
              HasSubstr("has no } after it"));
  for (const char* text :
       {"${}", "${1A}", "${A B}", "${A-b}", "${:-x}", "${A.B}"}) {
    EXPECT_THAT(Substituted(text).status().ToString(),
                HasSubstr("must stand the name"))
        << text;
  }
  EXPECT_THAT(Substituted("${NONE:-${HOST}}").status().ToString(),
              HasSubstr("cannot be a variable itself"));
}

TEST(SubstitutionTest, ErrorsHoldNoValue) {
  EXPECT_THAT(Substituted("${SECRET}${NONE}").status().ToString(),
              Not(HasSubstr("hunter2")));
}

// --- Suggestions

TEST(SuggestionTest, NamesTheClosest) {
  const std::vector<std::string> names = {"path", "prefix", "upstream",
                                          "hosts"};
  EXPECT_EQ(DidYouMean("upsteam", names), "; did you mean 'upstream'?");
  EXPECT_EQ(DidYouMean("ptah", names), "; did you mean 'path'?");
  EXPECT_EQ(DidYouMean("host", names), "; did you mean 'hosts'?");
  EXPECT_EQ(DidYouMean("perfix", names), "; did you mean 'prefix'?");
}

TEST(SuggestionTest, IsSilentWhenNothingIsClose) {
  EXPECT_EQ(DidYouMean("deadline", {"path", "prefix"}), "");
  EXPECT_EQ(DidYouMean("", {"a"}), "");
  EXPECT_EQ(DidYouMean("x", {"a"}), "");
  EXPECT_EQ(DidYouMean(std::string(100000, 'a'), {std::string(99999, 'a')}),
            "");
}

// What somebody may have meant would be what the variable holds.
TEST(SubstitutionTest, NoFaultSuggestsWhatAVariableHolds) {
  const std::string faults = FaultsOf(
      "upstreams: [{name: \"${SECRET}\", target: x:1}]\n"
      "routes: [{path: /a, upstream: hunter3, method: a.B/C}]\n");
  EXPECT_NE(faults, "");
  EXPECT_EQ(faults.find("hunter2"), std::string::npos) << faults;
}

}  // namespace
}  // namespace headgate
