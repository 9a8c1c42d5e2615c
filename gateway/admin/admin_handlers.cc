#include "gateway/admin/admin_handlers.h"

#include <cmath>
#include <cstdint>
#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gateway/admin/explain.h"
#include "gateway/admin/metrics_text.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/utf8.h"
#include "gateway/config/address.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

namespace json = boost::json;
using Query = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kUsualSessions = 100;
constexpr std::size_t kMostSessions = 10000;

struct Endpoint {
  AdminPart part;
  absl::string_view path;
  absl::string_view help;
};
constexpr Endpoint kEndpoints[] = {
    {AdminPart::kHealth, "/healthz",
     "GET  /healthz               the process is alive, its workers run\n"},
    {AdminPart::kHealth, "/readyz",
     "GET  /readyz                it can serve: not draining, an upstream is "
     "reachable\n"},
    {AdminPart::kMetrics, "/metrics",
     "GET  /metrics               for Prometheus\n"},
    {AdminPart::kRoutes, "/routes",
     "GET  /routes                what is served\n"},
    {AdminPart::kRoutes, "/explain",
     "GET  /explain?url=          what a request would lead to: method= "
     "header=NAME:VALUE http2=1 peer= listener=\n"},
    {AdminPart::kTap, "/tap",
     "GET  /tap                   the messages of open sessions: ?id= route= "
     "method= sample= rate= payload=redacted|shown|raw\n"},
    {AdminPart::kSessions, "/sessions",
     "GET  /sessions              ?id= peer= route= upstream= method= codec= "
     "limit=100 after=\n"
     "POST /sessions/ID/close     ends one with Close 1008\n"},
    {AdminPart::kSessions, "/hubs",
     "GET  /hubs                  hubs and their streams\n"
     "GET  /hubs/ROUTE/groups     groups with members; ?limit=100 after=\n"},
    {AdminPart::kLogLevel, "/log_level",
     "GET  /log_level\n"
     "POST /log_level?level=      debug, info, warning or error, until the "
     "next "
     "reload\n"},
};

std::string IndexOf(const AdminSettings& settings) {
  std::string index = "Headgate, the admin listener.\n\n";
  for (const Endpoint& endpoint : kEndpoints) {
    if (settings.serve.contains(endpoint.part)) {
      absl::StrAppend(&index, endpoint.help);
    }
  }
  return index;
}

AdminResponse Json(const json::value& value, int status = 200) {
  AdminResponse response;
  response.status = status;
  response.body = json::serialize(value) + "\n";
  return response;
}

AdminResponse Text(std::string body) {
  AdminResponse response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

AdminResponse BadQuery(const std::string& message) {
  return AdminFault(400, absl::StatusCode::kInvalidArgument, message);
}

AdminResponse NothingAt(const std::string& what) {
  return AdminFault(404, absl::StatusCode::kNotFound, what);
}

AdminResponse Forbidden(const std::string& why) {
  return AdminFault(403, absl::StatusCode::kPermissionDenied, why);
}

bool IsThisMachine(const std::string& host) {
  if (host.empty()) return true;  // HTTP/1.0; no browser.
  absl::string_view name = host;
  // With or without a port.
  const absl::StatusOr<Address> address = ParseAddress(host);
  if (address.ok()) name = address->host;
  if (absl::ConsumePrefix(&name, "[")) absl::ConsumeSuffix(&name, "]");
  return absl::EqualsIgnoreCase(name, "localhost") || Network::Parse(name).ok();
}

std::optional<AdminResponse> CheckSender(const AdminRequest& request,
                                         bool is_loopback) {
  const std::string& site = request.sec_fetch_site;
  if (site == "cross-site" || site == "same-site") {
    return Forbidden("requests of other sites' pages are refused");
  }
  if (!request.origin.empty() &&
      request.origin != absl::StrCat("http://", request.host)) {
    return Forbidden("requests of pages from elsewhere are refused");
  }
  if (is_loopback && !IsThisMachine(request.host)) {
    return Forbidden("the Host must be localhost or an IP address");
  }
  return std::nullopt;
}

// Takes as long for any token of the same length.
bool IsSame(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    different = static_cast<unsigned char>(
        different |
        (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  return different == 0;
}

// Why the request may not see the part, if it may not.
std::optional<AdminResponse> CheckToken(const AdminRequest& request,
                                        const AdminSettings& settings,
                                        AdminPart part) {
  if (settings.token_file.empty() || part == AdminPart::kHealth ||
      part == AdminPart::kMetrics) {
    return std::nullopt;
  }
  const absl::StatusOr<std::string> token = ReadAdminToken(settings.token_file);
  if (!token.ok()) {
    LogRepeated(LogLevel::kError,
                "the admin listener's token cannot be read, requests that need "
                "it are refused",
                {{"file", settings.token_file},
                 {"reason", std::string(token.status().message())}});
    return AdminFault(503, absl::StatusCode::kUnavailable,
                      "the token cannot be checked");
  }
  absl::string_view given = request.authorization;
  constexpr absl::string_view kBearer = "bearer ";
  if (absl::StartsWithIgnoreCase(given, kBearer)) {
    given.remove_prefix(kBearer.size());
    if (IsSame(absl::StripAsciiWhitespace(given), *token)) return std::nullopt;
  }
  LogRepeated(LogLevel::kWarning, "an admin request without the token");
  AdminResponse response =
      AdminFault(401, absl::StatusCode::kUnauthenticated,
                 "it takes the listener's token, as Authorization: Bearer");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

// 100, where JSON's usual form of a double is 1E2.
json::value Number(double value) {
  constexpr double kMost = 9007199254740992;  // 2^53: exact up to here.
  if (value >= 0 && value <= kMost && value == std::floor(value)) {
    return static_cast<std::uint64_t>(value);
  }
  return value;
}

json::object RouteJson(const Route& route) {
  json::object object;
  object["name"] = RouteName(route);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) object[key] = value;
  };
  if (!route.hosts.empty()) {
    object["hosts"] = json::array(route.hosts.begin(), route.hosts.end());
  }
  add("path", route.path);
  add("prefix", route.prefix);
  if (route.strip_prefix) object["strip_prefix"] = true;
  add("template", route.path_template);
  add("upstream", route.upstream);
  if (const auto* fixed = std::get_if<FixedMethod>(&route.target)) {
    object["method"] = fixed->method;
  } else if (const auto* hub = std::get_if<HubTarget>(&route.target)) {
    object["hub"] = hub->method;
  } else if (const auto* path = std::get_if<ServicePath>(&route.target)) {
    object["service"] = path->service;
  } else if (std::holds_alternative<HttpRuleSet>(route.target)) {
    object["http_rules"] = true;
  } else if (const auto* table = std::get_if<MethodTable>(&route.target)) {
    json::object methods;
    for (const auto& [type, method] : table->methods) {
      methods[absl::StrCat(type)] = method;
    }
    object["methods"] = std::move(methods);
  }
  const RoutePlan plan = PlanRoute(route);
  object["codec"] = std::string(plan.codec ? plan.codec->name : "auto");
  json::array allowed;
  for (const Dialect* kind : plan.allowed_codecs) {
    allowed.push_back(json::string(std::string(kind->name)));
  }
  object["allowed_codecs"] = std::move(allowed);
  if (!route.dialects.empty()) {
    object["dialects"] =
        json::array(route.dialects.begin(), route.dialects.end());
  }
  object["max_message_bytes"] = route.max_message_bytes;
  const auto limit = [&](const char* key, double value) {
    if (value > 0) object[key] = Number(value);
  };
  limit("max_sessions", route.max_sessions);
  limit("messages_per_second", route.messages.per_second);
  limit("bytes_per_second", route.bytes.per_second);
  const auto duration = [&](const char* key, absl::Duration value) {
    if (value < absl::InfiniteDuration()) {
      object[key] = absl::FormatDuration(value);
    }
  };
  duration("deadline", route.deadline);
  duration("idle_timeout", route.idle_timeout);
  duration("max_age", route.max_age);
  if (route.token.expiry == TokenRule::Expiry::kCloses) {
    object["token"] = {{"expiry", "close"},
                       {"leeway", absl::FormatDuration(route.token.leeway)}};
  }
  return object;
}

json::object SessionJson(const SessionInfo& session, Moment now) {
  return {
      {"id", session.id},
      {"peer", session.peer},
      {"route", session.route},
      {"upstream", session.upstream},
      {"method", ToUtf8(session.method)},
      {"codec", session.codec},
      {"opened_at",
       absl::FormatTime(absl::RFC3339_sec, now.WallAt(session.opened_at),
                        absl::UTCTimeZone())},
      {"age_seconds", absl::ToDoubleSeconds(now.steady - session.opened_at)},
      {"messages_in", session.messages_in},
      {"bytes_in", session.bytes_in},
      {"messages_out", session.messages_out},
      {"bytes_out", session.bytes_out},
      {"buffered_in", session.buffered_in},
      {"buffered_out", session.buffered_out},
  };
}

// A worker that hangs is a reason to start the process again.
void Healthy(Gateway& gateway, const AdminResponder& respond) {
  const absl::Time now = absl::Now();
  std::string faults;
  const std::vector<WorkerHealth> workers = gateway.GetHealth();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (!workers[i].stalled) continue;
    absl::StrAppend(
        &faults, "the event loop of worker ", i, " has not run since ",
        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now - workers[i].silence,
                         absl::UTCTimeZone()),
        " (",
        absl::FormatDuration(absl::Trunc(workers[i].silence, absl::Seconds(1))),
        ")\n");
  }
  AdminResponse response = Text(faults.empty() ? "ok\n" : faults);
  if (!faults.empty()) response.status = 503;
  respond(std::move(response));
}

void Ready(Gateway& gateway, const AdminResponder& respond) {
  const Readiness readiness = gateway.GetReadiness();
  json::object object{{"ready", readiness.ready}};
  if (!readiness.ready) object["reason"] = readiness.reason;
  respond(Json(object, readiness.ready ? 200 : 503));
}

void Metrics(Gateway& gateway, AdminResponder respond) {
  gateway.GetStats(
      [&gateway, respond = std::move(respond)](const Stats& stats) {
        AdminResponse response =
            Text(MetricsText({stats, gateway.GetReadiness(), gateway.draining(),
                              ReadProcessMetrics(), DroppedLogLines()}));
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        respond(std::move(response));
      });
}

void Sessions(const Query& query, Gateway& gateway, AdminResponder respond) {
  SessionFilter filter;
  SessionPage page;
  page.limit = kUsualSessions;
  const std::pair<const char*, std::string SessionFilter::*> fields[] = {
      {"id", &SessionFilter::id},
      {"peer", &SessionFilter::peer},
      {"route", &SessionFilter::route},
      {"upstream", &SessionFilter::upstream},
      {"method", &SessionFilter::method},
      {"codec", &SessionFilter::codec}};
  for (const auto& [key, value] : query) {
    if (key == "limit") {
      if (!absl::SimpleAtoi(value, &page.limit) || page.limit > kMostSessions) {
        return respond(BadQuery(
            absl::StrCat("limit must be a number of at most ", kMostSessions)));
      }
      continue;
    }
    if (key == "after") {
      if (!absl::SimpleAtoi(value, &page.after)) {
        return respond(
            BadQuery("after must be the \"next\" of the page before"));
      }
      continue;
    }
    bool known = false;
    for (const auto& [name, member] : fields) {
      if (key != name) continue;
      filter.*member = value;
      known = true;
    }
    if (!known) {
      return respond(BadQuery(
          absl::StrCat("there is no parameter ", ToUtf8(key),
                       "; there are id, peer, route, upstream, method, codec, "
                       "limit and after")));
    }
  }
  gateway.ListSessions(std::move(filter), page,
                       [respond = std::move(respond)](const SessionList& list) {
                         json::array sessions;
                         const Moment now = Now();
                         for (const SessionInfo& session : list.sessions) {
                           sessions.push_back(SessionJson(session, now));
                         }
                         json::object object{{"matching", list.matching}};
                         if (list.has_more && !list.sessions.empty()) {
                           object["next"] =
                               absl::StrCat(list.sessions.back().number);
                         }
                         if (!list.complete) object["complete"] = false;
                         object["sessions"] = std::move(sessions);
                         respond(Json(object));
                       });
}

void ExplainRequest(const Query& query, Gateway& gateway,
                    const AdminResponder& respond) {
  ExplainQuery asked;
  for (const auto& [key, value] : query) {
    if (key == "url") {
      asked.url = value;
    } else if (key == "method") {
      asked.verb = value;
    } else if (key == "peer") {
      asked.peer = value;
    } else if (key == "listener") {
      asked.listener = value;
    } else if (key == "http2" && (value == "0" || value == "1")) {
      asked.http2 = value == "1";
    } else if (key == "header" && absl::StrContains(value, ':')) {
      const std::pair<std::string, std::string> field =
          absl::StrSplit(value, absl::MaxSplits(':', 1));
      asked.headers.emplace_back(
          field.first, std::string(absl::StripAsciiWhitespace(field.second)));
    } else {
      return respond(BadQuery(absl::StrCat(
          ToUtf8(key),
          ": there are url, method, header=NAME:VALUE, http2=1, peer and "
          "listener")));
    }
  }
  const absl::StatusOr<json::object> facts = Explain(
      gateway.settings(), gateway.policies(), asked,
      [&](const std::string& name) { return gateway.GetKnownSchema(name); },
      Now());
  if (!facts.ok()) {
    return respond(BadQuery(std::string(facts.status().message())));
  }
  respond(Json(*facts));
}

// The most events in a second that a tap may ask for.
constexpr std::uint32_t kMostTapRate = 10000;

absl::StatusOr<TapRequest> TapRequestOf(const Query& query) {
  TapRequest tap;
  for (const auto& [key, value] : query) {
    std::uint32_t number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number) && number > 0;
    if (key == "id") {
      tap.filter.id = value;
    } else if (key == "route") {
      tap.filter.route = value;
    } else if (key == "method") {
      tap.filter.method =
          absl::StartsWith(value, "/") ? value : absl::StrCat("/", value);
    } else if (key == "sample" && is_number) {
      tap.filter.sample = number;
    } else if (key == "rate" && is_number && number <= kMostTapRate) {
      tap.limits.max_per_second = number;
    } else if (key == "payload" && value == "redacted") {
      tap.content = TapContent::kRedacted;
    } else if (key == "payload" && value == "shown") {
      tap.content = TapContent::kShown;
    } else if (key == "payload" && value == "raw") {
      tap.content = TapContent::kRaw;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          ToUtf8(key), ": there are id, route, method, sample=1..., rate=1...",
          kMostTapRate, " and payload=redacted, shown or raw"));
    }
  }
  return tap;
}

void OpenTap(const Query& query, const AdminSettings& settings,
             const AdminResponder& respond) {
  absl::StatusOr<TapRequest> tap = TapRequestOf(query);
  if (!tap.ok()) return respond(BadQuery(std::string(tap.status().message())));
  if (tap->content != TapContent::kRedacted &&
      !settings.serve.contains(AdminPart::kTapPayloads)) {
    return respond(
        Forbidden("this listener does not serve tap-payloads: values of "
                  "messages are not shown"));
  }
  AdminResponse response;
  response.content_type = "application/x-ndjson";
  response.tap = *std::move(tap);
  respond(std::move(response));
}

void Hubs(Gateway& gateway, AdminResponder respond) {
  gateway.ListHubs([respond =
                        std::move(respond)](const std::vector<HubInfo>& list) {
    json::array hubs;
    for (const HubInfo& hub : list) {
      json::object entry = {{"route", hub.route},
                            {"upstream", hub.upstream},
                            {"method", hub.method},
                            {"stream", hub.stream},
                            {"incarnation", hub.incarnation},
                            {"sessions", hub.sessions},
                            {"groups", hub.groups},
                            {"queued_bytes", hub.queued_bytes}};
      json::array streams;
      for (const HubInfo::Stream& stream : hub.streams) {
        streams.push_back(json::object{{"stream", stream.state},
                                       {"incarnation", stream.incarnation},
                                       {"sessions", stream.sessions},
                                       {"queued_bytes", stream.queued_bytes}});
      }
      if (!streams.empty()) entry["streams"] = std::move(streams);
      hubs.push_back(std::move(entry));
    }
    respond(Json(json::object{{"hubs", std::move(hubs)}}));
  });
}

void HubGroups(std::string route, const Query& query, Gateway& gateway,
               AdminResponder respond) {
  HubGroupPage page;
  page.route = std::move(route);
  page.limit = kUsualSessions;
  for (const auto& [key, value] : query) {
    if (key == "after") {
      page.after = value;
    } else if (key != "limit") {
      return respond(
          BadQuery(absl::StrCat("there is no parameter ", ToUtf8(key),
                                "; there are limit and after")));
    } else if (!absl::SimpleAtoi(value, &page.limit) ||
               page.limit > kMostSessions) {
      return respond(BadQuery(
          absl::StrCat("limit must be a number of at most ", kMostSessions)));
    }
  }
  // One more than is shown tells whether there is more.
  const std::size_t limit = page.limit++;
  gateway.ListHubGroups(std::move(page), [limit, respond = std::move(respond)](
                                             const HubGroupList& list) {
    if (!list.found) return respond(NothingAt("there is no such hub"));
    json::array groups;
    for (const auto& [name, members] : list.groups) {
      if (groups.size() == limit) break;
      groups.push_back(
          json::object{{"name", ToUtf8(name)}, {"members", members}});
    }
    json::object object;
    if (list.groups.size() > limit && limit > 0) {
      object["next"] = ToUtf8(list.groups[limit - 1].first);
    }
    object["groups"] = std::move(groups);
    respond(Json(object));
  });
}

void CloseSession(const std::string& id, Gateway& gateway,
                  AdminResponder respond) {
  gateway.CloseSession(id, [id, respond =
                                    std::move(respond)](SessionClosed closed) {
    if (closed == SessionClosed::kNotFound) {
      return respond(NothingAt("there is no such session"));
    }
    if (closed == SessionClosed::kUnknown) {
      return respond(AdminFault(503, absl::StatusCode::kUnavailable,
                                "a worker does not answer, and may have it"));
    }
    Log(LogLevel::kInfo, "session closed by the operator", {{"id", id}});
    respond(Json(json::object{{"closed", ToUtf8(id)}}));
  });
}

void LogLevelOf(bool set, const Query& query, const AdminResponder& respond) {
  if (set) {
    const bool is_level = query.size() == 1 && query[0].first == "level";
    const std::optional<LogLevel> level =
        is_level ? LogLevelFromName(query[0].second) : std::nullopt;
    if (!level) {
      return respond(BadQuery("level must be debug, info, warning or error"));
    }
    SetLogLevel(*level);
  }
  respond(
      Json(json::object{{"level", std::string(LogLevelName(GetLogLevel()))}}));
}

}  // namespace

AdminResponse AdminFault(int http_status, absl::StatusCode code,
                         const std::string& message) {
  return Json(
      json::object{{"code", static_cast<int>(code)}, {"message", message}},
      http_status);
}

void HandleAdmin(const AdminRequest& request, const AdminListener& listener,
                 Gateway& gateway, AdminResponder respond) {
  if (auto refused = CheckSender(request, listener.is_loopback)) {
    return respond(*std::move(refused));
  }
  const auto target = boost::urls::parse_origin_form(request.target);
  if (!target) return respond(BadQuery("the target is not a path"));
  const std::string path(target->encoded_path());
  Query query;
  for (const auto& parameter : target->params()) {
    query.emplace_back(parameter.key, parameter.value);
  }
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  const bool is_post = request.method == "POST";
  const auto only = [&](absl::string_view methods) {
    AdminResponse response =
        AdminFault(405, absl::StatusCode::kUnimplemented,
                   absl::StrCat("the path takes ", methods, " only"));
    response.headers.emplace_back("Allow", std::string(methods));
    respond(std::move(response));
  };

  if (path == "/") {
    if (!is_get) return only("GET, HEAD");
    return respond(Text(IndexOf(listener.settings)));
  }
  absl::string_view id = path;
  const bool is_close = absl::ConsumePrefix(&id, "/sessions/") &&
                        absl::ConsumeSuffix(&id, "/close");
  // Routes begin with a slash, which need not be there twice.
  const std::string decoded(target->path());
  absl::string_view hub = decoded;
  const bool is_groups = absl::ConsumePrefix(&hub, "/hubs/") &&
                         absl::ConsumeSuffix(&hub, "/groups");
  const std::string served = is_close    ? "/sessions"
                             : is_groups ? "/hubs"
                                         : path;
  const Endpoint* endpoint = nullptr;
  for (const Endpoint& candidate : kEndpoints) {
    if (candidate.path == served) endpoint = &candidate;
  }
  if (endpoint == nullptr) {
    return respond(NothingAt("there is nothing here; see /"));
  }
  if (!listener.settings.serve.contains(endpoint->part)) {
    return respond(NothingAt(absl::StrCat("this listener does not serve ",
                                          AdminPartName(endpoint->part))));
  }
  if (auto refused = CheckToken(request, listener.settings, endpoint->part)) {
    return respond(*std::move(refused));
  }

  if (is_close) {
    if (!is_post) return only("POST");
    return CloseSession(std::string(id), gateway, std::move(respond));
  }
  if (path == "/log_level") {
    if (!is_get && !is_post) return only("GET, HEAD, POST");
    return LogLevelOf(is_post, query, respond);
  }
  if (!is_get) return only("GET, HEAD");
  if (path == "/healthz") return Healthy(gateway, respond);
  if (path == "/readyz") return Ready(gateway, respond);
  if (path == "/metrics") return Metrics(gateway, std::move(respond));
  if (path == "/explain") return ExplainRequest(query, gateway, respond);
  if (path == "/tap") return OpenTap(query, listener.settings, respond);
  if (path == "/sessions") return Sessions(query, gateway, std::move(respond));
  if (path == "/hubs") return Hubs(gateway, std::move(respond));
  if (is_groups) {
    return HubGroups(
        absl::StartsWith(hub, "/") ? std::string(hub) : absl::StrCat("/", hub),
        query, gateway, std::move(respond));
  }
  json::array routes;
  for (const Route& route : gateway.settings().routes) {
    routes.push_back(RouteJson(route));
  }
  respond(Json(json::object{{"routes", std::move(routes)}}));
}

}  // namespace headgate
