#include "gateway/net/http_connection.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/http/cors.h"
#include "gateway/http/response.h"
#include "gateway/net/arrival.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

// What every answer says of the gateway.
HttpFields CommonFields(absl::Time now) {
  return {{"Server", "headgate"}, {"Date", HttpDate(now)}};
}

// What one read takes.
constexpr std::size_t kRequestReadBytes = 4096;

bool ExpectsContinue(const HttpRequest& request) {
  return request.version >= 11 &&
         request.headers.HasElement("Expect", "100-continue");
}

void Append(HttpFields more, HttpFields& fields) {
  std::move(more.begin(), more.end(), std::back_inserter(fields));
}

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<ByteStream> stream, Peer peer,
                               std::size_t listener, absl::Time since,
                               ConnectionHost& host)
    : stream_(std::move(stream)),
      listener_(listener),
      host_(host),
      settings_(host.SettingsOf(listener)),
      peer_(std::move(peer)),
      since_(since) {
  stream_->SetUser(this);
}

void HttpConnection::Start() { BeginRequest(since_); }

// --- Reading and writing ---

void HttpConnection::Receive() {
  // While a request is at work, what its client sends behind it is kept, but
  // no more than one head may be long.
  const bool full = received_.size() > settings_->max_header_bytes;
  if (reading_ || (full && state_ != State::kLingering)) return;
  reading_ = true;
  stream_->AwaitReadable();
}

void HttpConnection::OnReadable() {
  const auto self = shared_from_this();
  assert(state_ != State::kFinished);
  reading_ = false;
  const ByteStream::Result read =
      stream_->Read(host_.ReadBuffer().subspan(0, kRequestReadBytes));
  if (read.kind == ByteStream::Result::Kind::kWouldBlock) return Receive();
  if (read.kind != ByteStream::Result::Kind::kDone) return OnReadFailed();
  const absl::string_view bytes(host_.ReadBuffer().data(), read.bytes);
  switch (state_) {
    case State::kHead:
      // From here on it is a request that is slow.
      if (received_.empty() && !first_request_) since_ = host_.now();
      absl::StrAppend(&received_, bytes);
      return ReadHead();
    case State::kExchange:
      absl::StrAppend(&received_, bytes);
      return exchange_->OnReceived();
    case State::kFinding:
    case State::kAnswering:
      absl::StrAppend(&received_, bytes);
      return Receive();
    case State::kLingering:
      return Receive();
    case State::kFinished:
      return;
  }
}

void HttpConnection::OnReadFailed() {
  // An answer on its way may still get through to who has only stopped
  // sending; if not, the write will say so.
  if (state_ == State::kAnswering) return;
  if (state_ == State::kExchange && exchange_->is_ending()) return;
  Finish(TransportEnd::Cause::kLost);
}

void HttpConnection::Send(std::string head, std::string content,
                          std::string tail) {
  writing_ = true;
  send_stalled_since_.reset();
  outgoing_ = {std::move(head), std::move(content), std::move(tail)};
  outgoing_sent_ = 0;
  WriteOn();
}

void HttpConnection::WriteOn() {
  for (;;) {
    std::array<absl::string_view, 3> left;
    std::size_t sent = outgoing_sent_;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const std::size_t of_this = std::min(sent, outgoing_[i].size());
      left[i] = absl::string_view(outgoing_[i]).substr(of_this);
      sent -= of_this;
      bytes += left[i].size();
    }
    if (bytes == 0) break;
    const ByteStream::Result written = stream_->Write(left);
    if (written.kind == ByteStream::Result::Kind::kWouldBlock) {
      return stream_->AwaitWritable();
    }
    write_failed_ = written.kind != ByteStream::Result::Kind::kDone;
    if (write_failed_) break;
    outgoing_sent_ += written.bytes;
  }
  // Not from within Send.
  asio::post(stream_->executor(),
             [self = shared_from_this()] { self->OnWritten(); });
}

void HttpConnection::OnWritable() {
  const auto self = shared_from_this();
  WriteOn();
}

void HttpConnection::OnFirstAnswer() {
  if (exchange_->session() != nullptr) {
    host_.FirstAnswer(*exchange_->session());
  }
}

void HttpConnection::OnWritten() {
  writing_ = false;
  if (state_ == State::kFinished) return;
  if (write_failed_) return Finish(TransportEnd::Cause::kLost);
  if (state_ == State::kExchange) return exchange_->OnSent();
  if (state_ != State::kAnswering) return;
  if (!reusable_) return Linger();
  BeginRequest(host_.now());
}

void HttpConnection::Post(std::function<void()> act) {
  asio::post(
      stream_->executor(),
      [self = shared_from_this(), exchange = exchanges_, act = std::move(act)] {
        if (self->exchange_ && self->exchanges_ == exchange) act();
      });
}

void HttpConnection::SetIdle(bool idle) {
  if (std::exchange(idle_, idle) != idle) host_.SetIdle(*this, idle);
}

bool HttpConnection::MayMakeRoom(absl::Time now) const {
  const bool is_between_requests = !first_request_ && received_.empty();
  return idle_ && (is_between_requests || now - since_ >= kLeastIdle);
}

// --- From the head to what is done about it ---

void HttpConnection::BeginRequest(absl::Time since) {
  settings_ = host_.SettingsOf(listener_);
  state_ = State::kHead;
  since_ = since;
  located_.reset();
  head_.emplace(settings_->max_header_bytes);
  if (received_.empty()) received_.shrink_to_fit();
  ReadHead();
}

void HttpConnection::ReadHead() {
  // Empty lines before a request are ignored (RFC 9112 section 2.2).
  if (head_->bytes() == 0) {
    std::size_t empty_lines = 0;
    while (received_.compare(empty_lines, 2, "\r\n") == 0) empty_lines += 2;
    received_.erase(0, empty_lines);
    if (received_ == "\r") return Receive();
  }
  if (received_.empty()) {
    if (draining_) return Finish(TransportEnd::Cause::kClosedByGateway);
    SetIdle(true);
    return Receive();
  }
  switch (head_->Parse(received_)) {
    case RequestHead::Result::kNeedMore:
      SetIdle(true);
      return Receive();
    case RequestHead::Result::kTooLong:
      return Refuse(HeadersTooLarge(settings_->max_header_bytes));
    case RequestHead::Result::kMalformed:
      return Refuse(BadRequest(
          absl::StrCat("not an HTTP/1.1 request: ", head_->error())));
    case RequestHead::Result::kDone:
      received_.erase(0, head_->bytes());
      return OnHead();
  }
}

void HttpConnection::OnHead() {
  SetIdle(false);
  first_request_ = false;
  settings_ = host_.SettingsOf(listener_);
  if (settings_->policy.console != nullptr && AnswerConsoleRequest()) return;
  peer_.session_id = host_.NewSessionId();
  std::variant<Refusal, Located> located =
      LocateRequest(head_->request(), settings_->policy, peer_);
  if (auto* refusal = std::get_if<Refusal>(&located)) {
    if (refusal->how == Refusals::kClose) return Upgrade(*std::move(refusal));
    return Refuse(*refusal);
  }
  located_ = std::get<Located>(std::move(located));
  const Route& route = *located_->match.route;
  peer_.client = ClientAddress(head_->request().headers, peer_.address,
                               settings_->policy.trusted_proxies);
  const Capacity capacity = host_.Admit(
      route, CountedAddress(peer_.client, settings_->policy.trusted_proxies),
      &place_);
  if (capacity != Capacity::kFree) {
    Refusal refusal = NoCapacity(head_->request(), *located_, capacity);
    if (refusal.how == Refusals::kClose) return Upgrade(std::move(refusal));
    return Refuse(refusal);
  }
  using MethodFrom = RoutePlan::MethodFrom;
  if (located_->match.plan->method_from == MethodFrom::kHttpRules) {
    return FindRules();
  }
  Judge(nullptr);
}

void HttpConnection::FindRules() {
  state_ = State::kFinding;
  std::unique_ptr<SchemaSource::Ticket> ticket =
      host_.GetSchema(located_->match.route->upstream,
                      [this](const absl::StatusOr<SchemaSnapshot>& snapshot) {
                        OnRules(snapshot);
                      });
  if (state_ != State::kFinding) return;
  ticket_ = std::move(ticket);
  Receive();  // To see the client leave.
}

void HttpConnection::OnRules(const absl::StatusOr<SchemaSnapshot>& snapshot) {
  const auto self = shared_from_this();
  // What it owns may be what is calling.
  const std::unique_ptr<SchemaSource::Ticket> ticket = std::move(ticket_);
  if (!snapshot.ok()) return Refuse(Unavailable(snapshot.status()));
  const HttpRules& rules = *snapshot->http_rules;
  if (!located_->is_websocket && AnswerOptions(rules)) return;
  Judge(&rules);
}

bool HttpConnection::AnswerOptions(const HttpRules& rules) {
  const HttpRequest& request = head_->request();
  const std::string& path = located_->match.path;
  if (request.method != "OPTIONS") return false;
  const bool is_preflight = IsPreflight(request);
  if (!is_preflight && rules.Find("OPTIONS", path).ok()) return false;
  const std::vector<std::string> verbs = AllowedVerbs(rules, *located_);
  if (verbs.empty()) {
    Refuse(NotFound(located_->target.path));
  } else if (const auto refusal =
                 CheckOrigin(request, settings_->policy, *located_)) {
    Refuse(*refusal);
  } else {
    place_.reset();
    const std::vector<std::string>& origins = settings_->policy.allowed_origins;
    const OwnOrigin& own = located_->own_origin;
    HttpFields fields = is_preflight
                            ? PreflightFields(request, own, origins, verbs)
                            : HttpFields{{"Allow", absl::StrJoin(verbs, ", ")}};
    if (!is_preflight) Append(CorsFields(request, own, origins), fields);
    Answer(204, std::move(fields), "", true);
  }
  return true;
}

void HttpConnection::Judge(const HttpRules* rules) {
  const HttpRequest& request = head_->request();
  std::variant<Refusal, Destination> found =
      FindDestination(request, *located_, rules);
  Judgement judgement;
  if (auto* refusal = std::get_if<Refusal>(&found)) {
    judgement = *std::move(refusal);
  } else {
    judgement = JudgeSession(request, settings_->policy, peer_, *located_,
                             std::get<Destination>(found));
  }
  if (located_->is_websocket) return Upgrade(std::move(judgement));
  if (auto* refusal = std::get_if<Refusal>(&judgement)) return Refuse(*refusal);
  StartExchange(std::get<Admission>(std::move(judgement)),
                std::get<Destination>(found));
}

// --- WebSockets ---

void HttpConnection::Upgrade(Judgement judgement) {
  auto* refusal = std::get_if<Refusal>(&judgement);
  const bool is_by_http = refusal && refusal->how == Refusals::kHttp;
  if (!refusal && !received_.empty()) {
    // RFC 6455 section 4.1: the client waits for the answer.
    return Refuse(BadRequest("data before the handshake was answered"));
  }
  if (refusal && (is_by_http || !received_.empty())) return Refuse(*refusal);

  state_ = State::kFinished;
  if (refusal) {
    place_.reset();
    host_.HandshakeRefused(*refusal, peer_.client_or_peer());
  }
  auto transport = std::make_shared<WsTransport>(
      std::move(stream_), std::move(place_), settings_, host_);
  host_.Add(transport, listener_);
  if (refusal) {
    transport->AcceptAndClose(head_->request(), *refusal);
  } else {
    transport->Accept(head_->request(),
                      std::get<Admission>(std::move(judgement)));
    if (draining_) transport->Drain(*draining_);
  }
  host_.Remove(*this);
}

// --- Plain HTTP ---

void HttpConnection::StartExchange(Admission admission,
                                   const Destination& destination) {
  const MethodKind kind = *destination.kind;
  const HttpRequest& request = head_->request();
  const Route& route = *admission.session.route;
  HttpTransport::Options options;
  options.kind = kind;
  options.error_shape = route.json.error_shape;
  options.max_message_bytes = route.max_message_bytes;
  options.message_timeout = settings_->message_timeout;
  options.is_head = request.method == "HEAD";
  options.is_http_1_0 = request.version < 11;
  options.keep_alive = head_->keep_alive() && !draining_;
  options.expects_continue = ExpectsContinue(request);
  options.wants_trailers = request.headers.HasElement("TE", "trailers");
  options.filler_interval = settings_->keepalive.interval;
  options.is_cross_origin = !request.headers.Value("Origin").empty();
  options.fields = CommonFields(host_.now());
  for (const auto& [key, value] : admission.session.metadata) {
    if (key == "x-request-id")
      options.fields.emplace_back("X-Request-Id", value);
  }
  Append(CorsFields(request, located_->own_origin,
                    settings_->policy.allowed_origins),
         options.fields);

  ++exchanges_;
  HttpLink& link = *this;
  exchange_ =
      std::make_unique<HttpTransport>(std::move(options), head_->body(), link);
  std::unique_ptr<Session> session =
      host_.OpenSession(std::move(admission.session), *exchange_);
  if (session == nullptr) {
    exchange_.reset();
    return Refuse(
        Unavailable(absl::UnavailableError("the configuration has changed")));
  }
  state_ = State::kExchange;
  exchange_->Start(std::move(session), host_.now());
}

void HttpConnection::ExchangeOver(Afterwards afterwards) {
  EndExchange();
  switch (afterwards) {
    case Afterwards::kNextRequest:
      return BeginRequest(host_.now());
    case Afterwards::kClose:
      since_ = host_.now();
      return Linger();
    case Afterwards::kCutOff:
      return Finish(TransportEnd::Cause::kClosedByGateway);
  }
}

void HttpConnection::EndExchange() {
  if (exchange_ == nullptr) return;
  if (exchange_->session() != nullptr) {
    host_.SessionEnded(*exchange_->session());
  }
  exchange_.reset();
  place_.reset();
  cut_off_at_.reset();
}

// --- Answers of the gateway's own ---

void HttpConnection::Refuse(const Refusal& refusal) {
  place_.reset();
  host_.HandshakeRefused(refusal, peer_.client_or_peer());
  HttpFields fields = refusal.headers;
  fields.emplace_back("Content-Type", "application/json");
  const bool is_http = located_ && !located_->is_websocket;
  if (is_http) {
    Append(CorsFields(head_->request(), located_->own_origin,
                      settings_->policy.allowed_origins),
           fields);
  }
  // Who hears that the gateway is shutting down should go elsewhere.
  const bool keep_alive = is_http && refusal.reason != RefusalReason::kDraining;
  Answer(refusal.http_status, std::move(fields), RefusalBody(refusal),
         keep_alive);
}

void HttpConnection::Answer(int status, HttpFields fields, std::string body,
                            bool keep_alive) {
  SetIdle(false);
  state_ = State::kAnswering;
  since_ = host_.now();
  Append(CommonFields(since_), fields);
  if (status != 204) {
    fields.emplace_back("Content-Length", absl::StrCat(body.size()));
  }
  reusable_ = false;
  if (keep_alive && !draining_ && head_->keep_alive()) {
    // The body is of no interest, but the next request is behind it.
    RequestBody rest = head_->body();
    absl::string_view bytes = received_;
    std::string dropped;
    reusable_ = rest.Take(bytes, bytes.size(), dropped).ok() && rest.done();
    received_.erase(0, received_.size() - bytes.size());
  }
  if (!reusable_) {
    fields.emplace_back("Connection",
                        status == 426 ? "close, Upgrade" : "close");
  }
  if (head_->request().method == "HEAD") body.clear();
  Send(ResponseHead(status, fields), std::move(body), "");
}

// Closing at once would reset the connection when the client is still sending,
// and take the answer from it before it is read.
void HttpConnection::Linger() {
  state_ = State::kLingering;
  received_.clear();
  stream_->EndWrite();
  Receive();
}

// --- From outside ---

void HttpConnection::OnTick(absl::Time now) {
  if (cut_off_at_ && now >= *cut_off_at_) {
    return Finish(TransportEnd::Cause::kClosedByGateway);
  }
  switch (state_) {
    case State::kHead: {
      const bool is_idle = !first_request_ && received_.empty();
      const absl::Duration patience = is_idle ? settings_->keep_alive_timeout
                                              : settings_->handshake_timeout;
      if (now - since_ < patience) return;
      if (is_idle) return Finish(TransportEnd::Cause::kClosedByGateway);
      return Refuse(HandshakeTooSlow(patience));
    }
    case State::kAnswering:
    case State::kLingering:
      if (HasTaken()) since_ = now;  // It is still on its way to the end.
      if (now - since_ >= settings_->close_timeout) {
        Finish(TransportEnd::Cause::kClosedByGateway);
      }
      return;
    case State::kExchange:
      if (writing_) {
        if (HasTaken() || !send_stalled_since_) send_stalled_since_ = now;
        if (now - *send_stalled_since_ >= settings_->send_timeout) {
          return Finish(TransportEnd::Cause::kSendTimeout);
        }
      }
      return exchange_->OnTick(now);
    case State::kFinding:  // Has a time limit of its own.
    case State::kFinished:
      return;
  }
}

bool HttpConnection::HasTaken() {
  const std::uint64_t taken = stream_->BytesTaken();
  return taken != std::exchange(taken_, taken);
}

// A request that is still on its way will be answered with 503; there is no
// reason to wait for one that may never come.
void HttpConnection::Drain(const DrainOrder& order) {
  draining_ = order;
  if (state_ == State::kHead && received_.empty()) {
    Finish(TransportEnd::Cause::kClosedByGateway);
  } else if (state_ == State::kFinding) {
    ticket_.reset();
    Refuse(Unavailable(absl::UnavailableError("the gateway is shutting down")));
  } else if (state_ == State::kExchange) {
    exchange_->Drain(order);
  }
}

void HttpConnection::CloseSession() {
  if (state_ == State::kExchange) exchange_->CloseSession();
}

std::size_t HttpConnection::held_bytes() const {
  if (cut_off_at_) return 0;  // It is being freed.
  std::size_t bytes = received_.capacity() + stream_->held_bytes();
  for (const std::string& piece : outgoing_) bytes += piece.capacity();
  return bytes + (exchange_ == nullptr ? 0 : exchange_->held_bytes());
}

void HttpConnection::CloseForMemory(absl::Time now, absl::Duration patience) {
  if (state_ != State::kExchange || cut_off_at_) return;
  cut_off_at_ = now + patience;
  exchange_->CloseForMemory();
  if (patience == absl::ZeroDuration()) OnTick(now);
}

const Session* HttpConnection::session() const {
  return exchange_ == nullptr ? nullptr : exchange_->session();
}

void HttpConnection::Abort() { Finish(TransportEnd::Cause::kAborted); }

void HttpConnection::Finish(TransportEnd::Cause cause) {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  ticket_.reset();
  if (exchange_ != nullptr) {
    exchange_->OnLost({cause, CloseCode::kAbnormal, ""});
    EndExchange();
  }
  place_.reset();
  stream_->Close();
  host_.Remove(*this);
}

void ServeConnection(AcceptedConnection accepted, ConnectionHost& host) {
  const std::size_t listener = accepted.listener;
  std::shared_ptr<const ConnectionSettings> settings =
      host.SettingsOf(listener);
  auto socket = std::make_shared<SocketStream>(
      std::move(accepted.socket), std::move(accepted.place),
      std::move(accepted.address_place));
  if (settings->proxy_protocol || settings->tls != nullptr) {
    auto arrival = std::make_shared<Arrival>(
        std::move(socket), std::move(accepted.address), listener,
        std::move(settings), host);
    host.Add(arrival, listener);
    return arrival->Start();
  }
  Peer peer;
  peer.address = std::move(accepted.address);
  auto connection = std::make_shared<HttpConnection>(
      std::move(socket), std::move(peer), listener, host.now(), host);
  host.Add(connection, listener);
  connection->Start();
}

}  // namespace headgate
