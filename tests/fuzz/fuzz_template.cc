// Path templates. Input: lines; the last one is a path, the others are
// templates. Those that parse must be found for the path exactly if they fit
// it, told by comparing one by one; the first of them is the route; and a
// lookup visits no node of the tree twice.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/route/path_segments.h"
#include "gateway/route/path_template.h"
#include "gateway/route/path_tree.h"
#include "gateway/route/route.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

using Segments = std::vector<absl::string_view>;

bool SegmentsFit(const PathTemplate& path_template, const Segments& segments) {
  std::size_t i = 0;
  for (const PathTemplate::Segment& segment : path_template.segments) {
    if (segment.kind == PathTemplate::Kind::kAny) return true;
    if (i == segments.size()) return false;
    const std::string text = *DecodeSegment(segments[i]);
    if (segment.kind == PathTemplate::Kind::kOne ? text.empty()
                                                 : text != segment.literal) {
      return false;
    }
    ++i;
  }
  return i == segments.size();
}

// Requires: the path's escapes are good.
bool Fits(const PathTemplate& path_template, const Segments& segments) {
  if (path_template.verb.empty()) return SegmentsFit(path_template, segments);
  const std::size_t colon = segments.back().rfind(':');
  return colon != absl::string_view::npos &&
         *DecodeSegment(segments.back().substr(colon + 1)) ==
             path_template.verb &&
         SegmentsFit(path_template, WithoutVerb(segments));
}

void CheckVariables(const PathTemplate& path_template,
                    const Segments& segments) {
  const std::vector<Parameter> variables =
      BindVariables(path_template, segments);
  FUZZ_CHECK(variables.size() == path_template.variables.size());
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const PathTemplate::Variable& variable = path_template.variables[i];
    const std::string& value = variables[i].value;
    FUZZ_CHECK(variables[i].field == variable.field);
    FUZZ_CHECK(!absl::StrContains(value, '\0'));
    if (path_template.segments[variable.last - 1].kind ==
        PathTemplate::Kind::kAny) {
      continue;
    }
    FUZZ_CHECK(variable.last <= segments.size());
    // Of several segments each border is a slash, and there are no others.
    if (variable.last - variable.first > 1) {
      FUZZ_CHECK(Segments(absl::StrSplit(value, '/')).size() ==
                 variable.last - variable.first);
    }
  }
}

void Run(const std::string& input) {
  std::vector<std::string> lines = absl::StrSplit(input, '\n');
  const std::string path = std::move(lines.back());
  lines.pop_back();

  std::vector<PathTemplate> templates;
  std::vector<Route> routes;
  PathTree tree;
  std::size_t nodes = 0;
  for (const std::string& line : lines) {
    const absl::StatusOr<PathTemplate> parsed = PathTemplate::Parse(line);
    if (!parsed.ok()) {
      FUZZ_CHECK(absl::IsInvalidArgument(parsed.status()));
      continue;
    }
    FUZZ_CHECK(!parsed->segments.empty());
    nodes += parsed->segments.size() + 1;
    tree.Add(*parsed, templates.size());
    Route route;
    route.path_template = line;
    route.method = absl::StrCat("/a.S/M", templates.size());
    routes.push_back(std::move(route));
    templates.push_back(*parsed);
  }
  const auto match = Router(std::move(routes)).Find("host", path);

  const std::optional<Segments> segments = SplitPath(path);
  bool is_path = segments.has_value();
  if (segments) {
    for (const absl::string_view segment : *segments) {
      is_path = is_path && DecodeSegment(segment).has_value();
    }
  }
  std::vector<std::size_t> expected;
  for (std::size_t i = 0; is_path && i < templates.size(); ++i) {
    if (Fits(templates[i], *segments)) expected.push_back(i);
  }

  std::vector<std::size_t> found;
  if (segments) {
    std::size_t visited = 0;
    for (const PathTree::Found& one : tree.Find(*segments, &visited)) {
      found.push_back(one.id);
      FUZZ_CHECK(one.has_verb == !templates[one.id].verb.empty());
      CheckVariables(templates[one.id],
                     one.has_verb ? WithoutVerb(*segments) : *segments);
    }
    FUZZ_CHECK(visited <= nodes);
  }
  FUZZ_CHECK(found == expected);
  FUZZ_CHECK(match.has_value() == !expected.empty());
  if (match) {
    FUZZ_CHECK(match->method == absl::StrCat("/a.S/M", expected.front()));
  }
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  headgate::Run(input.Rest());
  return 0;
}
