#include "gateway/route/http_rules.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/route/path_segments.h"
#include "gateway/route/path_template.h"
#include "gateway/route/path_tree.h"

namespace headgate {
namespace {

constexpr char kAnyVerb[] = "*";

struct Entry {
  const Schema::Method* method;
  const HttpRule* rule;
  PathTemplate path_template;
  std::vector<int> rank;
  std::string fault;  // Why it cannot be used; empty: it can.
};

// By which of two templates that both fit a path is better: a verb before
// none, then segment by segment. Of equal ranks they are the same template, but
// for their variables.
std::vector<int> Rank(const PathTemplate& path_template) {
  std::vector<int> rank = {-static_cast<int>(path_template.verb.size())};
  bool any = false;
  for (const PathTemplate::Segment& segment : path_template.segments) {
    rank.push_back(static_cast<int>(segment.kind));
    any = any || segment.kind == PathTemplate::Kind::kAny;
  }
  // One that ends where another goes on fits more if that is behind "**", and
  // less if the other goes on with "**", which fits no segment there.
  rank.push_back(any ? static_cast<int>(PathTemplate::Kind::kAny) + 1 : -1);
  return rank;
}

// Whether `path` ("book.author.name") leads from `type` to a field.
bool HasFieldPath(const Schema& schema, std::string type,
                  const std::string& path) {
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (type.empty() || !schema.HasField(type, names[i])) return false;
    type = schema.MessageTypeOf(type, names[i]);
  }
  return true;
}

// What is wrong with a rule; empty when nothing is.
std::string FaultOf(const Schema& schema, const Schema::Method& method,
                    const HttpRule& rule, const PathTemplate& path_template) {
  for (const PathTemplate::Variable& variable : path_template.variables) {
    if (!HasFieldPath(schema, method.input, variable.field)) {
      return absl::StrCat(method.input, " has no field ", variable.field);
    }
  }
  if (!rule.body.empty() && rule.body != "*" &&
      !schema.HasField(method.input, rule.body)) {
    return absl::StrCat("body: ", method.input, " has no field ", rule.body);
  }
  if (!rule.response_body.empty() &&
      !schema.HasField(method.output, rule.response_body)) {
    return absl::StrCat("response_body: ", method.output, " has no field ",
                        rule.response_body);
  }
  return "";
}

// Where a rule stands among those that a WebSocket may mean: streams first, for
// which it was opened, those of the client's before those of the backend's
// alone; then the verb.
std::pair<int, int> WebSocketRank(const Entry& entry) {
  static constexpr absl::string_view kOrder[] = {"GET", "POST", "PUT", "PATCH",
                                                 "DELETE"};
  const auto* const verb =
      std::find(std::begin(kOrder), std::end(kOrder), entry.rule->verb);
  const MethodKind kind = entry.method->kind;
  int streams = 2;
  if (!TakesOneRequest(kind)) {
    streams = 0;
  } else if (!GivesOneAnswer(kind)) {
    streams = 1;
  }
  return {streams, static_cast<int>(verb - std::begin(kOrder))};
}

}  // namespace

// The rules, the better of two before the other; their indices are what the
// tree knows them by.
class HttpRules::Table {
 public:
  explicit Table(std::vector<Entry> entries) : entries_(std::move(entries)) {
    std::stable_sort(
        entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
          if (a.rank != b.rank) return a.rank < b.rank;
          return a.rule->verb != kAnyVerb && b.rule->verb == kAnyVerb;
        });
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      tree_.Add(entries_[i].path_template, i);
    }
  }

  // A rule that fits a path.
  struct Candidate {
    const Entry* entry;
    std::size_t verb_bytes;
  };
  // The best first. `segments`: of SplitPath.
  std::vector<Candidate> Fitting(
      const std::vector<absl::string_view>& segments) const {
    std::vector<Candidate> fitting;
    for (const PathTree::Found& found : tree_.Find(segments)) {
      fitting.push_back({&entries_[found.id], found.verb_bytes});
    }
    return fitting;
  }

  static absl::StatusOr<Match> Bind(
      const Candidate& candidate,
      const std::vector<absl::string_view>& segments) {
    const Entry& entry = *candidate.entry;
    if (!entry.fault.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the google.api.http rule of ", entry.method->path.substr(1),
          " cannot be used: ", entry.fault));
    }
    return Match{entry.method, entry.rule,
                 BindVariables(entry.path_template,
                               WithoutVerb(segments, candidate.verb_bytes))};
  }

 private:
  std::vector<Entry> entries_;
  PathTree tree_;
};

std::shared_ptr<const HttpRules> HttpRules::Build(
    std::shared_ptr<const Schema> schema, std::vector<std::string>* warnings) {
  std::vector<Entry> entries;
  const std::vector<const Schema::Method*> methods = schema->methods();
  bool annotated = false;
  for (const Schema::Method* method : methods) {
    annotated = annotated || !method->http_rules.empty();
    for (const HttpRule& rule : method->http_rules) {
      absl::StatusOr<PathTemplate> path_template =
          PathTemplate::Parse(rule.path_template);
      std::string fault = path_template.ok()
                              ? FaultOf(*schema, *method, rule, *path_template)
                              : std::string(path_template.status().message());
      if (!fault.empty()) {
        warnings->push_back(absl::StrCat(method->path, ": google.api.http ",
                                         rule.verb, " ", rule.path_template,
                                         ": ", fault));
      }
      PathTemplate usable = path_template.ok()
                                ? *std::move(path_template)
                                : PathTemplate::Guess(rule.path_template);
      std::vector<int> rank = Rank(usable);
      entries.push_back({method, &rule, std::move(usable), std::move(rank),
                         std::move(fault)});
    }
  }
  // Reflection of some servers drops options (Node's proto-loader).
  if (!annotated && !methods.empty()) {
    warnings->push_back(
        "the upstream's descriptors have no google.api.http annotations; give "
        "a descriptor set (descriptors.files, --descriptors)");
  }
  std::shared_ptr<HttpRules> rules(new HttpRules(std::move(schema)));
  rules->annotated_ = annotated;
  rules->table_ = std::make_unique<const Table>(std::move(entries));
  return rules;
}

HttpRules::HttpRules(std::shared_ptr<const Schema> schema)
    : schema_(std::move(schema)) {}
HttpRules::~HttpRules() = default;

absl::StatusOr<HttpRules::Match> HttpRules::Find(absl::string_view verb,
                                                 absl::string_view path) const {
  const auto segments = SplitPath(path);
  const std::vector<Table::Candidate> fitting =
      segments ? table_->Fitting(*segments) : std::vector<Table::Candidate>();
  if (fitting.empty()) {
    return absl::NotFoundError(absl::StrCat("no rule is for ", path));
  }
  std::vector<absl::string_view> verbs = {verb};
  if (verb == "HEAD") verbs.push_back("GET");
  for (const absl::string_view wanted : verbs) {
    for (const Table::Candidate& candidate : fitting) {
      const std::string& offered = candidate.entry->rule->verb;
      if (offered == wanted || offered == kAnyVerb) {
        return Table::Bind(candidate, *segments);
      }
    }
  }
  return absl::UnimplementedError(
      absl::StrCat("no rule is for ", verb, " ", path));
}

absl::StatusOr<HttpRules::Match> HttpRules::FindForWebSocket(
    absl::string_view path, absl::string_view verb_override) const {
  const auto segments = SplitPath(path);
  const std::vector<Table::Candidate> fitting =
      segments ? table_->Fitting(*segments) : std::vector<Table::Candidate>();
  const Table::Candidate* best = nullptr;
  for (const Table::Candidate& candidate : fitting) {
    const std::string& offered = candidate.entry->rule->verb;
    if (!verb_override.empty() && offered != kAnyVerb &&
        !absl::EqualsIgnoreCase(offered, verb_override)) {
      continue;
    }
    // The template decides, the verb only among those that share it.
    if (best != nullptr && candidate.entry->rank != best->entry->rank) break;
    if (best == nullptr ||
        WebSocketRank(*candidate.entry) < WebSocketRank(*best->entry)) {
      best = &candidate;
    }
  }
  if (best == nullptr) {
    return absl::NotFoundError(
        verb_override.empty()
            ? absl::StrCat("no rule is for ", path)
            : absl::StrCat("no rule is for ", verb_override, " ", path));
  }
  return Table::Bind(*best, *segments);
}

std::vector<std::string> HttpRules::VerbsAt(absl::string_view path) const {
  std::set<std::string> verbs;
  if (const auto segments = SplitPath(path)) {
    for (const Table::Candidate& candidate : table_->Fitting(*segments)) {
      const std::string& verb = candidate.entry->rule->verb;
      if (verb == kAnyVerb) {
        verbs.insert({"DELETE", "GET", "PATCH", "POST", "PUT"});
      } else {
        verbs.insert(verb);
      }
    }
  }
  if (verbs.count("GET") > 0) verbs.insert("HEAD");
  return {verbs.begin(), verbs.end()};
}

}  // namespace headgate
