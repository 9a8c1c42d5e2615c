#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/base/metadata.h"
#include "gateway/config/check.h"
#include "gateway/config/suggestion.h"
#include "gateway/route/hub_group.h"
#include "gateway/route/path_segments.h"
#include "gateway/route/path_template.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

// Longer ones cannot come in: a request's head is limited too.
constexpr std::size_t kMostPathBytes = 4096;
constexpr std::size_t kMostHostBytes = 255;
constexpr std::size_t kMostSuggestions = 20;

// Whether text can be the path of a request's target (RFC 3986 section 3.3),
// percent-encoded where it must be.
bool IsRequestPath(absl::string_view text) {
  const auto segments = SplitPath(text);
  return segments && absl::c_all_of(*segments, [](absl::string_view segment) {
           return DecodeSegment(segment).has_value() &&
                  absl::c_all_of(segment, [](char c) {
                    return absl::ascii_isgraph(c) && c != '?' && c != '#';
                  });
         });
}

// One route, with the place of its faults.
class RouteCheck {
 public:
  RouteCheck(std::string field, const Route& route, Faults& faults)
      : field_(std::move(field)), route_(route), faults_(faults) {}

  void Run() {
    for (std::size_t i = 0; i < route_.hosts.size(); ++i) {
      CheckHost(absl::StrCat(".hosts[", i, "]"), route_.hosts[i]);
    }
    CheckPlaces();
    CheckTarget();
    CheckCodecs();
    CheckPackets();
    CheckRequests();
    if (const auto* hub = std::get_if<HubTarget>(&route_.target)) {
      CheckHub(*hub);
    }
  }

 private:
  void Add(absl::string_view member, absl::string_view fault) {
    faults_.Add(absl::StrCat(field_, member), fault);
  }

  void CheckHost(absl::string_view member, absl::string_view host) {
    if (!IsHostPattern(host)) {
      Add(member, absl::StrCat("must be a host without a port, such as "
                               "api.example.com or *.example.com, is \"",
                               host, "\""));
    }
  }

  // Two of these together leave open which one counts.
  void CheckAtMostOne(
      const std::vector<std::pair<absl::string_view, bool>>& members) {
    std::vector<absl::string_view> set;
    for (const auto& [name, is_set] : members) {
      if (is_set) set.push_back(name);
    }
    if (set.size() > 1) {
      Add("", absl::StrCat("has ", absl::StrJoin(set, " and "),
                           "; it may have one of them"));
    }
  }

  void CheckPath(absl::string_view member, absl::string_view path) {
    if (path.empty()) return;
    if (path[0] != '/') {
      Add(member, absl::StrCat("must begin with /, is \"", path, "\""));
    } else if (path.size() > kMostPathBytes || !IsRequestPath(path)) {
      Add(member, absl::StrCat("must be a path, percent-encoded and without a "
                               "query, is \"",
                               path, "\""));
    }
  }

  void CheckPlaces() {
    CheckAtMostOne({{"path", !route_.path.empty()},
                    {"prefix", !route_.prefix.empty()},
                    {"template", !route_.path_template.empty()}});
    CheckPath(".path", route_.path);
    CheckPath(".prefix", route_.prefix);
    if (route_.prefix.size() > 1 && absl::EndsWith(route_.prefix, "/")) {
      Add(".prefix", absl::StrCat("must not end with /, for it is of whole "
                                  "segments, is \"",
                                  route_.prefix, "\""));
    }
    if (route_.strip_prefix && route_.prefix.empty()) {
      Add(".strip_prefix", "means nothing without prefix");
    }
    if (route_.path_template.empty()) return;
    if (route_.path_template.size() > kMostPathBytes) {
      Add(".template", "is too long");
    } else if (const auto parsed = PathTemplate::Parse(route_.path_template);
               !parsed.ok()) {
      Add(".template", parsed.status().message());
    }
  }

  void CheckService(const std::string& service) {
    if (IsMethodPath(absl::StrCat(service, "/M"))) return;
    Add(".service", absl::StrCat("must be package.Service, is \"",
                                 absl::StripPrefix(service, "/"), "\""));
  }

  void CheckMethod(absl::string_view member, const std::string& method) {
    if (IsMethodPath(method)) return;
    Add(member, absl::StrCat("must be package.Service/Method, is \"",
                             absl::StripPrefix(method, "/"), "\""));
  }

  void CheckTarget() {
    const bool by_rules = std::holds_alternative<HttpRuleSet>(route_.target);
    const bool by_path = std::holds_alternative<PathMethod>(route_.target);
    if (const auto* fixed = std::get_if<FixedMethod>(&route_.target)) {
      CheckMethod(".method", fixed->method);
    } else if (const auto* path = std::get_if<ServicePath>(&route_.target)) {
      CheckService(path->service);
    }
    if (by_rules && !route_.path_template.empty()) {
      Add(".template",
          "cannot be with http_rules, which have templates of "
          "their own; use prefix or path");
    }
    if (route_.strip_prefix && !by_rules && !by_path) {
      Add(".strip_prefix",
          "means nothing where the whole path does not say what is called");
    }
    const bool placed = !route_.path.empty() || !route_.prefix.empty() ||
                        !route_.path_template.empty();
    if (!by_path && !placed) {
      Add("", "needs path, prefix or template; for all paths: prefix: /");
    } else if (by_path && placed && !PathIsMethod()) {
      Add(".method", "is missing, and the path is not /package.Service/Method");
    }
  }

  // Whether requests that the route fits can have a method as their path.
  bool PathIsMethod() const {
    return IsMethodPath(route_.path) || route_.prefix == "/" ||
           route_.strip_prefix ||
           IsMethodPath(absl::StrCat(route_.prefix, "/M"));
  }

  void CheckCodecs() {
    const RoutePlan plan = PlanRoute(route_);
    if (!plan.only_because.empty()) return CheckOnlyCodec(plan);
    const auto must_allow = [&](absl::string_view member, const Dialect* codec,
                                absl::string_view what) {
      if (absl::c_linear_search(plan.allowed_codecs, codec)) return;
      Add(member, absl::StrCat(what, codec->name,
                               ", which is not among allowed_codecs"));
    };
    if (plan.codec != nullptr) return must_allow(".codec", plan.codec, "is ");
    must_allow(".codec", &kJsonDialect, "auto takes text for ");
    must_allow(".binary_codec", plan.binary_codec, "is ");
    if (plan.binary_codec == &kRawDialect) {
      Add(".binary_codec", "cannot be raw, which is never guessed");
    }
  }

  void CheckOnlyCodec(const RoutePlan& plan) {
    const Dialect* only = plan.allowed_codecs[0];
    if (route_.codec != nullptr && route_.codec != only) {
      Add(".codec",
          absl::StrCat("must be ", only->name, " with ", plan.only_because));
    }
    for (const std::string& dialect : route_.dialects) {
      if (dialect == kOwnCodecs) continue;
      Add(".dialects",
          absl::StrCat(dialect, " is not served with ", plan.only_because));
    }
    if (!route_.allowed_codecs.empty() &&
        route_.allowed_codecs != plan.allowed_codecs) {
      Add(".allowed_codecs", absl::StrCat("must be ", only->name,
                                          " alone with ", plan.only_because));
    }
  }

  void CheckPackets() {
    const PacketOptions& packet = route_.packet;
    faults_.Range<std::size_t>(field_ + ".packet.max_packet_bytes",
                               packet.max_packet_bytes, 1, kMostMessageBytes);
    faults_.Range(field_ + ".packet.max_depth", packet.max_depth, 1, 64);
    if (absl::c_linear_search(packet.container_types, kEndPacket)) {
      Add(".packet.container_types",
          "the type of the end packet cannot be a container");
    }
    if (const auto* table = std::get_if<MethodTable>(&route_.target)) {
      CheckMethodTable(*table);
    }
  }

  void CheckMethodTable(const MethodTable& table) {
    // In order, so that faults come in order.
    const std::map<std::uint32_t, std::string> methods(table.methods.begin(),
                                                       table.methods.end());
    for (const auto& [type, method] : methods) {
      const std::string member = absl::StrCat(".packet.methods[", type, "]");
      CheckMethod(member, method);
      if (type == kEndPacket) {
        Add(member, "that is the type of the end packet");
      } else if (type == kContainerPacket ||
                 absl::c_linear_search(route_.packet.container_types, type)) {
        Add(member, "that is the type of a container");
      }
    }
    faults_.Range(field_ + ".packet.max_calls", table.max_calls, 1,
                  1000 * 1000);
    faults_.Range<std::size_t>(field_ + ".packet.call_window",
                               table.call_window_bytes, 1, 1024 * 1024 * 1024);
  }

  // The names of the variables of the route's template.
  std::vector<std::string> VariableNames() const {
    std::vector<std::string> names;
    const auto parsed = PathTemplate::Parse(route_.path_template);
    if (route_.path_template.empty() || !parsed.ok()) return names;
    for (const PathTemplate::Variable& variable : parsed->variables) {
      names.push_back(variable.field);
    }
    return names;
  }

  void CheckHubGroup(absl::string_view member, absl::string_view group) {
    if (group.empty()) return Add(member, "must not be empty");
    const std::vector<std::string> names = VariableNames();
    std::size_t constant = group.size();
    for (std::size_t open = group.find('{'); open != group.npos;
         open = group.find('{', open + 1)) {
      const std::size_t close = group.find('}', open);
      if (close == group.npos) return Add(member, "has a { without }");
      constant -= std::min(constant, close + 1 - open);
      const absl::string_view name = group.substr(open + 1, close - open - 1);
      if (!absl::c_linear_search(names, name)) {
        Add(member, absl::StrCat("{", name,
                                 "} is not a variable of the route's template",
                                 DidYouMean(std::string(name), names)));
      }
    }
    if (constant > kMaxGroupNameBytes) {
      Add(member,
          absl::StrCat("must have at most ", kMaxGroupNameBytes, " bytes, has ",
                       constant, " besides its variables"));
    }
  }

  void CheckGroupPatterns(absl::string_view member,
                          const std::vector<std::string>& patterns) {
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      CheckGroupPattern(absl::StrCat(field_, ".hub.", member, "[", i, "]"),
                        patterns[i], faults_);
    }
  }

  void CheckHub(const HubTarget& hub) {
    CheckMethod(".hub.method", hub.method);
    for (std::size_t i = 0; i < hub.groups.size(); ++i) {
      CheckHubGroup(absl::StrCat(".hub.groups[", i, "]"), hub.groups[i]);
    }
    CheckGroupPatterns("client_join", hub.client_join);
    CheckGroupPatterns("client_join_ask", hub.client_join_ask);
    CheckGroupPatterns("client_publish", hub.client_publish);
    if (!hub.message.empty() &&
        !IsMethodPath(absl::StrCat("/", hub.message, "/M"))) {
      Add(".hub.message",
          absl::StrCat("must be package.Message, is \"", hub.message, "\""));
    }
    faults_.AtLeast(field_ + ".hub.admission_timeout", hub.admission_timeout,
                    absl::Milliseconds(10));
    faults_.AtLeast(field_ + ".hub.hold", hub.hold, absl::ZeroDuration());
    constexpr std::size_t kLeast = 1024;
    constexpr std::size_t kMost = 1024 * 1024 * 1024;
    const auto range = [&](absl::string_view member, std::size_t value) {
      faults_.Range<std::size_t>(absl::StrCat(field_, ".hub.", member), value,
                                 kLeast, kMost);
    };
    range("buffers.events", hub.events_bytes);
    range("buffers.session_events", hub.session_events_bytes);
    range("slow.max_bytes", hub.slow.max_bytes);
    faults_.Range(field_ + ".hub.slow.max_messages", hub.slow.max_messages, 1,
                  1000 * 1000);
    faults_.Range(field_ + ".hub.max_groups", hub.max_groups,
                  std::max(1, static_cast<int>(hub.groups.size())), 10 * 1000);
    if (hub.slow.warn_bytes >= hub.slow.max_bytes) {
      Add(".hub.slow.warn_bytes",
          absl::StrCat("must be less than max_bytes (", hub.slow.max_bytes,
                       "), is ", hub.slow.warn_bytes));
    }
  }

  void CheckRequests() {
    for (std::size_t i = 0; i < route_.forward_headers.size(); ++i) {
      const std::string& name = route_.forward_headers[i];
      if (!IsMetadataKey(name) || absl::StartsWith(name, "grpc-")) {
        Add(absl::StrCat(".forward_headers[", i, "]"),
            absl::StrCat("\"", name, "\" cannot be a metadata key"));
      }
    }
    if (route_.deadline <= absl::ZeroDuration()) {
      Add(".deadline", absl::StrCat("must be more than 0, is ",
                                    absl::FormatDuration(route_.deadline)));
    }
    faults_.Range<std::size_t>(field_ + ".max_message_bytes",
                               route_.max_message_bytes, 1, kMostMessageBytes);
    // The conversion is recursive.
    faults_.Range(field_ + ".json.max_depth", route_.json.json.max_depth, 1,
                  1000);
    CheckLimits();
  }

  void CheckLimits() {
    faults_.Range(field_ + ".max_sessions", route_.max_sessions, 0,
                  std::numeric_limits<int>::max());
    if (!route_.messages.limited() && route_.messages.burst > 0) {
      Add(".message_burst", "means nothing without messages_per_second");
    }
    const RateLimit& bytes = route_.bytes;
    if (!bytes.limited() && bytes.burst > 0) {
      Add(".byte_burst", "means nothing without bytes_per_second");
    } else if (bytes.limited() && bytes.burst > 0 &&
               bytes.burst < static_cast<double>(route_.max_message_bytes)) {
      Add(".byte_burst", absl::StrCat("must be at least max_message_bytes (",
                                      route_.max_message_bytes, "), is ",
                                      static_cast<std::size_t>(bytes.burst)));
    }
    faults_.AtLeast(field_ + ".idle_timeout", route_.idle_timeout,
                    absl::Milliseconds(10));
    faults_.AtLeast(field_ + ".max_age", route_.max_age,
                    absl::Milliseconds(10));
    faults_.AtLeast(field_ + ".token.leeway", route_.token.leeway,
                    absl::ZeroDuration());
  }

  const std::string field_;
  const Route& route_;
  Faults& faults_;
};

}  // namespace

bool IsHostPattern(absl::string_view host) {
  const absl::string_view name = absl::StripPrefix(host, "*.");
  const bool is_ipv6 =
      absl::StartsWith(name, "[") && absl::EndsWith(name, "]") &&
      name.size() == host.size() &&
      absl::c_all_of(name.substr(1, name.size() - 2), [](char c) {
        return absl::ascii_isxdigit(c) || c == ':' || c == '.';
      });
  const bool is_name =
      !absl::StartsWith(name, ".") && !absl::EndsWith(name, ".") &&
      !absl::StrContains(name, "..") && absl::c_all_of(name, [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' ||
               c == '.' || c == '_';
      });
  return !name.empty() && host.size() <= kMostHostBytes && (is_name || is_ipv6);
}

void CheckRoutes(const Settings& settings, Faults& faults) {
  if (settings.routes.empty()) faults.Add("routes", "there is none");
  absl::flat_hash_map<absl::string_view, const UpstreamSettings*> by_name;
  std::vector<std::string> names;
  for (const UpstreamSettings& upstream : settings.upstreams) {
    by_name.emplace(upstream.name, &upstream);
    names.push_back(upstream.name);
  }
  std::size_t dangling = 0;
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    const Route& route = settings.routes[i];
    const std::string field = absl::StrCat("routes[", i, "]");
    RouteCheck(field, route, faults).Run();
    const auto upstream = by_name.find(route.upstream);
    if (upstream == by_name.end()) {
      // Looking for what was meant takes a while.
      const bool suggests = ++dangling <= kMostSuggestions;
      faults.Add(
          field + ".upstream",
          absl::StrCat("no upstream is named '", route.upstream, "'",
                       suggests ? DidYouMean(route.upstream, names) : ""),
          "upstreams");
      continue;
    }
    const DescriptorSettings& descriptors = upstream->second->descriptors;
    if (std::holds_alternative<HttpRuleSet>(route.target) &&
        !descriptors.reflection && descriptors.files.empty()) {
      faults.Add(
          field + ".http_rules",
          absl::StrCat("needs descriptors, and upstream '", route.upstream,
                       "' has neither reflection nor files"),
          "upstreams");
    }
  }
}

}  // namespace headgate
