#include "gateway/net/http2_exchange.h"

#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"

namespace headgate {

Http2Exchange::Http2Exchange(std::shared_ptr<Http2Stream> stream,
                             const Peer& peer, std::size_t listener,
                             std::shared_ptr<const ConnectionSettings> settings,
                             ConnectionHost& host)
    : stream_(std::move(stream)),
      head_(stream_->TakeRequest()),
      peer_(peer),
      listener_(listener),
      settings_(std::move(settings)),
      host_(host),
      call_(host, *this) {
  stream_->SetUser(this);
}

void Http2Exchange::Start() {
  const auto self = shared_from_this();
  host_.Add(self, listener_);
  const absl::Status complete = head_->Complete();
  is_head_ = head_->request().method == "HEAD";
  HttpDispatcher::Owner& owner = *this;
  dispatcher_.emplace(head_->request(), peer_, settings_, host_, owner);
  if (!complete.ok()) {
    return dispatcher_->Refuse(BadRequest(complete.message()));
  }
  dispatcher_->Start();
  if (state_ == State::kFinding) Receive();  // To see the client leave.
}

// --- The stream ---

void Http2Exchange::OnReadable() {
  const auto self = shared_from_this();
  if (state_ == State::kFinished) return;
  if (!stream_->failure().ok()) return Finish(TransportEnd::Cause::kLost);
  if (state_ == State::kExchange) call_.exchange().OnReceived();
}

void Http2Exchange::OnTurn() {
  const auto self = shared_from_this();
  Turn& turn = host_.turn();
  if (turn.has_worked_long()) return turn.Postpone(*this);
  const Turn::Work work(turn);
  if (state_ == State::kExchange) call_.exchange().OnReceived();
}

absl::StatusOr<HttpLink::BodyPiece> Http2Exchange::TakeBody(
    std::size_t max_bytes) {
  BodyPiece piece;
  piece.bytes = stream_->Take(max_bytes);
  piece.wire_bytes = piece.bytes.size();
  return piece;
}

bool Http2Exchange::Continue() {
  if (stream_->at_end() || stream_->has_bytes()) return false;
  stream_->Continue();
  write_.Begin({});
  WriteOn();
  return true;
}

void Http2Exchange::Send(ResponsePart part) {
  const std::size_t length =
      part.head && part.head->is_whole && part.trailers.empty()
          ? part.content.size()
          : 0;
  if (is_head_) {
    part.lead.clear();
    part.content.clear();
    part.trailers.clear();
    part.is_last = part.is_last || part.head;
  }
  const bool has_body = !part.lead.empty() || !part.content.empty();
  if (part.head) {
    HttpFields& fields = part.head->fields;
    if (length > 0) fields.emplace_back("Content-Length", absl::StrCat(length));
    stream_->Respond(part.head->status, fields,
                     part.is_last && !has_body && part.trailers.empty());
  }
  ends_with_write_ = part.is_last;
  trailers_ = std::move(part.trailers);
  write_.Begin({std::move(part.lead), std::move(part.content), ""});
  WriteOn();
}

void Http2Exchange::WriteOn() {
  switch (write_.Continue(*stream_)) {
    case PendingWrite::State::kUnderWay:
      return stream_->AwaitWritable();
    case PendingWrite::State::kTaken:
      if (ends_with_write_) stream_->EndWrite(trailers_);
      break;
    case PendingWrite::State::kFailed:
    case PendingWrite::State::kNone:
      break;
  }
  // Not from within Send.
  boost::asio::post(stream_->executor(),
                    [self = shared_from_this()] { self->OnWritten(); });
}

void Http2Exchange::OnWritable() {
  const auto self = shared_from_this();
  WriteOn();
}

void Http2Exchange::OnWritten() {
  const bool taken = write_.Complete();
  if (state_ == State::kFinished) return;
  if (!taken) return Finish(TransportEnd::Cause::kLost);
  if (state_ == State::kExchange) return call_.exchange().OnSent();
  if (state_ == State::kAnswering) {
    Finish(TransportEnd::Cause::kClosedByGateway);
  }
}

// --- What the request leads to ---

void Http2Exchange::OnOwnResponse(OwnResponse response) {
  state_ = State::kAnswering;
  ReleaseRequest();
  own_place_ = std::move(response.place);
  ResponsePart::Head head;
  head.status = response.status;
  head.fields = std::move(response.fields);
  HttpFields common = CommonFields(host_.clock().wall);
  std::move(common.begin(), common.end(), std::back_inserter(head.fields));
  head.is_whole = true;
  ResponsePart part;
  part.head = std::move(head);
  part.content = std::move(response.body);
  part.is_last = true;
  Send(std::move(part));
}

void Http2Exchange::OnWebSocket(HttpDispatcher::Judgement judgement) {
  state_ = State::kFinished;
  auto transport = std::make_shared<WsTransport>(
      stream_, dispatcher_->TakePlace(), settings_, host_);
  host_.Add(transport, listener_);
  WsTransport::HeadSink& sink = *this;
  if (const auto* refusal = std::get_if<Refusal>(&judgement)) {
    host_.HandshakeRefused(*refusal, dispatcher_->peer().client_or_peer());
    transport->AcceptAndClose(head_->request(), *refusal, &sink);
  } else {
    transport->Accept(head_->request(),
                      std::get<Admission>(std::move(judgement)), &sink);
    if (draining_) transport->Drain(*draining_);
  }
  host_.Remove(*this);
}

void Http2Exchange::RespondToConnect(const HttpFields& fields) {
  stream_->Respond(200, fields, /*is_last=*/false);
}

void Http2Exchange::OnCall(Admission admission,
                           HttpTransport::Options options) {
  const absl::Status opened =
      call_.Open(std::move(admission), std::move(options));
  if (!opened.ok()) return dispatcher_->Refuse(Unavailable(opened));
  state_ = State::kExchange;
  std::unique_ptr<Place> place = dispatcher_->TakePlace();
  ReleaseRequest();
  call_.Start(std::move(place));
}

void Http2Exchange::ReleaseRequest() {
  dispatcher_.reset();
  head_.reset();
}

void Http2Exchange::Post(std::function<void()> act) {
  boost::asio::post(stream_->executor(),
                    [self = shared_from_this(), act = std::move(act)] {
                      if (self->call_.is_open()) act();
                    });
}

// --- How it ends ---

void Http2Exchange::ExchangeOver(Outcome outcome) {
  call_.End();
  if (outcome == Outcome::kCutOff) stream_->Reset(h2::kInternalError);
  Finish(TransportEnd::Cause::kClosedByGateway);
}

void Http2Exchange::Finish(TransportEnd::Cause cause) {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  call_.Lose(cause);
  if (dispatcher_) dispatcher_->Cancel();
  stream_->write_ended() ? stream_->Close() : stream_->Reset(h2::kCancel);
  host_.Remove(*this);
}

// --- From outside ---

void Http2Exchange::OnTick(absl::Time now) {
  const auto self = shared_from_this();
  if (call_.is_cut_off(now)) {
    return Finish(TransportEnd::Cause::kClosedByGateway);
  }
  // Noticed by reading and writing, if any of these is under way.
  if (!stream_->failure().ok()) return Finish(TransportEnd::Cause::kLost);
  if (write_.IsStalled(now, stream_->BytesTaken(), settings_->send_timeout)) {
    return Finish(TransportEnd::Cause::kSendTimeout);
  }
  if (state_ == State::kExchange) call_.exchange().OnTick(now);
}

void Http2Exchange::Drain(const DrainOrder& order) {
  draining_ = order;
  if (state_ == State::kFinding) {
    dispatcher_->Refuse(
        Unavailable(absl::UnavailableError("the gateway is shutting down")));
  } else if (state_ == State::kExchange) {
    call_.exchange().Drain(order);
  }
}

void Http2Exchange::CloseSession() {
  if (state_ == State::kExchange) call_.exchange().CloseSession();
}

std::size_t Http2Exchange::held_bytes() const {
  if (call_.is_being_freed()) return 0;
  return stream_->held_bytes() + write_.held_bytes() + call_.held_bytes() +
         (head_ == nullptr ? 0 : head_->held_bytes());
}

void Http2Exchange::CloseForMemory(absl::Time now, absl::Duration patience) {
  const auto self = shared_from_this();
  if (state_ != State::kExchange) return Finish(TransportEnd::Cause::kLost);
  call_.CloseForMemory(now, patience);
  if (patience == absl::ZeroDuration()) OnTick(now);
}

void Http2Exchange::Abort() {
  const auto self = shared_from_this();
  Finish(TransportEnd::Cause::kAborted);
}

}  // namespace headgate
