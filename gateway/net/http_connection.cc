#include "gateway/net/http_connection.h"

#include <cassert>
#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/http/response.h"
#include "gateway/net/arrival.h"
#include "gateway/net/http2_connection.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

// What one read takes.
constexpr std::size_t kRequestReadBytes = 4096;
// Of what a client goes on sending once it has its response: enough for one
// that sends a body of a usual length and reads the response after it.
constexpr std::size_t kMostDropped = 4 << 20;

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<ByteStream> stream, Peer peer,
                               std::size_t listener, absl::Time since,
                               ConnectionHost& host)
    : stream_(std::move(stream)),
      listener_(listener),
      host_(host),
      settings_(host.SettingsOf(listener)),
      peer_(std::move(peer)),
      since_(since),
      call_(host, *this) {
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
      return ReceiveSoon();
    case State::kFinding:
    case State::kAnswering:
      absl::StrAppend(&received_, bytes);
      return Receive();
    case State::kLingering:
      dropped_ += bytes.size();
      if (dropped_ > kMostDropped) {
        return Finish(TransportEnd::Cause::kClosedByGateway);
      }
      return Receive();
    case State::kFinished:
      return;
  }
}

void HttpConnection::OnTurn() {
  const auto self = shared_from_this();
  if (state_ == State::kHead) return ReadHead();
  Turn& turn = host_.turn();
  if (turn.has_worked_long()) return turn.Postpone(*this);
  const Turn::Work work(turn);
  if (state_ == State::kExchange) call_.exchange().OnReceived();
}

void HttpConnection::OnReadFailed() {
  // An answer on its way may still get through to who has only stopped
  // sending; if not, the write will say so.
  if (state_ == State::kAnswering) return;
  if (state_ == State::kExchange && call_.exchange().is_ending()) return;
  Finish(TransportEnd::Cause::kLost);
}

void HttpConnection::Send(ResponsePart part) {
  std::string head = part.head ? Head(part) : std::string();
  if (head_->request().method == "HEAD") {
    return SendBytes(std::move(head), "", "");
  }
  if (!chunked_) {
    head += part.lead;
    return SendBytes(std::move(head), std::move(part.content), "");
  }
  std::string tail;
  if (!part.lead.empty()) {
    absl::StrAppend(&head, ChunkBegin(part.lead.size()), part.lead, "\r\n");
  }
  if (!part.content.empty()) {  // An empty chunk would be the last one.
    head += ChunkBegin(part.content.size());
    tail = "\r\n";
  }
  if (part.is_last) tail += LastChunk(part.trailers);
  SendBytes(std::move(head), std::move(part.content), std::move(tail));
}

std::string HttpConnection::Head(ResponsePart& part) {
  HttpFields& fields = part.head->fields;
  if (part.is_last) DropBody();
  // Else what the client is still sending would have to be read first.
  reusable_ = head_->keep_alive() && !draining_ && body_.done();
  const bool has_length = part.head->is_whole && part.trailers.empty();
  chunked_ = !has_length && head_->request().version >= 11;
  if (has_length) {
    fields.emplace_back("Content-Length", absl::StrCat(part.content.size()));
  }
  if (chunked_) fields.emplace_back("Transfer-Encoding", "chunked");
  if (!part.trailers.empty() && part.head->is_whole) {
    fields.emplace_back("Trailer",
                        absl::StrJoin(FieldNames(part.trailers), ", "));
  }
  if (!reusable_) {
    fields.emplace_back("Connection", "close");
  }
  return ResponseHead(part.head->status, fields);
}

absl::StatusOr<HttpLink::BodyPiece> HttpConnection::TakeBody(
    std::size_t max_bytes) {
  BodyPiece piece;
  absl::string_view bytes = received_;
  const absl::Status taken = body_.Take(bytes, max_bytes, piece.bytes);
  piece.wire_bytes = received_.size() - bytes.size();
  received_.erase(0, piece.wire_bytes);
  if (!taken.ok()) return taken;
  return piece;
}

bool HttpConnection::DropBody() {
  absl::string_view bytes = received_;
  std::string dropped;
  const bool is_body = body_.Take(bytes, bytes.size(), dropped).ok();
  received_.erase(0, received_.size() - bytes.size());
  return is_body;
}

bool HttpConnection::Continue() {
  if (body_.done() || !received_.empty()) return false;
  SendBytes(std::string(kContinue), "", "");
  return true;
}

void HttpConnection::SendBytes(std::string head, std::string content,
                               std::string tail) {
  write_.Begin({std::move(head), std::move(content), std::move(tail)});
  WriteOn();
}

void HttpConnection::WriteOn() {
  if (write_.Continue(*stream_) == PendingWrite::State::kUnderWay) {
    return stream_->AwaitWritable();
  }
  // Not from within Send.
  asio::post(stream_->executor(),
             [self = shared_from_this()] { self->OnWritten(); });
}

void HttpConnection::OnWritable() {
  const auto self = shared_from_this();
  WriteOn();
}

void HttpConnection::OnWritten() {
  const bool taken = write_.Complete();
  if (state_ == State::kFinished) return;
  if (!taken) return Finish(TransportEnd::Cause::kLost);
  if (state_ == State::kExchange) return call_.exchange().OnSent();
  if (state_ != State::kAnswering) return;
  own_place_.reset();
  if (!reusable_) return Linger();
  BeginRequest(host_.now());
}

void HttpConnection::Post(std::function<void()> act) {
  asio::post(
      stream_->executor(),
      [self = shared_from_this(), exchange = exchanges_, act = std::move(act)] {
        if (self->call_.is_open() && self->exchanges_ == exchange) act();
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
  dispatcher_.reset();
  head_.emplace(settings_->max_header_bytes);
  body_ = RequestBody::OfLength(0);
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
  // A client may have sent many requests at once, on many connections.
  Turn& turn = host_.turn();
  if (turn.has_worked_long()) return turn.Postpone(*this);
  const Turn::Work work(turn);
  if (MayBeHttp2()) {
    if (received_.size() >= kHttp2Preface.size()) return ServeHttp2();
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

bool HttpConnection::MayBeHttp2() const {
  return first_request_ && settings_->http2.enabled && !peer_.is_tls &&
         head_->bytes() == 0 &&
         absl::string_view(received_).substr(0, kHttp2Preface.size()) ==
             kHttp2Preface.substr(0, received_.size());
}

void HttpConnection::ServeHttp2() {
  SetIdle(false);
  state_ = State::kFinished;
  auto connection = std::make_shared<Http2Connection>(
      std::move(stream_), std::move(peer_), listener_, since_, host_);
  host_.Add(connection, listener_);
  connection->Start(received_);
  if (draining_) connection->Drain(*draining_);
  host_.Remove(*this);
}

void HttpConnection::OnHead() {
  SetIdle(false);
  first_request_ = false;
  settings_ = host_.SettingsOf(listener_);
  body_ = head_->body();
  state_ = State::kFinding;
  HttpDispatcher::Owner& owner = *this;
  dispatcher_.emplace(head_->request(), peer_, settings_, host_, owner);
  dispatcher_->Start();
  if (state_ == State::kFinding) Receive();  // To see the client leave.
}

// --- WebSockets ---

void HttpConnection::OnWebSocket(Judgement judgement) {
  const auto* refusal = std::get_if<Refusal>(&judgement);
  if (refusal == nullptr && !received_.empty()) {
    // RFC 6455 section 4.1: the client waits for the answer.
    return dispatcher_->Refuse(
        BadRequest("data before the handshake was answered"));
  }
  if (refusal != nullptr && !received_.empty()) {
    return dispatcher_->Refuse(*refusal);
  }
  state_ = State::kFinished;
  if (refusal != nullptr) {
    host_.HandshakeRefused(*refusal, dispatcher_->peer().client_or_peer());
  }
  auto transport = std::make_shared<WsTransport>(
      std::move(stream_), dispatcher_->TakePlace(), settings_, host_);
  host_.Add(transport, listener_);
  if (refusal != nullptr) {
    transport->AcceptAndClose(head_->request(), *refusal);
  } else {
    transport->Accept(head_->request(),
                      std::get<Admission>(std::move(judgement)));
    if (draining_) transport->Drain(*draining_);
  }
  host_.Remove(*this);
}

// --- Plain HTTP ---

void HttpConnection::OnCall(Admission admission,
                            HttpTransport::Options options) {
  ++exchanges_;
  const absl::Status opened =
      call_.Open(std::move(admission), std::move(options));
  if (!opened.ok()) return dispatcher_->Refuse(Unavailable(opened));
  state_ = State::kExchange;
  call_.Start(dispatcher_->TakePlace());
}

void HttpConnection::ExchangeOver(Outcome outcome) {
  call_.End();
  if (outcome == Outcome::kCutOff) {
    return Finish(TransportEnd::Cause::kClosedByGateway);
  }
  since_ = host_.now();
  reusable_ ? BeginRequest(since_) : Linger();
}

// --- Answers of the gateway's own ---

void HttpConnection::Refuse(const Refusal& refusal) {
  host_.HandshakeRefused(refusal, peer_.client_or_peer());
  OwnResponse response;
  response.status = refusal.http_status;
  response.fields = refusal.headers;
  response.fields.emplace_back("Content-Type", "application/json");
  response.body = RefusalBody(refusal);
  OnOwnResponse(std::move(response));
}

void HttpConnection::OnOwnResponse(OwnResponse response) {
  SetIdle(false);
  state_ = State::kAnswering;
  since_ = host_.now();
  HttpFields common = CommonFields(since_);
  std::move(common.begin(), common.end(), std::back_inserter(response.fields));
  if (response.status != 204) {
    response.fields.emplace_back("Content-Length",
                                 absl::StrCat(response.body.size()));
  }
  // The body is of no interest, but the next request is behind it.
  reusable_ = response.keep_alive && !draining_ && head_->keep_alive() &&
              DropBody() && body_.done();
  if (!reusable_) {
    response.fields.emplace_back(
        "Connection", response.status == 426 ? "close, Upgrade" : "close");
  }
  if (head_->request().method == "HEAD") response.body.clear();
  own_place_ = std::move(response.place);
  SendBytes(ResponseHead(response.status, response.fields),
            std::move(response.body), "");
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
  if (call_.is_cut_off(now)) {
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
      if (write_.IsStalled(now, stream_->BytesTaken(),
                           settings_->send_timeout)) {
        return Finish(TransportEnd::Cause::kSendTimeout);
      }
      return call_.exchange().OnTick(now);
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
    dispatcher_->Refuse(
        Unavailable(absl::UnavailableError("the gateway is shutting down")));
  } else if (state_ == State::kExchange) {
    call_.exchange().Drain(order);
  }
}

void HttpConnection::CloseSession() {
  if (state_ == State::kExchange) call_.exchange().CloseSession();
}

std::size_t HttpConnection::held_bytes() const {
  if (call_.is_being_freed()) return 0;
  return received_.capacity() + stream_->held_bytes() + write_.held_bytes() +
         call_.held_bytes();
}

void HttpConnection::CloseForMemory(absl::Time now, absl::Duration patience) {
  if (state_ != State::kExchange) {
    return Finish(TransportEnd::Cause::kClosedByGateway);
  }
  call_.CloseForMemory(now, patience);
  if (patience == absl::ZeroDuration()) OnTick(now);
}

void HttpConnection::Abort() { Finish(TransportEnd::Cause::kAborted); }

void HttpConnection::Finish(TransportEnd::Cause cause) {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  call_.Lose(cause);
  if (dispatcher_) dispatcher_->Cancel();
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
