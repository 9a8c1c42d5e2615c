// Path templates. Input: lines; the last one is a path, the others are
// templates. Those that parse must be found for the path exactly if they fit
// it, told by comparing one by one; the first of them is the route; and a
// lookup visits no node of the tree twice, with segments behind "**" no more
// often than the path has segments.

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

// The template's segments from `begin` on, and the path's from `i` on.
bool SegmentsFit(const PathTemplate& path_template, const Segments& segments,
                 std::size_t begin = 0, std::size_t i = 0) {
  for (std::size_t at = begin; at < path_template.segments.size(); ++at) {
    const PathTemplate::Segment& segment = path_template.segments[at];
    if (segment.kind == PathTemplate::Kind::kAny) {
      for (std::size_t rest = i; rest <= segments.size(); ++rest) {
        if (SegmentsFit(path_template, segments, at + 1, rest)) return true;
      }
      return false;
    }
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
  const absl::string_view last = segments.back();
  for (std::size_t colon = 0; colon < last.size(); ++colon) {
    if (last[colon] == ':' &&
        *DecodeSegment(last.substr(colon + 1)) == path_template.verb) {
      return SegmentsFit(path_template,
                         WithoutVerb(segments, last.size() - colon));
    }
  }
  return false;
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
    bool is_open = false;
    for (std::size_t at = variable.first; at < variable.last; ++at) {
      is_open = is_open ||
                path_template.segments[at].kind == PathTemplate::Kind::kAny;
    }
    if (is_open) continue;
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
  bool has_loops = false;
  for (const std::string& line : lines) {
    const absl::StatusOr<PathTemplate> parsed = PathTemplate::Parse(line);
    if (!parsed.ok()) {
      FUZZ_CHECK(absl::IsInvalidArgument(parsed.status()));
      continue;
    }
    FUZZ_CHECK(!parsed->segments.empty());
    nodes += parsed->segments.size() + 1;
    for (std::size_t at = 0; at + 1 < parsed->segments.size(); ++at) {
      has_loops =
          has_loops || parsed->segments[at].kind == PathTemplate::Kind::kAny;
    }
    tree.Add(*parsed, templates.size());
    Route route;
    route.path_template = line;
    route.target = FixedMethod{absl::StrCat("/a.S/M", templates.size())};
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
      FUZZ_CHECK((one.verb_bytes > 0) == !templates[one.id].verb.empty());
      CheckVariables(templates[one.id], WithoutVerb(*segments, one.verb_bytes));
    }
    FUZZ_CHECK(visited <= nodes * (has_loops ? segments->size() + 1 : 1));
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
