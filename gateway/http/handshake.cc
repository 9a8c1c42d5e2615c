#include "gateway/http/handshake.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gateway/base/utf8.h"
#include "gateway/http/call_head.h"
#include "gateway/http/credentials.h"
#include "gateway/http/host.h"
#include "gateway/http/http_dialect.h"
#include "gateway/http/offered_codec.h"
#include "gateway/http/token_expiry.h"
#include "gateway/http/upgrade.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

// The scheme that the client used, as far as is known.
OwnOrigin::Scheme SchemeOf(const HttpRequest& request,
                           const HandshakePolicy& policy, const Peer& peer) {
  using Scheme = OwnOrigin::Scheme;
  if (const auto told =
          ForwardedProtocol(request.headers, peer, policy.trusted_proxies)) {
    if (absl::EqualsIgnoreCase(*told, "https") ||
        absl::EqualsIgnoreCase(*told, "wss")) {
      return Scheme::kHttps;
    }
    return Scheme::kHttp;
  }
  if (peer.is_tls) return Scheme::kHttps;
  return policy.is_behind_proxy ? Scheme::kEither : Scheme::kHttp;
}

// Whether a browser may have sent the request on behalf of a page. The
// handshake of a page's WebSocket always has an Origin, a GET need not.
bool MayBeOfAPage(const HttpRequest& request, const Located& located) {
  return !located.is_websocket || request.headers.Has("Origin");
}

// Whether a page of that host may be the listener's own: otherwise a page of
// any name that resolves to the listener's address would be of its own origin.
bool IsKnownHost(absl::string_view host, const HandshakePolicy& policy,
                 const Peer& peer) {
  if (policy.allowed_hosts.empty() &&
      (!policy.is_loopback || IsTrustedProxy(peer, policy.trusted_proxies))) {
    return true;
  }
  return host.empty() || IsLoopbackHost(host) ||
         HostAllowed(host, policy.allowed_hosts);
}

Refusal HostNotAllowed(absl::string_view host) {
  Refusal refusal =
      Refuse(RefusalReason::kHost,
             absl::StrCat("host ", ToUtf8(host), " is not allowed"));
  refusal.setting =
      "listeners[].allowed_hosts, or listeners[].trusted_proxies for a proxy "
      "on this machine";
  return refusal;
}

// That the request names a known host, where that is asked for.
std::optional<Refusal> CheckHostIsKnown(const HttpRequest& request,
                                        const HandshakePolicy& policy,
                                        const Peer& peer,
                                        const Located& located) {
  const std::string& host = located.own_origin.host;
  if (IsKnownHost(host, policy, peer) || !MayBeOfAPage(request, located) ||
      !located.match.route->hosts.empty()) {
    return std::nullopt;
  }
  // Origins that are allowed by name need not be the listener's own.
  if (absl::c_linear_search(policy.allowed_origins, "*") ||
      OriginAllowed(request.headers.Value("Origin"), {},
                    policy.allowed_origins)) {
    return std::nullopt;
  }
  return HostNotAllowed(host);
}

// `refusal` for what may be a WebSocket client: over HTTP, or as `how` says.
Refusal Told(Refusal refusal, const HttpRequest& request, Refusals how) {
  if (CheckUpgrade(request)) return refusal;
  refusal.how = how;
  // Also a codec that the route does not allow: a browser that offers names
  // and gets none back fails the connection, and its script sees no reason.
  Subprotocols offered = ParseSubprotocols(request.headers);
  // Nothing can be told for a number that the client has not said. Such clients
  // offer grpc-websockets as well.
  offered.dialects.erase(
      std::remove_if(offered.dialects.begin(), offered.dialects.end(),
                     [](const Subprotocols::Offer& offer) {
                       return offer.dialect->calls == Dialect::Calls::kMany;
                     }),
      offered.dialects.end());
  refusal.subprotocol = EchoedSubprotocol(offered, nullptr, refusal.dialect);
  // gRPC's clients know a method that is not there by its status alone, and
  // these see a refused handshake as UNKNOWN.
  const bool is_of_grpc = refusal.dialect != nullptr &&
                          refusal.dialect->head == Dialect::Head::kFirstMessage;
  if (is_of_grpc && refusal.reason == RefusalReason::kNotFound) {
    refusal.how = Refusals::kClose;
    refusal.status = absl::UnimplementedError(refusal.status.message());
  }
  return refusal;
}

// The query parameter that overrides the verb; empty: none.
absl::string_view MethodOverrideOf(const Route& route) {
  const auto* rules = std::get_if<HttpRuleSet>(&route.target);
  return rules != nullptr ? rules->method_override : absl::string_view();
}

// The query parameters that are part of the call.
std::vector<Parameter> QueryOf(const HttpTarget& target, const Route& route) {
  std::vector<Parameter> query;
  for (const Parameter& parameter : target.query) {
    if (parameter.field.empty() && parameter.value.empty()) continue;  // "?&"
    if (parameter.field == route.token_query ||
        parameter.field == MethodOverrideOf(route)) {
      continue;
    }
    query.push_back(parameter);
  }
  return query;
}

absl::StatusOr<HttpRules::Match> FindRule(const HttpRequest& request,
                                          const Located& located,
                                          const HttpRules& rules) {
  if (!located.is_websocket) {
    return rules.Find(request.method, located.match.path);
  }
  const std::optional<std::string> verb =
      QueryValue(located.target, MethodOverrideOf(*located.match.route));
  return rules.FindForWebSocket(located.match.path, verb.value_or(""));
}

Refusal RuleNotFound(const absl::Status& status, const Located& located,
                     const HttpRules& rules) {
  if (absl::IsFailedPrecondition(status)) {
    return Unavailable(absl::UnimplementedError(status.message()));
  }
  if (!absl::IsUnimplemented(status)) {
    Refusal refusal = NotFound(located.target.path);
    if (!rules.annotated()) {
      refusal.status = WithDetailForLog(
          refusal.status,
          "the upstream's descriptors have no google.api.http annotations");
    }
    return refusal;
  }
  std::vector<std::string> verbs = AllowedVerbs(rules, located);
  Refusal refusal = Refuse(
      RefusalReason::kMethodNotAllowed,
      absl::StrCat("the path takes ", absl::StrJoin(verbs, ", "), " only"));
  refusal.headers.emplace_back("Allow", absl::StrJoin(verbs, ", "));
  return refusal;
}

// Whether Content-Length is more than the only request message may have.
bool IsTooLong(const HttpRequest& request, const Route& route,
               const Destination& destination) {
  std::uint64_t length = 0;
  return destination.kind && TakesOneRequest(*destination.kind) &&
         absl::SimpleAtoi(request.headers.Value("Content-Length"), &length) &&
         length > route.max_message_bytes;
}

// The metadata of the request's headers. On a listener with the console also of
// what its pages have instead of headers: the subprotocol
// "headgate.metadata.v1." and, in base64url, lines "NAME: VALUE" that mean
// Grpc-Metadata-NAME headers. Only for pages of the listener's own origin.
absl::StatusOr<Metadata> MetadataOf(const HttpRequest& request,
                                    const HandshakePolicy& policy,
                                    const Peer& peer, const Located& located) {
  const Route& route = *located.match.route;
  if (located.dialect != nullptr) {
    return MetadataFromHeaders(request.headers, route, peer,
                               policy.trusted_proxies,
                               MetadataRule::kEveryHeader);
  }
  if (policy.console == nullptr ||
      !OriginAllowed(request.headers.Value("Origin"), located.own_origin, {})) {
    return MetadataFromHeaders(request.headers, route, peer,
                               policy.trusted_proxies);
  }
  const absl::Status malformed = absl::InvalidArgumentError(
      "headgate.metadata.v1. must be base64url of lines NAME: VALUE");
  HeaderList headers = request.headers;
  std::deque<std::string> storage;  // What is added views it.
  for (absl::string_view name :
       request.headers.Elements("Sec-WebSocket-Protocol")) {
    if (!absl::ConsumePrefix(&name, "headgate.metadata.v1.")) continue;
    std::string& lines = storage.emplace_back();
    if (!absl::WebSafeBase64Unescape(name, &lines)) return malformed;
    for (const absl::string_view line :
         absl::StrSplit(lines, '\n', absl::SkipWhitespace())) {
      const std::pair<absl::string_view, absl::string_view> parts =
          absl::StrSplit(line, absl::MaxSplits(':', 1));
      const absl::string_view key = absl::StripAsciiWhitespace(parts.first);
      if (!IsToken(key)) return malformed;
      headers.Add(storage.emplace_back(absl::StrCat("Grpc-Metadata-", key)),
                  absl::StripAsciiWhitespace(parts.second));
    }
  }
  return MetadataFromHeaders(headers, route, peer, policy.trusted_proxies);
}

// "?status=1" on a WebSocket; with http_rules the query belongs to the message.
bool WantsStatus(const Located& located) {
  return located.is_websocket &&
         !std::holds_alternative<HttpRuleSet>(located.match.route->target) &&
         QueryValue(located.target, "status") == "1";
}

}  // namespace

std::variant<Refusal, Located> LocateRequest(const HttpRequest& request,
                                             const HandshakePolicy& policy,
                                             const Peer& peer) {
  std::optional<HttpTarget> target = ParseTarget(request);
  if (!target) return BadRequest("the request's target is not a path");
  std::optional<Router::Match> match =
      policy.router->Find(target->host, target->encoded_path);
  const Refusals how = match ? match->route->refusals : policy.refusals;
  if (!match) return Told(NotFound(target->path), request, how);

  const Dialect* dialect = nullptr;
  if (std::optional<Refusal> refusal =
          ChooseHttpDialect(request, *target, *match->plan, dialect)) {
    return *std::move(refusal);
  }
  const bool is_http = match->plan->serves_http || dialect != nullptr ||
                       IsForDialects(request, *target, *match->plan);
  const bool is_websocket = IsWebSocket(request) || !is_http;
  std::optional<Refusal> malformed =
      is_websocket ? CheckUpgrade(request) : CheckHost(request);
  if (malformed) return *std::move(malformed);
  OwnOrigin own = {SchemeOf(request, policy, peer), target->host};
  Located located{is_websocket, *std::move(target), std::move(own),
                  *std::move(match), dialect};
  if (std::optional<Refusal> refusal =
          CheckHostIsKnown(request, policy, peer, located)) {
    return Told(*std::move(refusal), request, how);
  }
  return located;
}

std::optional<std::variant<Refusal, HttpTarget>> FindConsole(
    const HttpRequest& request, const HandshakePolicy& policy,
    const Peer& peer) {
  if (policy.console == nullptr) return std::nullopt;
  std::optional<HttpTarget> target = ParseTarget(request);
  if (!target) return std::nullopt;
  // Where nothing else is served, "/" leads browsers to the console.
  const bool is_root = target->encoded_path == "/" && !IsWebSocket(request) &&
                       !policy.router->Find(target->host, "/");
  if (is_root) target->encoded_path = std::string(kConsolePath);
  if (!IsConsolePath(target->encoded_path)) return std::nullopt;
  if (std::optional<Refusal> refusal = CheckHost(request)) {
    return *std::move(refusal);
  }
  if (!IsKnownHost(target->host, policy, peer)) {
    return HostNotAllowed(target->host);
  }
  return *std::move(target);
}

Refusal NoCapacity(const HttpRequest& request, const Located& located,
                   Capacity capacity) {
  RefusalReason reason = RefusalReason::kMaxSessions;
  absl::string_view message = "there are too many sessions";
  if (capacity == Capacity::kAddressFull) {
    reason = RefusalReason::kMaxSessionsPerAddress;
    message = "there are too many sessions of this address";
  } else if (capacity == Capacity::kIdentityFull) {
    reason = RefusalReason::kMaxSessionsPerIdentity;
    message = "there are too many sessions of this client";
  } else if (capacity == Capacity::kRouteFull) {
    reason = RefusalReason::kMaxSessionsOfRoute;
    message = "there are too many sessions on this route";
  } else if (capacity == Capacity::kOverloaded) {
    reason = RefusalReason::kOverloaded;
    message = "the gateway is overloaded";
  } else if (capacity == Capacity::kDraining) {
    reason = RefusalReason::kDraining;
    message = "the gateway is shutting down";
  }
  return Told(Refuse(reason, message), request, located.match.route->refusals);
}

Refusal NoConnection(Capacity capacity) {
  return capacity == Capacity::kAddressFull
             ? Refuse(RefusalReason::kMaxConnectionsPerAddress,
                      "there are too many connections of this address")
             : Refuse(RefusalReason::kMaxConnections,
                      "there are too many connections");
}

std::variant<Refusal, Destination> FindDestination(const HttpRequest& request,
                                                   const Located& located,
                                                   const HttpRules* rules) {
  const Route& route = *located.match.route;
  Destination destination;
  if (rules == nullptr) {
    destination.method = located.match.method;
    if (located.match.plan->binds_variables) {
      destination.binding.emplace();
      destination.binding->variables = located.match.variables;
    }
    return destination;
  }
  absl::StatusOr<HttpRules::Match> match = FindRule(request, located, *rules);
  if (!match.ok()) {
    return Told(RuleNotFound(match.status(), located, *rules), request,
                route.refusals);
  }
  destination.method = match->method->path;
  destination.kind = match->method->kind;
  destination.binding = RequestBinding{
      std::move(match->variables), QueryOf(located.target, route),
      match->rule->body, match->rule->response_body};
  return destination;
}

std::variant<Refusal, Admission> JudgeSession(
    const HttpRequest& request, const HandshakePolicy& policy, const Peer& peer,
    const Located& located, const Destination& destination, Moment now) {
  const Route& route = *located.match.route;
  const RoutePlan& plan = *located.match.plan;
  const auto refuse = [&](Refusal refusal) {
    return Told(std::move(refusal), request, route.refusals);
  };
  if (std::optional<Refusal> refusal = CheckOrigin(request, policy, located)) {
    return refuse(*std::move(refusal));
  }
  const Subprotocols subprotocols = located.is_websocket
                                        ? ParseSubprotocols(request.headers)
                                        : Subprotocols{};
  Admission admission;
  absl::StatusOr<std::optional<std::string>> authorization = FindAuthorization(
      request.headers, subprotocols, route,
      QueryValue(located.target, route.token_query), &admission.credentials);
  if (!authorization.ok()) {
    return refuse(
        Refuse(RefusalReason::kCredentials, authorization.status().message()));
  }
  const bool token_counts =
      route.token.expiry == TokenRule::Expiry::kCloses && *authorization;
  const absl::Time token_expiry =
      token_counts ? TokenExpiry(**authorization) : absl::InfiniteFuture();
  if (token_expiry + route.token.leeway <= now.wall) {
    return refuse(
        Refuse(RefusalReason::kTokenExpired, "the token has expired"));
  }
  admission.identity =
      IdentityOf(policy.identity, request.headers, *authorization);
  absl::StatusOr<Metadata> metadata =
      MetadataOf(request, policy, peer, located);
  if (!metadata.ok()) return refuse(BadRequest(metadata.status().message()));
  if (*authorization) {
    metadata->emplace_back("authorization", **std::move(authorization));
  }
  const absl::Status size = CheckMetadataSize(
      *metadata, route,
      std::max(destination.method.size(), plan.longest_method_bytes));
  if (!size.ok()) {
    return refuse(Refuse(RefusalReason::kMetadataTooLarge, size.message()));
  }
  const absl::StatusOr<absl::Duration> timeout =
      TimeoutFromHeaders(request.headers);
  if (!timeout.ok()) return refuse(BadRequest(timeout.status().message()));

  SessionRequest& session = admission.session;
  if (located.is_websocket && !plan.serves_own_codecs &&
      plan.websocket_dialects.empty()) {
    return refuse(BadRequest(absl::StrCat(
        "WebSockets are not served here; the route's dialects are ",
        absl::StrJoin(route.dialects, ", "))));
  }
  if (located.is_websocket) {
    admission.subprotocol =
        EchoedSubprotocol(subprotocols, &plan, session.codec);
    if (subprotocols.dialects.empty() && subprotocols.unknown) {
      return refuse(SubprotocolUnknown(*subprotocols.unknown));
    }
    if (!session.codec &&
        (!subprotocols.dialects.empty() || !plan.serves_own_codecs)) {
      return refuse(CodecNotAllowed(subprotocols, plan));
    }
  } else {
    if (IsTooLong(request, route, destination)) {
      return Refuse(RefusalReason::kTooLarge,
                    absl::StrCat("the body is longer than max_message_bytes (",
                                 route.max_message_bytes, ")"));
    }
    session.media_type = std::string(request.headers.Value("Content-Type"));
  }
  if (session.codec == nullptr) session.codec = plan.codec;
  if (located.dialect != nullptr) {
    session.codec = located.dialect;
    absl::StatusOr<BodyFormat> body =
        BodyFormatOf(request, located.target, *located.dialect);
    if (!body.ok()) return BadRequest(body.status().message());
    session.body = std::make_shared<const BodyFormat>(*std::move(body));
    const absl::Status version = CheckConnectVersion(request);
    if (!version.ok()) return BadRequest(version.message());
  } else if (!located.is_websocket) {
    session.codec = &HttpDialect(request, destination.kind);
  }
  session.binary_codec = plan.binary_codec;
  session.token_expiry = now.SteadyAt(token_expiry);
  session.wants_status = WantsStatus(located);
  session.id = peer.session_id;
  session.peer = peer.client_or_peer();
  session.method = destination.method;
  if (destination.binding) {
    session.binding =
        std::make_shared<const RequestBinding>(*destination.binding);
  }
  session.variables = located.match.variables;
  session.metadata = *std::move(metadata);
  session.has_authorization_header = request.headers.Has("Authorization");
  if (session.codec != nullptr &&
      session.codec->calls == Dialect::Calls::kMany) {
    session.router = policy.router;
    session.host = located.target.host;
  }
  session.trace_id = TraceIdOf(session.metadata);
  session.timeout = std::min(*timeout, route.deadline);
  session.route = located.match.route;
  return admission;
}

Refusal HeadersTooLarge(std::size_t max_header_bytes) {
  return Refuse(RefusalReason::kHeadersTooLarge,
                absl::StrCat("the headers are longer than max_header_bytes (",
                             max_header_bytes, ")"));
}

Refusal HandshakeTooSlow(absl::Duration timeout) {
  return Refuse(RefusalReason::kTooSlow,
                absl::StrCat("no complete request within ",
                             absl::FormatDuration(timeout)));
}

std::optional<Refusal> CheckOrigin(const HttpRequest& request,
                                   const HandshakePolicy& policy,
                                   const Located& located) {
  const std::vector<absl::string_view> origins =
      request.headers.Values("Origin");
  const OwnOrigin& own = located.own_origin;
  if (origins.empty() ||
      (origins.size() == 1 &&
       OriginAllowed(origins[0], own, policy.allowed_origins))) {
    return std::nullopt;
  }
  std::string message =
      absl::StrCat("origin ", absl::StrJoin(origins, ", "), " is not allowed");
  absl::string_view setting = "listeners[].allowed_origins";
  const OwnOrigin by_any_scheme = {OwnOrigin::Scheme::kEither, own.host};
  if (origins.size() == 1 && OriginAllowed(origins[0], by_any_scheme, {})) {
    const bool is_https = own.scheme == OwnOrigin::Scheme::kHttps;
    absl::StrAppend(&message, ", the listener is ",
                    is_https ? "https://" : "http://", own.host);
    if (!is_https) {
      setting =
          "listeners[].trusted_proxies for a proxy that ends TLS, or "
          "listeners[].allowed_origins";
    }
  }
  Refusal refusal = Refuse(RefusalReason::kOrigin, message);
  refusal.setting = setting;
  return refusal;
}

std::vector<std::string> DialectVerbs(const Located& located) {
  if (located.match.plan->http_dialects.empty()) return {};
  return {"GET", "POST", "OPTIONS"};
}

const Dialect* DialectOfRefusal(const HttpRequest& request,
                                const Located* located) {
  if (located != nullptr) return located->dialect;
  if (request.method != "POST") return nullptr;
  const Dialect* dialect =
      DialectOfMediaType(request.headers.Value("Content-Type"));
  // Where there is no route, a POST of JSON may be anybody's.
  if (dialect == nullptr || dialect == &kConnectJsonDialect) return nullptr;
  return dialect->needs_http2 && !IsHttp2(request) ? nullptr : dialect;
}

Refusal NotFound(absl::string_view path) {
  return Refuse(RefusalReason::kNotFound,
                absl::StrCat("nothing is served at ", ToUtf8(path)));
}

std::vector<std::string> AllowedVerbs(const HttpRules& rules,
                                      const Located& located) {
  std::vector<std::string> verbs = rules.VerbsAt(located.match.path);
  if (verbs.empty()) return verbs;
  if (std::find(verbs.begin(), verbs.end(), "OPTIONS") == verbs.end()) {
    verbs.emplace_back("OPTIONS");
  }
  return verbs;
}

}  // namespace headgate
