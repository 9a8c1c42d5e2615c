#include "gateway/route/route.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/route/path_segments.h"
#include "gateway/route/path_template.h"
#include "gateway/route/path_tree.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

// A domain name has no more bytes (RFC 1035 section 2.3.4).
constexpr std::size_t kMostHostBytes = 255;

// A name of protobuf's: [A-Za-z_][A-Za-z0-9_]*.
bool IsIdentifier(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

bool IsQualifiedName(absl::string_view name) {
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!IsIdentifier(name.substr(0, dot))) return false;
    if (dot == absl::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

std::string RouteName(const Route& route) {
  std::string path = "/";
  for (const std::string* name :
       {&route.path, &route.path_template, &route.prefix}) {
    if (!name->empty()) path = *name;
  }
  return absl::StrCat(route.hosts.empty() ? "" : route.hosts.front(), path);
}

std::string HostName(absl::string_view host) {
  const std::size_t colon = host.rfind(':');
  // The colons of an IPv6 address stand inside brackets.
  if (colon != absl::string_view::npos &&
      host.find(']', colon) == absl::string_view::npos) {
    host = host.substr(0, colon);
  }
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (host.size() > kMostHostBytes) return "";
  return absl::AsciiStrToLower(host);
}

bool IsMethodPath(absl::string_view path) {
  if (path.empty() || path[0] != '/') return false;
  path.remove_prefix(1);
  const std::size_t slash = path.find('/');
  if (slash == absl::string_view::npos) return false;
  return IsQualifiedName(path.substr(0, slash)) &&
         IsIdentifier(path.substr(slash + 1));
}

namespace {

// What of the path a route is for, as a template; absent when it is for all
// methods.
std::optional<PathTemplate> TemplateOf(const Route& route) {
  if (!route.path_template.empty()) {
    return *PathTemplate::Parse(route.path_template);
  }
  if (route.path.empty() && route.prefix.empty()) return std::nullopt;
  PathTemplate result;
  const std::string& text = route.path.empty() ? route.prefix : route.path;
  const auto segments = SplitPath(text);
  for (const absl::string_view segment : *segments) {
    result.segments.push_back(
        {PathTemplate::Kind::kLiteral, DecodeSegment(segment).value_or("")});
  }
  if (route.path.empty()) {
    // "/v3/" is "/v3".
    if (result.segments.back().literal.empty()) result.segments.pop_back();
    result.segments.push_back({PathTemplate::Kind::kAny, ""});
  }
  return result;
}

}  // namespace

// The routes, and a tree of those of each host.
class Router::Tree {
 public:
  explicit Tree(std::vector<Route> routes) {
    for (std::size_t i = 0; i < routes.size(); ++i) {
      Entry entry;
      entry.path_template = TemplateOf(routes[i]);
      std::vector<std::string> hosts = routes[i].hosts;
      if (hosts.empty()) hosts.push_back("");
      for (const std::string& host : hosts) {
        Host& tree = hosts_[absl::AsciiStrToLower(host)];
        if (entry.path_template) {
          tree.paths.Add(*entry.path_template, i);
        } else {
          tree.all_methods.push_back(i);
        }
      }
      entry.plan = MakePlan(routes[i], "");
      if (entry.plan->method_from == RoutePlan::MethodFrom::kPath) {
        entry.packet_plan = MakePlan(routes[i], kPacketMethod);
        entry.message_plan = MakePlan(routes[i], kMessageMethod);
      }
      entry.route = std::make_shared<const Route>(std::move(routes[i]));
      entries_.push_back(std::move(entry));
    }
  }

  std::optional<Match> Find(absl::string_view host,
                            absl::string_view path) const {
    const auto segments = SplitPath(path);
    if (!segments) return std::nullopt;
    std::vector<PathTree::Found> candidates;
    const std::string name = HostName(host);
    const auto look = [&](absl::string_view key) {
      const auto found = hosts_.find(key);
      if (found == hosts_.end()) return;
      for (const auto candidate : found->second.paths.Find(*segments)) {
        candidates.push_back(candidate);
      }
      for (const std::size_t id : found->second.all_methods) {
        candidates.push_back({id, 0});
      }
    };
    look("");
    if (!name.empty()) look(name);
    // "*.example.com" for every name under example.com.
    for (std::size_t dot = name.find('.', 1); dot != std::string::npos;
         dot = name.find('.', dot + 1)) {
      look(absl::StrCat("*", name.substr(dot)));
    }
    std::sort(candidates.begin(), candidates.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    for (const PathTree::Found& candidate : candidates) {
      std::optional<Match> match =
          Judge(entries_[candidate.id],
                WithoutVerb(*segments, candidate.verb_bytes), path);
      if (match) return match;
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    std::optional<PathTemplate> path_template;
    std::shared_ptr<const Route> route;
    std::shared_ptr<const RoutePlan> plan;
    // For the two methods that have codecs of their own, where the request says
    // which method it is.
    std::shared_ptr<const RoutePlan> packet_plan;
    std::shared_ptr<const RoutePlan> message_plan;
  };
  struct Host {
    PathTree paths;
    std::vector<std::size_t> all_methods;
  };

  static std::shared_ptr<const RoutePlan> MakePlan(const Route& route,
                                                   absl::string_view method) {
    return std::make_shared<const RoutePlan>(PlanRoute(route, method));
  }

  // What of the path says what is called.
  static std::string CalledPath(const Entry& entry, absl::string_view path) {
    if (!entry.route->strip_prefix) return std::string(path);
    // All but the last segment of its template are the prefix's.
    std::size_t rest = 0;
    for (std::size_t i = 1; i < entry.path_template->segments.size(); ++i) {
      rest = path.find('/', rest + 1);
      if (rest == path.npos) return "/";
    }
    return std::string(path.substr(rest));
  }

  // Whether the route is for the path after all: the method may be part of it.
  // `segments`: of the path, without the template's verb.
  static std::optional<Match> Judge(
      const Entry& entry, const std::vector<absl::string_view>& segments,
      absl::string_view path) {
    const Route& route = *entry.route;
    Match match{entry.route, entry.plan, "", {}, CalledPath(entry, path)};
    if (entry.path_template) {
      match.variables = BindVariables(*entry.path_template, segments);
    }
    if (const auto* fixed = std::get_if<FixedMethod>(&route.target)) {
      match.method = fixed->method;
      return match;
    }
    if (const auto* hub = std::get_if<HubTarget>(&route.target)) {
      match.method = hub->method;
      return match;
    }
    if (std::holds_alternative<PathMethod>(route.target)) {
      match.method = match.path;
    } else if (const auto* path = std::get_if<ServicePath>(&route.target)) {
      match.method = absl::StrCat(path->service, "/", segments.back());
    } else {
      return match;
    }
    if (!IsMethodPath(match.method)) return std::nullopt;
    if (match.method == kPacketMethod) match.plan = entry.packet_plan;
    if (match.method == kMessageMethod) match.plan = entry.message_plan;
    return match;
  }

  std::vector<Entry> entries_;
  absl::flat_hash_map<std::string, Host> hosts_;  // "": any host.
};

Router::Router(std::vector<Route> routes)
    : tree_(std::make_unique<const Tree>(std::move(routes))) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

std::optional<Router::Match> Router::Find(absl::string_view host,
                                          absl::string_view path) const {
  return tree_->Find(host, path);
}

}  // namespace headgate
