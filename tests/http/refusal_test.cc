#include "gateway/http/refusal.h"

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using Metric = RefusalKind::Metric;

std::string Document(const std::string& name) {
  std::ifstream file(absl::StrCat(HEADGATE_DOCS, "/", name));
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The rows of the table with this head.
std::vector<std::string> TableOf(const std::string& text,
                                 absl::string_view head) {
  std::vector<std::string> rows;
  bool inside = false;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (inside && (line.empty() || line[0] != '|')) break;
    if (inside) rows.emplace_back(line);
    if (line == head) inside = true;
  }
  if (!rows.empty()) rows.erase(rows.begin());  // The line of dashes.
  return rows;
}

std::string LabelsOf(Metric metric) {
  std::vector<absl::string_view> labels;
  for (const RefusalKind& kind : RefusalKinds()) {
    if (kind.metric == metric) labels.push_back(kind.label);
  }
  return absl::StrJoin(labels, ", ");
}

TEST(RefusalTest, ProtocolHasARowForEachReason) {
  std::vector<std::string> rows;
  for (const RefusalKind& kind : RefusalKinds()) {
    rows.push_back(absl::StrCat("| ", kind.http_status, " | ",
                                static_cast<int>(kind.code), " | `", kind.label,
                                "` | ", kind.when, " |"));
  }
  EXPECT_THAT(TableOf(Document("protocol.md"),
                      "| HTTP status | gRPC code | `reason` | when |"),
              ElementsAreArray(rows));
}

TEST(RefusalTest, OperationsHasEachReasonOfTheMetrics) {
  const std::string text =
      absl::StrReplaceAll(Document("operations.md"), {{"\n", " "}});
  EXPECT_THAT(
      text, HasSubstr(absl::StrCat(
                "Reasons of refusals: ", LabelsOf(Metric::kHandshakes), ".")));
  EXPECT_THAT(text,
              HasSubstr(absl::StrCat("Reasons of refused connections: ",
                                     LabelsOf(Metric::kConnections), ".")));
}

TEST(RefusalTest, AReasonBringsItsStatusCodeAndHeaders) {
  const Refusal refusal = Refuse(RefusalReason::kCredentials, "no token");
  EXPECT_EQ(refusal.http_status, 401);
  EXPECT_EQ(refusal.status, absl::UnauthenticatedError("no token"));
  EXPECT_THAT(refusal.headers, ElementsAre(Pair("WWW-Authenticate", "Bearer")));
  EXPECT_THAT(Refuse(RefusalReason::kNotFound, "").headers, IsEmpty());
}

// An upstream that says PERMISSION_DENIED is not an Origin that is refused.
TEST(RefusalTest, TheCauseChoosesTheStatusAndNotTheReason) {
  const Refusal refusal = Unavailable(absl::PermissionDeniedError("no"));
  EXPECT_EQ(refusal.reason, RefusalReason::kUnavailable);
  EXPECT_EQ(refusal.http_status, 403);
  EXPECT_EQ(refusal.status, absl::PermissionDeniedError("no"));
}

}  // namespace
}  // namespace headgate
