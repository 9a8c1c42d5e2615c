#include <cstddef>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/check.h"
#include "gateway/route/path_template.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

// Indices of routes, by the places that they take whole.
using Places = absl::flat_hash_map<std::string, std::size_t>;

// What the routes so far take, of the requests to one host.
struct Taken {
  std::optional<std::size_t> methods;  // Every /package.Service/Method.
  Places paths;
  Places prefixes;
  Places templates;
};

// Two templates that fit the same paths have the same form.
std::string FormOf(const PathTemplate& path_template) {
  std::string form;
  for (const PathTemplate::Segment& segment : path_template.segments) {
    switch (segment.kind) {
      case PathTemplate::Kind::kLiteral:
        absl::StrAppend(&form, "/=", segment.literal);
        break;
      case PathTemplate::Kind::kOne:
        form += "/*";
        break;
      case PathTemplate::Kind::kAny:
        form += "/**";
        break;
    }
  }
  return absl::StrCat(form, ":", path_template.verb);
}

// "/a/b" of "/a/b/{c}/d": what all its paths begin with.
std::string LiteralStart(const PathTemplate& path_template) {
  std::string start;
  for (const PathTemplate::Segment& segment : path_template.segments) {
    if (segment.kind != PathTemplate::Kind::kLiteral) break;
    absl::StrAppend(&start, "/", segment.literal);
  }
  return start;
}

std::optional<std::size_t> Find(const Places& places, absl::string_view place) {
  const auto it = places.find(place);
  if (it == places.end()) return std::nullopt;
  return it->second;
}

// A prefix that `path` is below, or that it is.
std::optional<std::size_t> FindPrefixOf(const Places& prefixes,
                                        absl::string_view path) {
  if (prefixes.empty()) return std::nullopt;
  if (const auto found = Find(prefixes, "/")) return found;
  for (std::size_t end = path.size(); end != 0 && end != path.npos;
       end = path.rfind('/', end - 1)) {
    if (const auto found = Find(prefixes, path.substr(0, end))) return found;
  }
  return std::nullopt;
}

// The first of the routes at one host that takes all that `route` is for.
std::optional<std::size_t> TakerOf(
    const Route& route, const std::optional<PathTemplate>& path_template,
    const Taken& taken) {
  if (!route.path.empty()) {
    if (const auto found = Find(taken.paths, route.path)) return found;
    if (taken.methods && IsMethodPath(route.path)) return taken.methods;
    return FindPrefixOf(taken.prefixes, route.path);
  }
  if (!route.prefix.empty()) return FindPrefixOf(taken.prefixes, route.prefix);
  if (path_template) {
    if (const auto found = Find(taken.templates, FormOf(*path_template))) {
      return found;
    }
    return FindPrefixOf(taken.prefixes, LiteralStart(*path_template));
  }
  if (taken.methods) return taken.methods;
  return Find(taken.prefixes, "/");
}

class ReachCheck {
 public:
  // The route that takes all requests of `route` at `host` ("": any), which is
  // then added as the route `index`.
  std::optional<std::size_t> Add(
      const Route& route, const std::optional<PathTemplate>& path_template,
      const std::string& host, std::size_t index) {
    const std::optional<std::size_t> taker =
        FindTaker(route, path_template, host);
    Taken& taken = by_host_[host];
    // Where the path has to name the method, one that does not goes on to the
    // next route.
    const bool takes_all =
        PlanRoute(route).method_from != RoutePlan::MethodFrom::kPath;
    const bool names_method = !route.prefix.empty() || path_template;
    if (names_method && !takes_all) return taker;
    if (!route.path.empty()) {
      taken.paths.emplace(route.path, index);
    } else if (!route.prefix.empty()) {
      taken.prefixes.emplace(route.prefix, index);
    } else if (path_template) {
      taken.templates.emplace(FormOf(*path_template), index);
    } else if (!taken.methods) {
      taken.methods = index;
    }
    return taker;
  }

 private:
  std::optional<std::size_t> FindTaker(
      const Route& route, const std::optional<PathTemplate>& path_template,
      const std::string& host) const {
    if (const auto found = At("", route, path_template)) return found;
    if (host.empty()) return std::nullopt;
    if (const auto found = At(host, route, path_template)) return found;
    // "a.b.c" and "*.a.b.c" are subdomains of "b.c".
    const std::size_t start = absl::StartsWith(host, "*.") ? 2 : 0;
    for (std::size_t dot = host.find('.', start); dot != host.npos;
         dot = host.find('.', dot + 1)) {
      const auto found =
          At(absl::StrCat("*", host.substr(dot)), route, path_template);
      if (found) return found;
    }
    return std::nullopt;
  }

  std::optional<std::size_t> At(
      absl::string_view host, const Route& route,
      const std::optional<PathTemplate>& path_template) const {
    const auto it = by_host_.find(host);
    if (it == by_host_.end()) return std::nullopt;
    return TakerOf(route, path_template, it->second);
  }

  absl::flat_hash_map<std::string, Taken> by_host_;
};

}  // namespace

void CheckReach(const Settings& settings, Faults& faults) {
  ReachCheck check;
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    const Route& route = settings.routes[i];
    std::optional<PathTemplate> path_template;
    if (!route.path_template.empty()) {
      auto parsed = PathTemplate::Parse(route.path_template);
      if (!parsed.ok()) continue;  // A fault of its own.
      path_template = *std::move(parsed);
    }
    const std::vector<std::string> any_host = {""};
    const std::vector<std::string>& hosts =
        route.hosts.empty() ? any_host : route.hosts;
    // Of one with several hosts some may be taken.
    std::optional<std::size_t> taker;
    bool reached = false;
    for (const std::string& host : hosts) {
      taker = check.Add(route, path_template, host, i);
      reached = reached || !taker || *taker == i;
    }
    if (!reached) {
      faults.Add(absl::StrCat("routes[", i, "]"),
                 absl::StrCat("is never reached, as routes[", *taker,
                              "] takes all its requests"),
                 "routes");
    }
  }
}

}  // namespace headgate
