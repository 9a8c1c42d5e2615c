#include "gateway/route/path_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/route/path_segments.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

// The template as text again: segments, then variables.
std::string ToString(const PathTemplate& parsed) {
  std::string text;
  for (const PathTemplate::Segment& segment : parsed.segments) {
    switch (segment.kind) {
      case PathTemplate::Kind::kLiteral:
        absl::StrAppend(&text, "/", segment.literal);
        break;
      case PathTemplate::Kind::kOne:
        absl::StrAppend(&text, "/*");
        break;
      case PathTemplate::Kind::kAny:
        absl::StrAppend(&text, "/**");
        break;
    }
  }
  if (!parsed.verb.empty()) absl::StrAppend(&text, ":", parsed.verb);
  for (const PathTemplate::Variable& variable : parsed.variables) {
    absl::StrAppend(&text, " ", variable.field, "=[", variable.first, ",",
                    variable.last, ")");
  }
  return text;
}

std::string Parsed(absl::string_view text) {
  const auto parsed = PathTemplate::Parse(text);
  return parsed.ok() ? ToString(*parsed)
                     : std::string(parsed.status().message());
}

// google/api/http.proto, "Path template syntax".
TEST(PathTemplateTest, ReadsTheGrammar) {
  EXPECT_EQ(Parsed("/v1"), "/v1");
  EXPECT_EQ(Parsed("/v1/*/x/**"), "/v1/*/x/**");
  EXPECT_EQ(Parsed("/v1/{name}"), "/v1/* name=[1,2)");
  EXPECT_EQ(Parsed("/v1/{a.b_c}"), "/v1/* a.b_c=[1,2)");
  EXPECT_EQ(Parsed("/v1/{name=shelves/*/books/*}"),
            "/v1/shelves/*/books/* name=[1,5)");
  EXPECT_EQ(Parsed("/v1/{path=**}"), "/v1/** path=[1,2)");
  EXPECT_EQ(Parsed("/v1/{a}/x/{b=y/**}"), "/v1/*/x/y/** a=[1,2) b=[3,5)");
  EXPECT_EQ(Parsed("/v1/x:move"), "/v1/x:move");
  EXPECT_EQ(Parsed("/v1/{name=a/*}:move"), "/v1/a/*:move name=[1,3)");
  EXPECT_EQ(Parsed("/v1/a:b/c"), "/v1/a:b/c");
  EXPECT_EQ(Parsed("/a%20b"), "/a b");
}

// What published services have that the grammar has not.
TEST(PathTemplateTest, ReadsMoreThanTheGrammar) {
  EXPECT_EQ(Parsed("/v1/{s}:do:do"), "/v1/*:do:do s=[1,2)");
  EXPECT_EQ(Parsed("/v1/{s=a/*}:x:y:z"), "/v1/a/*:x:y:z s=[1,3)");
  EXPECT_EQ(Parsed("/v1/a:b:c"), "/v1/a:b:c");
  EXPECT_EQ(PathTemplate::Parse("/v1/a:b:c")->verb, "c");
  EXPECT_EQ(Parsed("/v1/{s}/a:do"), "/v1/*/a:do s=[1,2)");
  EXPECT_EQ(Parsed("/v1/{parent=p/*/d/*/**}/{coll}"),
            "/v1/p/*/d/*/**/* parent=[1,6) coll=[6,7)");
  EXPECT_EQ(Parsed("/**/a"), "/**/a");
  EXPECT_EQ(Parsed("/{a=**/b}/c"), "/**/b/c a=[0,2)");
  EXPECT_EQ(Parsed("/"), "/");
  EXPECT_EQ(Parsed("/v1/"), "/v1/");
  EXPECT_EQ(Parsed("/v1/{s}/"), "/v1/*/ s=[1,2)");
}

TEST(PathTemplateTest, SaysWhatIsWrongWhere) {
  const std::pair<const char*, const char*> kFaults[] = {
      {"", "byte 0"},
      {"v1", "byte 0: must begin with /"},
      {"//", "byte 1: a segment is empty"},
      {"/a//b", "byte 3"},
      {"/{a=b/", "a segment is empty"},
      {"/{a=b/}", "a segment is empty"},
      {"/{", "byte 2: } is missing"},
      {"/{a", "} is missing"},
      {"/{a=b", "} is missing"},
      {"/{}", "names of fields"},
      {"/{1a}", "names of fields"},
      {"/{a.}", "names of fields"},
      {"/{a..b}", "names of fields"},
      {"/{a=}", "a segment is empty"},
      {"/{a={b}}", "variables do not nest"},
      {"/{a}{b}", "expected /"},
      {"/{a}x", "expected /"},
      {"/x{a}", "a segment of its own"},
      {"/{a}/{a}", "there are two a"},
      {"/a}", "expected /"},
      {"/**/**", "only one ** is allowed"},
      {"/{a=**}/b/**", "only one ** is allowed"},
      {"/{a=**}/{b=c/**}", "only one ** is allowed"},
      {"/a*", "* must be a segment of its own"},
      {"/***", "* must be a segment of its own"},
      {"/a:", "a verb must follow"},
      {"/a:*", "the verb must be plain text"},
      {"/%zz", "percent escape"},
  };
  for (const auto& [text, fault] : kFaults) {
    EXPECT_THAT(Parsed(text), HasSubstr(fault)) << text;
  }
}

TEST(PathSegmentsTest, SplitsAtSlashesOnly) {
  EXPECT_FALSE(SplitPath(""));
  EXPECT_FALSE(SplitPath("a"));
  EXPECT_EQ(SplitPath("/")->size(), 1u);
  EXPECT_EQ(SplitPath("/a/b%2Fc/")->size(), 3u);
}

}  // namespace
}  // namespace headgate
