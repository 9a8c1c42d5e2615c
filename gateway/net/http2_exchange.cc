#include "gateway/net/http2_exchange.h"

#include <cassert>
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
      host_(host) {
  stream_->SetUser(this);
}

void Http2Exchange::Start() {
  const auto self = shared_from_this();
  host_.Add(self, listener_);
  const absl::Status complete = head_->Complete();
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
  if (state_ == State::kExchange) exchange_->OnReceived();
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
  writing_.pending = true;
  boost::asio::post(stream_->executor(),
                    [self = shared_from_this()] { self->OnWritten(); });
  return true;
}

void Http2Exchange::Send(ResponsePart part) {
  assert(!writing_.pending);
  const std::size_t length =
      part.head && part.head->is_whole && part.trailers.empty()
          ? part.content.size()
          : 0;
  if (head_->request().method == "HEAD") {
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
  writing_.pending = true;
  writing_.stalled_since.reset();
  writing_.pieces = {std::move(part.lead), std::move(part.content)};
  writing_.sent = 0;
  writing_.is_last = part.is_last;
  writing_.trailers = std::move(part.trailers);
  WriteOn();
}

void Http2Exchange::WriteOn() {
  for (;;) {
    std::array<absl::string_view, 2> left;
    std::size_t sent = writing_.sent;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const std::size_t of_this = std::min(sent, writing_.pieces[i].size());
      left[i] = absl::string_view(writing_.pieces[i]).substr(of_this);
      sent -= of_this;
      bytes += left[i].size();
    }
    if (bytes == 0) break;
    const ByteStream::Result written = stream_->Write(left);
    if (written.kind == ByteStream::Result::Kind::kWouldBlock) {
      return stream_->AwaitWritable();
    }
    writing_.failed = written.kind != ByteStream::Result::Kind::kDone;
    if (writing_.failed) break;
    writing_.sent += written.bytes;
  }
  for (std::string& piece : writing_.pieces) std::string().swap(piece);
  if (writing_.is_last && !writing_.failed)
    stream_->EndWrite(writing_.trailers);
  // Not from within Send.
  boost::asio::post(stream_->executor(),
                    [self = shared_from_this()] { self->OnWritten(); });
}

void Http2Exchange::OnWritable() {
  const auto self = shared_from_this();
  WriteOn();
}

void Http2Exchange::OnWritten() {
  writing_.pending = false;
  if (state_ == State::kFinished) return;
  if (writing_.failed) return Finish(TransportEnd::Cause::kLost);
  if (state_ == State::kExchange) return exchange_->OnSent();
  if (state_ == State::kAnswering) {
    Finish(TransportEnd::Cause::kClosedByGateway);
  }
}

// --- What the request leads to ---

void Http2Exchange::OnOwnResponse(OwnResponse response) {
  state_ = State::kAnswering;
  place_ = std::move(response.place);
  ResponsePart::Head head;
  head.status = response.status;
  head.fields = std::move(response.fields);
  HttpFields common = CommonFields(host_.now());
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
  HttpLink& link = *this;
  exchange_ = std::make_unique<HttpTransport>(std::move(options), link);
  std::unique_ptr<Session> session =
      host_.OpenSession(std::move(admission.session), *exchange_);
  if (session == nullptr) {
    exchange_.reset();
    return dispatcher_->Refuse(
        Unavailable(absl::UnavailableError("the configuration has changed")));
  }
  place_ = dispatcher_->TakePlace();
  state_ = State::kExchange;
  exchange_->Start(std::move(session), host_.now());
}

void Http2Exchange::OnFirstAnswer() {
  if (exchange_->session() != nullptr) {
    host_.FirstAnswer(*exchange_->session());
  }
}

void Http2Exchange::Post(std::function<void()> act) {
  boost::asio::post(stream_->executor(),
                    [self = shared_from_this(), act = std::move(act)] {
                      if (self->exchange_) act();
                    });
}

// --- How it ends ---

void Http2Exchange::ExchangeOver(Outcome outcome) {
  EndExchange();
  if (outcome == Outcome::kCutOff) stream_->Reset(h2::kInternalError);
  Finish(TransportEnd::Cause::kClosedByGateway);
}

void Http2Exchange::EndExchange() {
  if (exchange_ == nullptr) return;
  if (exchange_->session() != nullptr) {
    host_.SessionEnded(*exchange_->session());
  }
  exchange_.reset();
  place_.reset();
  cut_off_at_.reset();
}

void Http2Exchange::Finish(TransportEnd::Cause cause) {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  if (exchange_ != nullptr) {
    exchange_->OnLost({cause, CloseCode::kAbnormal, ""});
    EndExchange();
  }
  if (dispatcher_) dispatcher_->Cancel();
  stream_->write_ended() ? stream_->Close() : stream_->Reset(h2::kCancel);
  host_.Remove(*this);
}

// --- From outside ---

void Http2Exchange::OnTick(absl::Time now) {
  const auto self = shared_from_this();
  if (cut_off_at_ && now >= *cut_off_at_) {
    return Finish(TransportEnd::Cause::kClosedByGateway);
  }
  // Noticed by reading and writing, if any of these is under way.
  if (!stream_->failure().ok()) return Finish(TransportEnd::Cause::kLost);
  if (writing_.pending) {
    const std::uint64_t taken = stream_->BytesTaken();
    if (taken != std::exchange(writing_.taken, taken) ||
        !writing_.stalled_since) {
      writing_.stalled_since = now;
    }
    if (now - *writing_.stalled_since >= settings_->send_timeout) {
      return Finish(TransportEnd::Cause::kSendTimeout);
    }
  }
  if (state_ == State::kExchange) exchange_->OnTick(now);
}

void Http2Exchange::Drain(const DrainOrder& order) {
  draining_ = order;
  if (state_ == State::kFinding) {
    dispatcher_->Refuse(
        Unavailable(absl::UnavailableError("the gateway is shutting down")));
  } else if (state_ == State::kExchange) {
    exchange_->Drain(order);
  }
}

void Http2Exchange::CloseSession() {
  if (state_ == State::kExchange) exchange_->CloseSession();
}

std::size_t Http2Exchange::held_bytes() const {
  if (cut_off_at_) return 0;  // It is being freed.
  std::size_t bytes = stream_->held_bytes();
  for (const std::string& piece : writing_.pieces) bytes += piece.capacity();
  return bytes + (exchange_ == nullptr ? 0 : exchange_->held_bytes());
}

void Http2Exchange::CloseForMemory(absl::Time now, absl::Duration patience) {
  if (state_ != State::kExchange || cut_off_at_) return;
  cut_off_at_ = now + patience;
  exchange_->CloseForMemory();
  if (patience == absl::ZeroDuration()) OnTick(now);
}

const Session* Http2Exchange::session() const {
  return exchange_ == nullptr ? nullptr : exchange_->session();
}

void Http2Exchange::Abort() {
  const auto self = shared_from_this();
  Finish(TransportEnd::Cause::kAborted);
}

}  // namespace headgate
