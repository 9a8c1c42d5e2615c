#include "gateway/net/handshake.h"

#include <algorithm>
#include <optional>

#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/base/utf8.h"
#include "gateway/net/credentials.h"
#include "gateway/net/origin.h"

namespace headgate {
namespace {

constexpr absl::string_view kRetryAfterSeconds = "5";

Refusal Refuse(int http_status, absl::StatusCode code,
               absl::string_view message) {
  Refusal refusal;
  refusal.http_status = http_status;
  refusal.status = absl::Status(code, message);
  return refusal;
}

// RFC 9112 section 3.2.
bool IsHost(absl::string_view value) {
  const auto host = boost::urls::parse_authority({value.data(), value.size()});
  return host && !host->has_userinfo() && !host->encoded_host().empty();
}

// The target of a request: a path, or the whole address, which a server has to
// take as well (RFC 9112 section 3.2.2).
boost::urls::result<boost::urls::url_view> ParseTarget(
    const HttpRequest& request) {
  const boost::core::string_view target(request.target().data(),
                                        request.target().size());
  const auto path = boost::urls::parse_origin_form(target);
  if (path) return path;
  const auto address = boost::urls::parse_uri(target);
  if (!address || !address->has_authority()) return path;
  for (const char* scheme : {"http", "https", "ws", "wss"}) {
    if (address->scheme() == scheme) return address;
  }
  return path;
}

// What is wrong with the request as a WebSocket handshake (RFC 6455 section
// 4.2.1).
std::optional<Refusal> CheckUpgrade(const HttpRequest& request) {
  if (request.version() < 11) {
    return BadRequest("a WebSocket needs HTTP/1.1");
  }
  if (!boost::beast::websocket::is_upgrade(request)) {
    Refusal refusal =
        Refuse(426, absl::StatusCode::kFailedPrecondition,
               "this address speaks WebSocket: send Connection: Upgrade and "
               "Upgrade: websocket with a GET");
    refusal.headers = {{"Upgrade", "websocket"}};
    return refusal;
  }
  const std::vector<absl::string_view> versions =
      HeaderValues(request, "Sec-WebSocket-Version");
  if (versions.size() != 1 || versions[0] != "13") {
    Refusal refusal = Refuse(426, absl::StatusCode::kFailedPrecondition,
                             "Sec-WebSocket-Version must be 13");
    refusal.headers = {{"Upgrade", "websocket"},
                       {"Sec-WebSocket-Version", "13"}};
    return refusal;
  }
  const std::vector<absl::string_view> keys =
      HeaderValues(request, "Sec-WebSocket-Key");
  std::string key;
  if (keys.size() != 1 || keys[0].size() != 24 ||
      !absl::Base64Unescape(keys[0], &key) || key.size() != 16) {
    return BadRequest("Sec-WebSocket-Key must be the base64 of 16 bytes");
  }
  const std::vector<absl::string_view> hosts = HeaderValues(request, "Host");
  if (hosts.size() != 1 || !IsHost(hosts[0])) {
    return BadRequest("there must be one Host header, HOST or HOST:PORT");
  }
  // Whoever stands between us and the client would take a body for HTTP's, and
  // we for WebSocket frames.
  if (request.count("Transfer-Encoding") > 0 ||
      (request.count("Content-Length") > 0 &&
       HeaderValue(request, "Content-Length") != "0")) {
    return BadRequest("a handshake has no body");
  }
  return std::nullopt;
}

// The entry of Sec-WebSocket-Protocol that the answer echoes: the codec's, else
// "Bearer", never a token.
std::string EchoedSubprotocol(const Subprotocols& offered, const Route* route,
                              std::optional<CodecKind>& codec) {
  for (const CodecKind kind : offered.codecs) {
    if (route == nullptr ||
        std::find(route->allowed_codecs.begin(), route->allowed_codecs.end(),
                  kind) != route->allowed_codecs.end()) {
      codec = kind;
      return std::string(SubprotocolOf(kind));
    }
  }
  return offered.bearer_offered ? "Bearer" : "";
}

Refusal CodecNotAllowed(const Subprotocols& offered, const Route& route) {
  const auto name = [](std::string* out, CodecKind kind) {
    absl::StrAppend(out, CodecName(kind));
  };
  return BadRequest(
      absl::StrCat("codec ", absl::StrJoin(offered.codecs, ", ", name),
                   " is not served here; it is one of ",
                   absl::StrJoin(route.allowed_codecs, ", ", name)));
}

// Everything of a handshake whose route is known.
std::variant<Refusal, Admission> JudgeRouted(const HttpRequest& request,
                                             const HandshakePolicy& policy,
                                             const Peer& peer,
                                             const Subprotocols& subprotocols,
                                             const boost::urls::url_view& url,
                                             Router::Match match) {
  const Route& route = *match.route;
  const std::vector<absl::string_view> origins =
      HeaderValues(request, "Origin");
  if (origins.size() > 1 ||
      (origins.size() == 1 &&
       !OriginAllowed(origins[0], HeaderValue(request, "Host"),
                      policy.allowed_origins))) {
    return Refuse(403, absl::StatusCode::kPermissionDenied,
                  absl::StrCat("origin ", absl::StrJoin(origins, ", "),
                               " is not allowed"));
  }

  std::optional<std::string> query_token;
  if (!route.token_query.empty()) {
    for (const auto& parameter : url.params()) {
      if (parameter.key == route.token_query) query_token = parameter.value;
    }
  }
  absl::StatusOr<std::optional<std::string>> authorization =
      FindAuthorization(request, subprotocols, route, query_token);
  if (!authorization.ok()) {
    Refusal refusal = Refuse(401, absl::StatusCode::kUnauthenticated,
                             authorization.status().message());
    refusal.headers = {{"WWW-Authenticate", "Bearer"}};
    return refusal;
  }
  absl::StatusOr<Metadata> metadata =
      MetadataFromHeaders(request, route, peer, policy.trusted_proxies);
  if (!metadata.ok()) return BadRequest(metadata.status().message());
  if (*authorization) {
    metadata->emplace_back("authorization", **std::move(authorization));
  }
  const absl::StatusOr<absl::Duration> timeout = TimeoutFromHeaders(request);
  if (!timeout.ok()) return BadRequest(timeout.status().message());

  Admission admission;
  admission.subprotocol =
      EchoedSubprotocol(subprotocols, &route, admission.session.codec);
  if (!subprotocols.codecs.empty() && !admission.session.codec) {
    return CodecNotAllowed(subprotocols, route);
  }
  admission.session.id = peer.session_id;
  admission.session.peer = peer.address;
  admission.session.method = std::move(match.method);
  admission.session.metadata = *std::move(metadata);
  admission.session.timeout = std::min(*timeout, route.deadline);
  admission.session.route = std::move(match.route);
  return admission;
}

}  // namespace

std::variant<Refusal, Admission> JudgeHandshake(const HttpRequest& request,
                                                const HandshakePolicy& policy,
                                                const Peer& peer,
                                                Capacity capacity) {
  const auto target = ParseTarget(request);
  if (!target) return BadRequest("the request's target is not a path");

  const std::optional<Refusal> not_a_websocket = CheckUpgrade(request);
  const Subprotocols subprotocols = ParseSubprotocols(request);
  std::optional<Router::Match> match = policy.router->Find(target->path());
  const std::shared_ptr<const Route> route = match ? match->route : nullptr;

  std::variant<Refusal, Admission> result;
  if (capacity != Capacity::kFree) {
    Refusal refusal =
        Refuse(503, absl::StatusCode::kUnavailable,
               capacity == Capacity::kFull ? "there are too many sessions"
                                           : "the gateway is shutting down");
    refusal.headers = {{"Retry-After", std::string(kRetryAfterSeconds)}};
    result = std::move(refusal);
  } else if (!match) {
    result =
        Refuse(404, absl::StatusCode::kNotFound,
               absl::StrCat("nothing is served at ", ToUtf8(target->path())));
  } else if (not_a_websocket) {
    return *not_a_websocket;
  } else {
    result = JudgeRouted(request, policy, peer, subprotocols, *target,
                         *std::move(match));
  }
  if (auto* refusal = std::get_if<Refusal>(&result); refusal != nullptr) {
    refusal->how = route != nullptr ? route->refusals : policy.refusals;
    if (not_a_websocket) refusal->how = Refusals::kHttp;
    // Also a codec that the route does not allow: a browser that offers names
    // and gets none back fails the connection, and its script sees no reason.
    std::optional<CodecKind> codec;
    refusal->subprotocol = EchoedSubprotocol(subprotocols, nullptr, codec);
  }
  return result;
}

Refusal HeadersTooLarge(std::size_t max_header_bytes) {
  return Refuse(431, absl::StatusCode::kResourceExhausted,
                absl::StrCat("the headers are longer than max_header_bytes (",
                             max_header_bytes, ")"));
}

Refusal HandshakeTooSlow(absl::Duration timeout) {
  return Refuse(408, absl::StatusCode::kDeadlineExceeded,
                absl::StrCat("no complete request within ",
                             absl::FormatDuration(timeout)));
}

Refusal BadRequest(absl::string_view what) {
  return Refuse(400, absl::StatusCode::kInvalidArgument, what);
}

std::string RefusalBody(const Refusal& refusal) {
  const boost::json::object body = {
      {"code", static_cast<int>(refusal.status.code())},
      {"message", ToUtf8(refusal.status.message())},
  };
  return boost::json::serialize(body) + "\n";
}

}  // namespace headgate
