#include "gateway/admin/explain.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/config/address.h"
#include "gateway/http/cors.h"
#include "gateway/route/plan.h"
#include "gateway/schema/method_kind_name.h"

namespace headgate {
namespace {

namespace json = boost::json;

// What the URL says of the request.
struct Addressed {
  bool is_websocket = true;
  std::optional<bool> is_tls;  // Absent: the URL is a path.
  std::string authority;       // The Host header; empty: the listener's.
  std::optional<int> port;
  std::string target;
};

absl::StatusOr<Addressed> ParseAddressed(absl::string_view url) {
  Addressed result;
  if (absl::StartsWith(url, "/")) {
    result.target = std::string(url);
    return result;
  }
  const auto invalid = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", ToUtf8(url), "': ", why));
  };
  const auto parsed =
      boost::urls::parse_uri(boost::urls::string_view(url.data(), url.size()));
  if (!parsed.has_value()) {
    return invalid("must be ws://, wss://, http:// or https:// or a /PATH");
  }
  const boost::urls::scheme scheme = parsed->scheme_id();
  using Scheme = boost::urls::scheme;
  result.is_websocket = scheme == Scheme::ws || scheme == Scheme::wss;
  result.is_tls = scheme == Scheme::wss || scheme == Scheme::https;
  if (!result.is_websocket && scheme != Scheme::http &&
      scheme != Scheme::https) {
    return invalid("must start with ws://, wss://, http:// or https://");
  }
  if (parsed->has_userinfo() || parsed->has_fragment() ||
      parsed->encoded_host().empty()) {
    return invalid("must have a host, and neither a user nor a '#'");
  }
  result.authority = std::string(parsed->encoded_host());
  result.port = *result.is_tls ? 443 : 80;
  if (parsed->has_port()) {
    int port = 0;
    if (!absl::SimpleAtoi(std::string(parsed->port()), &port) || port < 1 ||
        port > 65535) {
      return invalid("the port must be 1 to 65535");
    }
    result.port = port;
    absl::StrAppend(&result.authority, ":", port);
  }
  result.target = std::string(parsed->encoded_target());
  if (!absl::StartsWith(result.target, "/")) result.target.insert(0, "/");
  return result;
}

absl::StatusOr<std::size_t> FindListener(
    const std::vector<ListenerSettings>& listeners, const Addressed& addressed,
    const std::string& wanted) {
  std::vector<std::string> addresses;
  std::vector<std::size_t> fitting;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const std::string& address = listeners[i].address;
    addresses.push_back(address);
    if (!wanted.empty()) {
      if (address == wanted) fitting.push_back(i);
      continue;
    }
    const absl::StatusOr<ListenAddress> parsed = ParseListenAddress(address);
    if (parsed.ok() && parsed->kind == ListenAddress::Kind::kTcp &&
        addressed.port && parsed->tcp.port == *addressed.port) {
      fitting.push_back(i);
    }
  }
  if (!fitting.empty()) return fitting[0];
  if (wanted.empty() && (listeners.size() == 1 || !addressed.port)) return 0;
  return absl::InvalidArgumentError(absl::StrCat(
      wanted.empty()
          ? absl::StrCat("no listener has the port ", *addressed.port)
          : absl::StrCat("there is no listener '", ToUtf8(wanted), "'"),
      "; name one of ", absl::StrJoin(addresses, ", ")));
}

// A Host for a request that names none.
std::string AuthorityOf(const ListenerSettings& listener) {
  const absl::StatusOr<ListenAddress> parsed =
      ParseListenAddress(listener.address);
  if (!parsed.ok() || parsed->kind != ListenAddress::Kind::kTcp) {
    return "localhost";
  }
  return FormatAddress(
      parsed->tcp.host.empty() ? "localhost" : parsed->tcp.host,
      parsed->tcp.port);
}

// The request, and what it views.
class MadeRequest {
 public:
  MadeRequest(const ExplainQuery& query, const Addressed& addressed,
              const ListenerSettings& listener) {
    verb_ = query.verb;
    target_ = addressed.target;
    const bool has_host = std::any_of(
        query.headers.begin(), query.headers.end(), [](const auto& field) {
          return absl::EqualsIgnoreCase(field.first, "Host");
        });
    if (!has_host) {
      fields_.emplace_back("Host", addressed.authority.empty()
                                       ? AuthorityOf(listener)
                                       : addressed.authority);
    }
    if (addressed.is_websocket) {
      fields_.insert(fields_.end(),
                     {{"Connection", "Upgrade"},
                      {"Upgrade", "websocket"},
                      {"Sec-WebSocket-Version", "13"},
                      {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}});
    }
    fields_.insert(fields_.end(), query.headers.begin(), query.headers.end());
    request_.version = query.http2 ? 20 : 11;
    request_.method = verb_;
    request_.target = target_;
    for (const auto& [name, value] : fields_) {
      request_.headers.Add(name, value);
    }
  }
  MadeRequest(const MadeRequest&) = delete;

  const HttpRequest& get() const { return request_; }

 private:
  std::string verb_;
  std::string target_;
  std::vector<std::pair<std::string, std::string>> fields_;
  HttpRequest request_;
};

void Put(json::object& object, const char* key, absl::string_view value) {
  if (!value.empty()) object[key] = ToUtf8(value);
}

void Put(json::object& object, const char* key, absl::Duration value) {
  object[key] =
      value == absl::InfiniteDuration() ? "none" : absl::FormatDuration(value);
}

template <typename List, typename Text>
json::array ArrayOf(const List& list, Text text) {
  json::array array;
  for (const auto& item : list) array.push_back(json::string(text(item)));
  return array;
}

json::object ListenerJson(const ListenerSettings& listener) {
  json::object object = {{"address", listener.address},
                         {"tls", listener.tls.has_value()},
                         {"http2", listener.http2}};
  if (listener.proxy_protocol) object["proxy_protocol"] = true;
  if (listener.compression.enabled) object["compression"] = true;
  return object;
}

// How a client hears of it.
std::string ToldOf(const Refusal& refusal) {
  if (refusal.how == Refusals::kClose) {
    return absl::StrCat("accepted, then Close ",
                        static_cast<int>(CloseCodeFor(refusal.status.code())));
  }
  if (refusal.dialect != nullptr && refusal.dialect->failure != nullptr &&
      refusal.reason != RefusalReason::kMediaType) {
    return absl::StrCat("in the form of ", refusal.dialect->name);
  }
  return absl::StrCat("HTTP ", refusal.http_status);
}

json::object RefusalJson(const Refusal& refusal) {
  json::object object = {
      {"reason", std::string(KindOf(refusal.reason).label)},
      {"message", ToUtf8(refusal.status.message())},
      {"status", absl::StatusCodeToString(refusal.status.code())},
      {"code", static_cast<int>(refusal.status.code())},
      {"http_status", refusal.http_status},
      {"told", ToldOf(refusal)}};
  if (refusal.how == Refusals::kClose) {
    object["close_code"] =
        static_cast<int>(CloseCodeFor(refusal.status.code()));
  }
  const absl::string_view setting = refusal.setting.empty()
                                        ? KindOf(refusal.reason).setting
                                        : refusal.setting;
  Put(object, "setting", setting);
  const std::string for_operators = MessageForLog(refusal.status);
  if (for_operators != refusal.status.message()) {
    object["detail"] = ToUtf8(for_operators);
  }
  return object;
}

// The first route with the same key; later ones get no requests.
std::size_t IndexOf(const Route& route, const std::vector<Route>& routes) {
  const auto found =
      std::find_if(routes.begin(), routes.end(), [&](const Route& other) {
        return other.hosts == route.hosts && other.path == route.path &&
               other.prefix == route.prefix &&
               other.path_template == route.path_template;
      });
  return static_cast<std::size_t>(found - routes.begin());
}

json::object ExplainedRoute(const Located& located,
                            const std::vector<Route>& routes) {
  const Route& route = *located.match.route;
  json::object object = {
      {"name", RouteName(route)},
      {"setting", absl::StrCat("routes[", IndexOf(route, routes), "]")}};
  if (!route.hosts.empty()) {
    object["hosts"] = json::array(route.hosts.begin(), route.hosts.end());
  }
  Put(object, "path", route.path);
  Put(object, "prefix", route.prefix);
  Put(object, "template", route.path_template);
  return object;
}

// Null: nobody knows it. The gateway's own services are always known.
const Schema::Method* MethodOf(const KnownSchema& known,
                               const std::string& path) {
  static const std::shared_ptr<const Schema>& built_in =
      *new std::shared_ptr<const Schema>(Schema::BuiltIn());
  const Schema::Method* method = built_in->FindMethod(path);
  if (method != nullptr || known.schema == nullptr) return method;
  return known.schema->FindMethod(path);
}

json::object CallJson(const Located& located, const Destination& destination,
                      const KnownSchema& known) {
  json::object object;
  const Route& route = *located.match.route;
  if (const auto* table = std::get_if<MethodTable>(&route.target)) {
    object["method"] = "by packet type";
    json::object methods;
    for (const auto& [type, method] : table->methods) {
      methods[absl::StrCat(type)] = ToUtf8(absl::StripPrefix(method, "/"));
    }
    object["methods"] = std::move(methods);
    return object;
  }
  if (const auto* hub = std::get_if<HubTarget>(&route.target)) {
    object["hub"] = ToUtf8(absl::StripPrefix(hub->method, "/"));
    object["admission"] = hub->admission == HubTarget::Admission::kAsk
                              ? "the backend is asked first"
                              : "open";
    return object;
  }
  object["method"] = ToUtf8(absl::StripPrefix(destination.method, "/"));
  const Schema::Method* method = MethodOf(known, destination.method);
  if (method != nullptr) {
    object["kind"] = std::string(MethodKindName(method->kind));
    object["request"] = method->input;
    object["response"] = method->output;
  } else {
    object["kind"] = known.may_grow || known.schema == nullptr
                         ? "as the upstream's reflection says"
                         : "unknown to the descriptors: bidirectional";
  }
  if (const auto& binding = destination.binding) {
    json::object fields;
    for (const auto* parameters : {&binding->variables, &binding->query}) {
      for (const Parameter& parameter : *parameters) {
        fields[ToUtf8(parameter.field)] = ToUtf8(parameter.value);
      }
    }
    json::object bound = {{"fields", std::move(fields)}};
    Put(bound, "body", binding->body);
    Put(bound, "response_body", binding->response_body);
    object["binding"] = std::move(bound);
  }
  return object;
}

// Which of the request's own words has chosen the codec.
std::string ChooserOf(const Admission& admission, const Located& located) {
  const Dialect* codec = admission.session.codec;
  if (codec == nullptr) return "the first message";
  if (located.dialect != nullptr) return "Content-Type, or the query of a GET";
  if (!located.is_websocket) return "Accept, and the kind of call";
  if (DialectOfSubprotocol(admission.subprotocol) == codec) {
    return absl::StrCat("subprotocol ", admission.subprotocol);
  }
  const RoutePlan& plan = *located.match.plan;
  return plan.only_because.empty()
             ? "the route"
             : absl::StrCat("the route's ", plan.only_because);
}

json::object CodecJson(const Admission& admission, const Located& located,
                       const KnownSchema& known) {
  const SessionRequest& session = admission.session;
  const RoutePlan& plan = *located.match.plan;
  json::object object;
  object["name"] =
      session.codec != nullptr
          ? std::string(session.codec->name)
          : absl::StrCat("json for text, ", session.binary_codec->name,
                         " for binary");
  object["chosen_by"] = ChooserOf(admission, located);
  if (located.is_websocket) {
    object["subprotocol"] =
        admission.subprotocol.empty() ? "none" : ToUtf8(admission.subprotocol);
    object["allowed"] = ArrayOf(plan.allowed_codecs, [](const Dialect* codec) {
      return std::string(codec->name);
    });
  }
  const bool needs_descriptor =
      session.codec != nullptr ? session.codec->needs_descriptor : true;
  if (needs_descriptor && !session.method.empty() &&
      MethodOf(known, session.method) == nullptr) {
    object["needs"] =
        known.may_grow || known.schema == nullptr
            ? "the method's descriptor, by the upstream's reflection"
            : "the method's descriptor, which is missing: JSON ends with "
              "UNIMPLEMENTED, Close 4012";
  }
  return object;
}

std::string SourceText(CredentialSource source, const Route& route) {
  switch (source) {
    case CredentialSource::kNone:
      return "none";
    case CredentialSource::kHeader:
      return "header Authorization";
    case CredentialSource::kKubernetes:
      return "subprotocol base64url.bearer.authorization.k8s.io";
    case CredentialSource::kBearer:
      return "subprotocol Bearer";
    case CredentialSource::kCookie:
      return absl::StrCat("cookie ", route.token_cookie);
    case CredentialSource::kQuery:
      break;
  }
  return absl::StrCat("query parameter ", route.token_query);
}

json::object CredentialsJson(const Admission& admission, Moment now) {
  const Route& route = *admission.session.route;
  json::object object = {
      {"authorization", SourceText(admission.credentials, route)}};
  if (admission.session.token_expiry != absl::InfiniteFuture()) {
    object["expires_in"] = absl::FormatDuration(absl::Trunc(
        admission.session.token_expiry - now.steady, absl::Seconds(1)));
    object["leeway"] = absl::FormatDuration(route.token.leeway);
  }
  return object;
}

json::object LimitsJson(const Settings& settings, const Route& route) {
  const LimitSettings& limits = settings.limits;
  json::object object = {{"max_message_bytes", route.max_message_bytes},
                         {"max_answer_bytes", limits.max_answer_bytes},
                         {"max_buffered_bytes", limits.max_buffered_bytes},
                         {"max_header_bytes", limits.max_header_bytes},
                         {"max_metadata_bytes", limits.max_metadata_bytes},
                         {"max_sessions", limits.max_sessions}};
  const auto put = [&](const char* key, double value) {
    if (value > 0) object[key] = value;
  };
  if (limits.max_sessions_per_address > 0) {
    object["max_sessions_per_address"] = limits.max_sessions_per_address;
  }
  if (limits.max_sessions_per_identity > 0) {
    object["max_sessions_per_identity"] = limits.max_sessions_per_identity;
  }
  if (route.max_sessions > 0) {
    object["max_sessions_of_route"] = route.max_sessions;
  }
  put("messages_per_second", route.messages.per_second);
  put("messages_burst", route.messages.burst);
  put("bytes_per_second", route.bytes.per_second);
  put("bytes_burst", route.bytes.burst);
  return object;
}

json::object TimeoutsJson(const Settings& settings, const Admission& admission,
                          const UpstreamSettings* upstream) {
  const TimeoutSettings& timeouts = settings.timeouts;
  const Route& route = *admission.session.route;
  json::object object;
  absl::Duration call = admission.session.timeout;
  if (upstream != nullptr) call = std::min(call, upstream->deadline);
  Put(object, "call", call);
  Put(object, "idle", route.idle_timeout);
  Put(object, "max_age", route.max_age);
  Put(object, "message", timeouts.message);
  Put(object, "send", timeouts.send);
  Put(object, "stall", timeouts.stall);
  Put(object, "ping_interval", settings.keepalive.interval);
  Put(object, "ping_timeout", settings.keepalive.timeout);
  return object;
}

json::object UpstreamJson(const std::string& name,
                          const UpstreamSettings* upstream) {
  json::object object = {{"name", name}};
  if (upstream == nullptr) return object;
  object["target"] = upstream->target;
  object["tls"] = upstream->tls.has_value();
  object["transport"] =
      upstream->ChosenTransport() == UpstreamSettings::Transport::kH2 ? "h2"
                                                                      : "grpc";
  Put(object, "authority", upstream->authority);
  return object;
}

// A request on its way through the steps.
class Explainer {
 public:
  Explainer(const Settings& settings, const HandshakePolicy& policy,
            const HttpRequest& request, Peer peer, Moment now)
      : settings_(settings),
        policy_(policy),
        request_(request),
        peer_(std::move(peer)),
        now_(now) {}

  // Adds what it finds to `facts`.
  void Run(const std::function<KnownSchema(const std::string&)>& schema_of,
           json::object& facts) {
    if (const auto console = FindConsole(request_, policy_, peer_)) {
      if (const auto* refusal = std::get_if<Refusal>(&*console)) {
        return Refuse(*refusal, facts);
      }
      facts["outcome"] = "console";
      return;
    }
    std::variant<Refusal, Located> found =
        LocateRequest(request_, policy_, peer_);
    if (const auto* refusal = std::get_if<Refusal>(&found)) {
      return Refuse(*refusal, facts);
    }
    const Located& located = std::get<Located>(found);
    const Route& route = *located.match.route;
    facts["route"] = ExplainedRoute(located, settings_.routes);
    const UpstreamSettings* upstream = UpstreamOf(route);
    facts["upstream"] = UpstreamJson(route.upstream, upstream);
    if (!located.is_websocket &&
        AnswersOptions(located, DialectVerbs(located), facts)) {
      return;
    }
    peer_.client =
        ClientAddress(request_.headers, peer_.address, policy_.trusted_proxies);
    const KnownSchema known = schema_of(route.upstream);
    const bool by_rules =
        located.match.plan->method_from == RoutePlan::MethodFrom::kHttpRules;
    if (by_rules && known.http_rules == nullptr) {
      facts["outcome"] = "unknown";
      facts["why"] =
          "the HTTP rules are the upstream's, and its descriptors are not "
          "known here";
      return;
    }
    const HttpRules* rules = by_rules ? known.http_rules.get() : nullptr;
    if (by_rules && !located.is_websocket && request_.method == "OPTIONS" &&
        (IsPreflight(request_) ||
         !rules->Find("OPTIONS", located.match.path).ok())) {
      if (!AnswersOptions(located, AllowedVerbs(*rules, located), facts)) {
        Refuse(headgate::NotFound(located.target.path), facts);
      }
      return;
    }
    Judge(located, rules, known, upstream, facts);
  }

 private:
  void Judge(const Located& located, const HttpRules* rules,
             const KnownSchema& known, const UpstreamSettings* upstream,
             json::object& facts) {
    const std::variant<Refusal, Destination> destination =
        FindDestination(request_, located, rules);
    if (const auto* refusal = std::get_if<Refusal>(&destination)) {
      Refuse(*refusal, facts);
      // Reflection may know a rule that the files do not.
      if (known.may_grow) facts["outcome"] = "unknown";
      return;
    }
    facts["call"] =
        CallJson(located, std::get<Destination>(destination), known);
    const std::variant<Refusal, Admission> judged =
        JudgeSession(request_, policy_, peer_, located,
                     std::get<Destination>(destination), now_);
    if (const auto* refusal = std::get_if<Refusal>(&judged)) {
      return Refuse(*refusal, facts);
    }
    const Admission& admission = std::get<Admission>(judged);
    facts["outcome"] = "session";
    facts["codec"] = CodecJson(admission, located, known);
    facts["credentials"] = CredentialsJson(admission, now_);
    facts["metadata"] = ArrayOf(admission.session.metadata,
                                [](const auto& field) { return field.first; });
    facts["limits"] = LimitsJson(settings_, *located.match.route);
    facts["timeouts"] = TimeoutsJson(settings_, admission, upstream);
  }

  bool AnswersOptions(const Located& located,
                      const std::vector<std::string>& verbs,
                      json::object& facts) const {
    if (request_.method != "OPTIONS" || verbs.empty()) return false;
    if (const auto refusal = CheckOrigin(request_, policy_, located)) {
      Refuse(*refusal, facts);
      return true;
    }
    facts["outcome"] = "options";
    facts["allow"] = json::array(verbs.begin(), verbs.end());
    return true;
  }

  void Refuse(const Refusal& refusal, json::object& facts) const {
    facts["outcome"] = "refused";
    facts["refusal"] = RefusalJson(refusal);
  }

  const UpstreamSettings* UpstreamOf(const Route& route) const {
    for (const UpstreamSettings& upstream : settings_.upstreams) {
      if (upstream.name == route.upstream) return &upstream;
    }
    return nullptr;
  }

  const Settings& settings_;
  const HandshakePolicy& policy_;
  const HttpRequest& request_;
  Peer peer_;
  const Moment now_;
};

}  // namespace

absl::StatusOr<json::object> Explain(
    const Settings& settings,
    const std::vector<const HandshakePolicy*>& policies,
    const ExplainQuery& query,
    const std::function<KnownSchema(const std::string& upstream)>& schema_of,
    Moment now) {
  const absl::StatusOr<Addressed> addressed = ParseAddressed(query.url);
  if (!addressed.ok()) return addressed.status();
  if (!IsToken(query.verb)) {
    return absl::InvalidArgumentError("the method is not an HTTP method");
  }
  for (const auto& [name, value] : query.headers) {
    if (IsToken(name) && value.find_first_of("\r\n") == std::string::npos) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("header '", ToUtf8(name), "' cannot be sent"));
  }
  const std::vector<ListenerSettings>& listeners = settings.listeners;
  const absl::StatusOr<std::size_t> index =
      FindListener(listeners, *addressed, query.listener);
  if (!index.ok()) return index.status();
  const ListenerSettings& listener = listeners[*index];
  const MadeRequest request(query, *addressed, listener);

  json::object facts;
  facts["outcome"] = "unknown";  // The first of the members.
  facts["request"] = json::object{
      {"method", query.verb},
      {"target", ToUtf8(addressed->target)},
      {"host", ToUtf8(HostOf(request.get().headers))},
      {"over", absl::StrCat(addressed->is_websocket ? "WebSocket, " : "",
                            query.http2 ? "HTTP/2" : "HTTP/1.1")}};
  facts["listener"] = ListenerJson(listener);
  const bool is_tls = listener.tls.has_value();
  if (addressed->is_tls && *addressed->is_tls != is_tls) {
    facts["listener"].as_object()["note"] =
        is_tls ? "the listener takes TLS alone"
               : "the listener is plain: a proxy in front of it has to end TLS";
  }
  Peer peer;
  peer.address = query.peer;
  peer.is_tls = is_tls;
  peer.session_id = std::string(32, '0');
  Explainer(settings, *policies[*index], request.get(), std::move(peer), now)
      .Run(schema_of, facts);
  return facts;
}

}  // namespace headgate
