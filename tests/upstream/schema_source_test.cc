#include "gateway/upstream/schema_source.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/upstream/schema_source_fixture.h"

namespace headgate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class SchemaSourceTest : public SchemaSourceFixture {};

// --- descriptor sets alone ---

TEST_F(SchemaSourceTest, FilesAreKnownAtOnceAndNobodyIsAsked) {
  Write("a.pb", Set({ServiceFile("A")}));
  Write("b.pb", Set({ServiceFile("B"), ServiceFile("C")}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_THAT(fetched_, ElementsAre("OK"));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_EQ(Ask("/C/M"), "known");
  EXPECT_EQ(upstream_.call_count(), 0u);
}

// The client sees the name of the set, the log its path.
TEST_F(SchemaSourceTest, UnknownMethodNamesItselfAndTheFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Write("b.pb", Set({ServiceFile("B")}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_EQ(Ask("/A/X"),
            "UNIMPLEMENTED: unknown method A/X: the upstream's descriptors "
            "come from a.pb, b.pb");
  now_ += absl::Hours(1);
  EXPECT_THAT(Ask("/A/X"), StartsWith("UNIMPLEMENTED"));
}

TEST_F(SchemaSourceTest, WhatIsBuiltInNeedsNoFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(Ask("/headgate.v1.PacketService/Connect"), "known");
}

TEST_F(SchemaSourceTest, NoSourceAtAllKnowsWhatIsBuiltIn) {
  Make(false, {});
  EXPECT_EQ(Ask("/headgate.v1.PacketService/Connect"), "known");
  EXPECT_THAT(Ask("/A/M"), StartsWith("UNIMPLEMENTED: "));
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("UNIMPLEMENTED: the upstream has "
                                           "neither"));
}

TEST_F(SchemaSourceTest, FirstOfTwoFilesOfOneNameCounts) {
  Write("a.pb", Set({ServiceFile("A", {"New"})}));
  Write("b.pb", Set({ServiceFile("A", {"Old"})}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_EQ(Ask("/A/New"), "known");
  EXPECT_THAT(Ask("/A/Old"), StartsWith("UNIMPLEMENTED"));
}

TEST_F(SchemaSourceTest, SetWithoutImportsIsToldInTheWarnings) {
  auto file = ServiceFile("A");
  file.add_dependency("lost.proto");
  file.mutable_service(0)->mutable_method(0)->set_input_type(".Lost");
  Write("a.pb", Set({file, ServiceFile("B")}));
  Make(false, {"a.pb"});
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("nothing defines .Lost"),
                                     HasSubstr("protoc --include_imports")));
  EXPECT_EQ(Ask("/B/M"), "known");
}

TEST_F(SchemaSourceTest, ChangedFileIsReadAgainAfterASecond) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(Ask("/A/M"), "known");
  Write("a.pb", Set({ServiceFile("B")}));
  now_ += absl::Milliseconds(999);
  EXPECT_THAT(Ask("/B/M"), StartsWith("UNIMPLEMENTED"));
  now_ += absl::Milliseconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_THAT(Ask("/A/M"), StartsWith("UNIMPLEMENTED"));
  EXPECT_THAT(fetched_, ElementsAre("OK", "OK"));
}

// Written in place: neither the inode nor, within a tick of the clock, the time
// need be others, but the length is.
TEST_F(SchemaSourceTest, FileWrittenInPlaceIsReadAgain) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  std::ofstream(folder_.Path("a.pb"), std::ios::binary)
      << Set({ServiceFile("Longer")});
  EXPECT_EQ(Ask("/Longer/M"), "known");
}

// Sessions keep the schema that they began with.
TEST_F(SchemaSourceTest, SchemaInUseOutlivesTheChange) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  const auto held =
      std::get<ResolvedMethod>(source_->Resolve("/A/M", now_, nullptr));
  Write("a.pb", Set({ServiceFile("B")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_EQ(held.schema->FindMethod("/A/M"), held.method);
}

TEST_F(SchemaSourceTest, UnusableFileKeepsTheOldDescriptorsAndWarnsOnce) {
  const std::string good = Set({ServiceFile("A")});
  Write("a.pb", good);
  Make(false, {"a.pb"});
  fetched_.clear();
  const std::string kBad[] = {"", "no descriptors",
                              good.substr(0, good.size() / 2),
                              Set({FileDescriptorProto()})};
  for (const std::string& bad : kBad) {
    Write("a.pb", bad);
    for (int i = 0; i < 3; ++i) {
      now_ += absl::Seconds(1);
      EXPECT_EQ(Ask("/A/M"), "known");
    }
    EXPECT_THAT(fetched_, ElementsAre("OK"));
    EXPECT_THAT(warnings_,
                ElementsAre(AllOf(StartsWith(folder_.Path("a.pb")),
                                  HasSubstr("is no descriptor set"))));
    fetched_.clear();
  }
  folder_.Remove("a.pb");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("cannot be read")));
  // Those that it still has are good to say no.
  EXPECT_THAT(Ask("/B/M"), StartsWith("UNIMPLEMENTED"));

  Write("a.pb", Set({ServiceFile("B")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_THAT(warnings_, IsEmpty());
}

// A guess at the kind of a call would do harm where a file would tell.
TEST_F(SchemaSourceTest, FileThatWasNeverReadMakesMethodsUnavailable) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_THAT(fetched_, ElementsAre("OK"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr(folder_.Path("b.pb"))));
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(Ask("/B/M"),
              AllOf(StartsWith("UNAVAILABLE"), HasSubstr("descriptor sets")));
  Write("b.pb", Set({ServiceFile("B")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
}

TEST_F(SchemaSourceTest, NoFileReadableIsUnavailable) {
  Make(false, {"a.pb"});
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE")));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("a.pb cannot be read")));
  EXPECT_THAT(Ask("/A/M"), StartsWith("UNAVAILABLE"));
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("UNAVAILABLE"));
}

// --- with reflection ---

TEST_F(SchemaSourceTest, MethodOfAFileDoesNotWaitForReflection) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  EXPECT_EQ(upstream_.call_count(), 0u);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(upstream_.call_count(), 1u);  // In the background.
  auto ticket = Resolve("/B/M");
  ASSERT_NE(ticket, nullptr);
  Serve({ServiceFile("B")});
  EXPECT_EQ(answers_.back(), "/B/M: known");
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(upstream_.call_count(), 1u);
}

TEST_F(SchemaSourceTest, FilesComeBeforeReflection) {
  Write("a.pb", Set({ServiceFile("A", {"Mine"})}));
  Make(true, {"a.pb"});
  EXPECT_EQ(Ask("/A/Mine"), "known");
  Serve({ServiceFile("A", {"Theirs"})});
  EXPECT_EQ(Ask("/A/Mine"), "known");
  EXPECT_EQ(Ask("/A/Theirs"),
            "UNIMPLEMENTED: unknown method A/Theirs: the upstream's "
            "descriptors come from a.pb and its server reflection");
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(SchemaSourceTest, FailedReflectionLeavesTheFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  auto ticket = Resolve("/B/M");
  Fail(absl::UnavailableError("gone"));
  EXPECT_EQ(answers_.back(), "/B/M: UNAVAILABLE: server reflection: gone");
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE")));
  EXPECT_EQ(Ask("/A/M"), "known");
}

TEST_F(SchemaSourceTest, ServerWithoutReflectionLeavesTheFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  auto ticket = Resolve("/B/M");
  Fail(absl::UnimplementedError(""));
  Fail(absl::UnimplementedError(""));
  EXPECT_EQ(answers_.back(),
            "/B/M: UNIMPLEMENTED: unknown method B/M: the upstream's "
            "descriptors come from a.pb");
  EXPECT_EQ(Ask("/A/M"), "known");
}

TEST_F(SchemaSourceTest, ChangedFileKeepsWhatReflectionTold) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  Ask("/A/M");
  Serve({ServiceFile("B")});
  Write("a.pb", Set({ServiceFile("C")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/C/M"), "known");
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_THAT(fetched_, ElementsAre("OK", "OK"));
}

// What the last fetch came to is told again, so that a file says nothing about
// the server.
TEST_F(SchemaSourceTest, ChangedFileDoesNotMakeAServerReachable) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  EXPECT_THAT(fetched_, IsEmpty());
  Ask("/A/M");
  Fail(absl::UnavailableError("gone"));
  Write("a.pb", "x");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE"),
                                    StartsWith("UNAVAILABLE")));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("is no descriptor set")));
}

// A warning that went and came with each failure would fill the log.
TEST_F(SchemaSourceTest, FailedRefreshKeepsTheWarnings) {
  Make(true, {});
  auto ticket = Resolve("/A/M");
  auto file = ServiceFile("A");
  file.mutable_service(0)->mutable_method(0)->set_input_type(".Lost");
  Serve({file});
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("Lost")));
  now_ += absl::Minutes(1);
  auto again = Resolve("/A/M");
  Fail(absl::UnavailableError("gone"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("Lost")));
}

TEST_F(SchemaSourceTest, BackgroundRefreshLooksAtTheFilesToo) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  Ask("/A/M");
  Write("a.pb", Set({ServiceFile("C")}));
  Serve({ServiceFile("B")});
  EXPECT_EQ(Ask("/C/M"), "known");  // Within the same second.
}

// --- all that is known ---

TEST_F(SchemaSourceTest, RulesOfFilesAreFoundAtOnce) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_THAT(AskRule("/v1/b"), StartsWith("NOT_FOUND"));
}

TEST_F(SchemaSourceTest, RulesAreMadeOncePerSchema) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  const SchemaSnapshot first = last_;
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(last_.http_rules, first.http_rules);
  Write("a.pb", Set({RuleFile("A", "/v2/a")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v2/a"), "/A/M");
  EXPECT_EQ(RuleAt(first, "/v1/a"), "/A/M");
}

// Who never asks for rules hears nothing of bad ones; afterwards they are part
// of each report, so that they do not come and go.
TEST_F(SchemaSourceTest, BadRulesAreToldOnceTheyAreAskedFor) {
  Write("a.pb", Set({RuleFile("A", "no slash"), RuleFile("B", "/v1/b")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(AskRule("/v1/b"), "/B/M");
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(fetched_.size(), 2u);
  EXPECT_EQ(AskRule("/v1/b"), "/B/M");
  EXPECT_EQ(fetched_.size(), 2u);
  Write("a.pb", Set({RuleFile("A", "still none"), RuleFile("B", "/v1/b")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(SchemaSourceTest, RulesOfServiceConfigurationsReplaceAnnotations) {
  Write("a.pb", Set({RuleFile("A", "/v1/a"), RuleFile("B", "/v1/b")}));
  Write("one.yaml", "http: {rules: [{selector: A.M, get: /v2/a}]}");
  Write("two.yaml", "http: {rules: [{selector: none.S.M, get: /v2/c}]}");
  options_.http_rules_files = {folder_.Path("one.yaml"),
                               folder_.Path("two.yaml")};
  Make(false, {"a.pb"});
  EXPECT_EQ(AskRule("/v2/a"), "/A/M");
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("NOT_FOUND"));
  EXPECT_EQ(AskRule("/v1/b"), "/B/M");
  EXPECT_THAT(warnings_, ElementsAre("http_rules_files: the selector none.S.M "
                                     "names no method"));
  Write("one.yaml", "http: {rules: [{selector: A.M, get: /v3/a}]}");
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v3/a"), "/A/M");
  // One that cannot be used leaves what it said.
  Write("one.yaml", "http: {rules: [{get: /v3/a}]}");
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v3/a"), "/A/M");
  EXPECT_THAT(warnings_, ::testing::Contains(HasSubstr("selector is missing")));
}

// Reflection may know the method; nothing is known before it has answered.
TEST_F(SchemaSourceTest, RulesOfServiceConfigurationsAreForReflectionToo) {
  Write("one.yaml",
        "http: {rules: [{selector: B.M, get: /v1/b},"
        "{selector: C.M, get: /v1/c}]}");
  options_.http_rules_files = {folder_.Path("one.yaml")};
  Make(true, {});
  EXPECT_THAT(warnings_, IsEmpty());
  auto ticket = Get("/v1/b");
  Serve({ServiceFile("B")});
  EXPECT_THAT(answers_, ElementsAre("/B/M"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("C.M names no method")));
  Write("one.yaml", "http: {rules: [{selector: B.M, get: /v2/b}]}");
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v2/b"), "/B/M");
}

// The first answer of the server may have the rule: without it "there is none"
// would be wrong.
TEST_F(SchemaSourceTest, GetWaitsForTheFirstFetch) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(true, {"a.pb"});
  auto first = Get("/v1/b");
  auto second = Get("/v1/a");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(upstream_.call_count(), 1u);
  Serve({RuleFile("B", "/v1/b")});
  EXPECT_THAT(answers_, ElementsAre("/B/M", "/A/M"));
}

TEST_F(SchemaSourceTest, GetHasTheFilesWhenReflectionFails) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(true, {"a.pb"});
  auto ticket = Get("/v1/a");
  Fail(absl::UnavailableError("gone"));
  EXPECT_THAT(answers_, ElementsAre("/A/M"));
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(upstream_.call_count(), 1u);
  // It has never been heard of: it is asked again soon, in the background.
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(upstream_.call_count(), 2u);
}

TEST_F(SchemaSourceTest, GetFailsWhenNothingIsKnown) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  Fail(absl::UnavailableError("gone"));
  EXPECT_THAT(answers_, ElementsAre("UNAVAILABLE: server reflection: gone"));
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("UNAVAILABLE"));
  now_ += absl::Seconds(1);
  auto later = Get("/v1/a");
  ASSERT_NE(later, nullptr);
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_EQ(answers_.back(), "/A/M");
}

TEST_F(SchemaSourceTest, GetOfAServerWithoutReflectionIsUnimplemented) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  Fail(absl::UnimplementedError(""));
  Fail(absl::UnimplementedError(""));
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("no server reflection")));
  EXPECT_THAT(answers_, ElementsAre(StartsWith("UNIMPLEMENTED")));
}

TEST_F(SchemaSourceTest, GetRefreshesInTheBackground) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  now_ += absl::Minutes(1);
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(upstream_.call_count(), 2u);
  Serve({RuleFile("A", "/v2/a")});
  EXPECT_EQ(AskRule("/v2/a"), "/A/M");
}

TEST_F(SchemaSourceTest, DestroyedTicketOfGetIsNotCalled) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  auto other = Get("/v1/b");
  ticket.reset();
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_THAT(answers_, ElementsAre(StartsWith("NOT_FOUND")));
}

TEST_F(SchemaSourceTest, CallbackOfGetMayDestroyTheSource) {
  Make(true, {});
  auto ticket = source_->Get(
      now_, [&](const absl::StatusOr<SchemaSnapshot>&) { source_.reset(); });
  auto other = Get("/v1/a");
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_THAT(answers_, IsEmpty());
}

}  // namespace
}  // namespace headgate
