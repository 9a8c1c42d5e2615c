#include "gateway/net/http_dispatcher.h"

#include <iterator>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_join.h"
#include "gateway/console/console.h"
#include "gateway/http/cors.h"
#include "gateway/http/response.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

bool ExpectsContinue(const HttpRequest& request) {
  return request.version >= 11 &&
         request.headers.HasElement("Expect", "100-continue");
}

void Append(HttpFields more, HttpFields& fields) {
  std::move(more.begin(), more.end(), std::back_inserter(fields));
}

}  // namespace

HttpFields CommonFields(absl::Time now) {
  return {{"Server", "headgate"}, {"Date", HttpDate(now)}};
}

HttpDispatcher::HttpDispatcher(
    const HttpRequest& request, const Peer& peer,
    std::shared_ptr<const ConnectionSettings> settings, ConnectionHost& host,
    Owner& owner)
    : request_(request),
      settings_(std::move(settings)),
      host_(host),
      owner_(owner),
      peer_(peer) {}

void HttpDispatcher::Start() {
  if (settings_->policy.console != nullptr && AnswerConsole()) return;
  peer_.session_id = host_.NewSessionId();
  std::variant<Refusal, Located> located =
      LocateRequest(request_, settings_->policy, peer_);
  if (auto* refusal = std::get_if<Refusal>(&located)) {
    return EndWith(std::move(*refusal));
  }
  located_ = std::get<Located>(std::move(located));
  if (!located_->is_websocket && AnswerOptions(DialectVerbs(*located_))) {
    return;
  }
  const Route& route = *located_->match.route;
  peer_.client = ClientAddress(request_.headers, peer_.address,
                               settings_->policy.trusted_proxies);
  const Capacity capacity = host_.Admit(
      route, CountedAddress(peer_.client, settings_->policy.trusted_proxies),
      &place_);
  if (capacity != Capacity::kFree) {
    return EndWith(NoCapacity(request_, *located_, capacity));
  }
  using MethodFrom = RoutePlan::MethodFrom;
  if (located_->match.plan->method_from == MethodFrom::kHttpRules) {
    return FindRules();
  }
  Judge(nullptr);
}

void HttpDispatcher::Cancel() {
  ticket_.reset();
  admission_ticket_.reset();
  place_.reset();
}

// --- The console ---

bool HttpDispatcher::AnswerConsole() {
  std::optional<std::variant<Refusal, HttpTarget>> found =
      FindConsole(request_, settings_->policy, peer_);
  if (!found) return false;
  if (const auto* refusal = std::get_if<Refusal>(&*found)) {
    Refuse(*refusal);
    return true;
  }
  const HttpTarget& target = std::get<HttpTarget>(*found);
  auto answer = headgate::AnswerConsole(
      {request_.method, target.encoded_path, target.query,
       request_.headers.Value("Sec-Fetch-Site")},
      *settings_->policy.console);
  if (auto* response = std::get_if<ConsoleResponse>(&answer)) {
    owner_.OnOwnResponse({response->status, std::move(response->fields),
                          std::move(response->body), /*keep_alive=*/true});
    return true;
  }
  AwaitSchema(std::get<NeedsSchema>(answer).upstream,
              &HttpDispatcher::OnConsoleSchema);
  return true;
}

void HttpDispatcher::OnConsoleSchema(
    const absl::StatusOr<SchemaSnapshot>& snapshot) {
  const std::shared_ptr<void> owner = owner_.KeepAlive();
  // What it owns may be what is calling.
  const std::unique_ptr<SchemaSource::Ticket> ticket = std::move(ticket_);
  std::unique_ptr<Place> place = host_.TakeConsolePlace();
  ConsoleResponse response;
  if (!snapshot.ok()) {
    response = SchemaUnknownResponse(snapshot.status());
  } else if (place == nullptr) {
    response = SchemaUnknownResponse(absl::UnavailableError(
        "too many clients are reading schemas, try again"));
  } else {
    response = host_.console_cache().Respond(snapshot->schema);
  }
  owner_.OnOwnResponse({response.status, std::move(response.fields),
                        std::move(response.body), /*keep_alive=*/true,
                        std::move(place)});
}

// --- The upstream's rules ---

void HttpDispatcher::FindRules() {
  AwaitSchema(located_->match.route->upstream, &HttpDispatcher::OnRules);
}

void HttpDispatcher::AwaitSchema(
    const std::string& upstream,
    void (HttpDispatcher::*then)(const absl::StatusOr<SchemaSnapshot>&)) {
  SchemaSource::SnapshotOr found = host_.GetSchema(
      upstream, [this, then](const absl::StatusOr<SchemaSnapshot>& snapshot) {
        (this->*then)(snapshot);
      });
  if (const auto* snapshot =
          std::get_if<absl::StatusOr<SchemaSnapshot>>(&found)) {
    return (this->*then)(*snapshot);
  }
  ticket_ = std::get<std::unique_ptr<SchemaSource::Ticket>>(std::move(found));
}

void HttpDispatcher::OnRules(const absl::StatusOr<SchemaSnapshot>& snapshot) {
  const std::shared_ptr<void> owner = owner_.KeepAlive();
  // What it owns may be what is calling.
  const std::unique_ptr<SchemaSource::Ticket> ticket = std::move(ticket_);
  if (!snapshot.ok()) return Refuse(Unavailable(snapshot.status()));
  const HttpRules& rules = *snapshot->http_rules;
  if (!located_->is_websocket && AnswerOptionsOf(rules)) return;
  Judge(&rules);
}

bool HttpDispatcher::AnswerOptionsOf(const HttpRules& rules) {
  if (request_.method != "OPTIONS") return false;
  if (!IsPreflight(request_) &&
      rules.Find("OPTIONS", located_->match.path).ok()) {
    return false;
  }
  if (!AnswerOptions(AllowedVerbs(rules, *located_))) {
    Refuse(NotFound(located_->target.path));
  }
  return true;
}

bool HttpDispatcher::AnswerOptions(const std::vector<std::string>& verbs) {
  if (request_.method != "OPTIONS" || verbs.empty()) return false;
  if (const auto refusal =
          CheckOrigin(request_, settings_->policy, *located_)) {
    Refuse(*refusal);
    return true;
  }
  place_.reset();
  const bool is_preflight = IsPreflight(request_);
  HttpFields fields =
      is_preflight ? PreflightFields(request_, located_->own_origin,
                                     settings_->policy.allowed_origins, verbs)
                   : HttpFields{{"Allow", absl::StrJoin(verbs, ", ")}};
  if (!is_preflight) Append(Cors(), fields);
  owner_.OnOwnResponse({204, std::move(fields), "", /*keep_alive=*/true});
  return true;
}

// --- What it leads to ---

void HttpDispatcher::Judge(const HttpRules* rules) {
  std::variant<Refusal, Destination> found =
      FindDestination(request_, *located_, rules);
  if (auto* refusal = std::get_if<Refusal>(&found)) {
    return EndWith(std::move(*refusal));
  }
  const Destination& destination = std::get<Destination>(found);
  Judgement judgement = JudgeSession(request_, settings_->policy, peer_,
                                     *located_, destination, host_.clock());
  if (std::holds_alternative<Refusal>(judgement)) {
    return EndWith(std::move(judgement));
  }
  const std::string& identity = std::get<Admission>(judgement).identity;
  const Capacity capacity = identity.empty()
                                ? Capacity::kFree
                                : host_.AdmitIdentity(identity, &place_);
  if (capacity != Capacity::kFree) {
    return EndWith(NoCapacity(request_, *located_, capacity));
  }
  if (located_->is_websocket) {
    return AskAdmission(std::get<Admission>(std::move(judgement)));
  }
  Admission& admission = std::get<Admission>(judgement);
  // Dialects know the kind of call by the method's descriptor, if at all.
  HttpTransport::Options options = OptionsOf(
      admission, destination.kind.value_or(MethodKind::kBidiStreaming));
  owner_.OnCall(std::move(admission), std::move(options));
}

void HttpDispatcher::AskAdmission(Admission admission) {
  const auto asked = std::make_shared<Admission>(std::move(admission));
  admission_ticket_ = host_.AskAdmission(
      asked->session, [this, asked](const absl::Status& verdict) {
        OnVerdict(std::move(*asked), verdict);
      });
  if (admission_ticket_ == nullptr) EndWith(std::move(*asked));
}

void HttpDispatcher::OnVerdict(Admission admission,
                               const absl::Status& verdict) {
  const std::shared_ptr<void> owner = owner_.KeepAlive();
  // What it owns is what is calling; and the session takes its member from it.
  const auto ticket = std::move(admission_ticket_);
  if (verdict.ok()) return EndWith(std::move(admission));
  Refusal refusal = Unavailable(verdict);
  refusal.how = admission.session.route->refusals;
  refusal.subprotocol = admission.subprotocol;
  EndWith(std::move(refusal));
}

void HttpDispatcher::EndWith(Judgement judgement) {
  const auto* refusal = std::get_if<Refusal>(&judgement);
  if (refusal != nullptr && refusal->how == Refusals::kHttp) {
    return Refuse(*refusal);
  }
  if (refusal != nullptr) place_.reset();
  owner_.OnWebSocket(std::move(judgement));
}

HttpTransport::Options HttpDispatcher::OptionsOf(const Admission& admission,
                                                 MethodKind kind) const {
  const Route& route = *admission.session.route;
  HttpTransport::Options options;
  options.kind = kind;
  options.error_shape = route.json.error_shape;
  options.max_message_bytes = route.max_message_bytes;
  options.message_timeout = settings_->message_timeout;
  options.is_head = request_.method == "HEAD";
  options.expects_continue = ExpectsContinue(request_);
  options.has_trailers = request_.version >= 11 && !options.is_head &&
                         (admission.session.codec->needs_http2 ||
                          request_.headers.HasElement("TE", "trailers"));
  options.filler_interval = settings_->keepalive.interval;
  options.failure = admission.session.codec->failure;
  options.is_cross_origin = !request_.headers.Value("Origin").empty();
  options.fields = CommonFields(host_.clock().wall);
  for (const auto& [key, value] : admission.session.metadata) {
    if (key == "x-request-id")
      options.fields.emplace_back("X-Request-Id", value);
  }
  Append(Cors(), options.fields);
  return options;
}

void HttpDispatcher::Refuse(const Refusal& refusal) {
  Cancel();
  host_.HandshakeRefused(refusal, peer_.client_or_peer());
  OwnResponse response = ResponseOf(refusal);
  const bool is_http = located_ && !located_->is_websocket;
  if (is_http) Append(Cors(), response.fields);
  // Who hears that the gateway is shutting down should go elsewhere.
  response.keep_alive = is_http && refusal.reason != RefusalReason::kDraining;
  owner_.OnOwnResponse(std::move(response));
}

OwnResponse HttpDispatcher::ResponseOf(const Refusal& refusal) const {
  OwnResponse response;
  response.status = refusal.http_status;
  response.fields = refusal.headers;
  // 415 says that nobody here speaks that dialect.
  const Dialect* dialect =
      refusal.reason == RefusalReason::kMediaType
          ? nullptr
          : DialectOfRefusal(request_, located_ ? &*located_ : nullptr);
  if (dialect == nullptr) {
    response.fields.emplace_back("Content-Type", "application/json");
    response.body = RefusalBody(refusal);
    return response;
  }
  // Clients of gRPC know an unknown path as an unknown method.
  absl::Status status = refusal.status;
  if (absl::IsNotFound(status)) {
    status = absl::UnimplementedError(status.message());
  }
  WholeResponse failure = dialect->failure(CallEnd{std::move(status), ""});
  if (failure.head.http_status == 200) response.status = 200;
  Append(std::move(failure.head.fields), response.fields);
  if (request_.headers.Has("Origin")) {
    response.fields.emplace_back(
        "Access-Control-Expose-Headers",
        absl::StrJoin(FieldNames(failure.head.metadata), ", "));
  }
  Append(std::move(failure.head.metadata), response.fields);
  response.body = std::move(failure.body);
  return response;
}

HttpFields HttpDispatcher::Cors() const {
  return CorsFields(request_, located_->own_origin,
                    settings_->policy.allowed_origins);
}

}  // namespace headgate
