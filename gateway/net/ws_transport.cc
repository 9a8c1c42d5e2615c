#include "gateway/net/ws_transport.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/net/http_response.h"
#include "gateway/ws/frame.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using boost::beast::bind_front_handler;

// What one read takes. A client that is not read from for a while leaves no
// more than this waiting in the session, unless it is the rest of one message.
constexpr std::size_t kReadBytes = 16 * 1024;
// With TLS, where a silent socket holds this much.
constexpr std::size_t kFirstTlsReadBytes = 1024;

// Of what comes once the gateway closes, that is read so that the client gets
// as far as the Close frame; a client that goes on is cut off.
constexpr std::size_t kMostDroppedBytes = 64 * 1024 * 1024;

// What may have come before the session is told, for the rates.
constexpr std::size_t kMostUntoldBytes = 64 * 1024;

// Of the pings of keepalive, so that a pong unasked for is no answer.
constexpr absl::string_view kPingPayload = "headgate";

// RFC 6455 section 4.2.2.
std::string AcceptKey(absl::string_view key) {
  const std::string text =
      absl::StrCat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       digest);
  return absl::Base64Escape(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

std::array<asio::const_buffer, 2> BuffersOf(
    const std::array<absl::string_view, 2>& pieces) {
  return {asio::buffer(pieces[0].data(), pieces[0].size()),
          asio::buffer(pieces[1].data(), pieces[1].size())};
}

bool WouldBlock(const boost::beast::error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again;
}

}  // namespace

WsTransport::WsTransport(Wire wire, std::unique_ptr<Place> place,
                         std::shared_ptr<const ConnectionSettings> settings,
                         ConnectionHost& host)
    : wire_(std::move(wire)),
      settings_(std::move(settings)),
      host_(host),
      place_(std::move(place)) {}

// --- The handshake ---

void WsTransport::Answer(const HttpRequest& request,
                         const std::string& subprotocol,
                         std::size_t max_message_bytes) {
  HttpFields fields = {{"Upgrade", "websocket"},
                       {"Connection", "Upgrade"},
                       {"Sec-WebSocket-Accept",
                        AcceptKey(HeaderValue(request, "Sec-WebSocket-Key"))},
                       {"Server", "headgate"}};
  if (!subprotocol.empty()) {
    fields.emplace_back("Sec-WebSocket-Protocol", subprotocol);
  }
  std::unique_ptr<ws::Inflater> inflater;
  if (settings_->compression.enabled) {
    if (const auto agreement = ws::AgreeOnDeflate(
            HeaderValues(request, "Sec-WebSocket-Extensions"),
            settings_->compression)) {
      fields.emplace_back("Sec-WebSocket-Extensions", agreement->header);
      inflater = std::make_unique<ws::Inflater>(*agreement);
      deflater_ = std::make_unique<ws::Deflater>(*agreement,
                                                 settings_->compression.level);
    }
  }
  reader_.emplace(max_message_bytes, std::move(inflater));
  outbox_.Put(ResponseHead(101, fields));
  SendSoon();
}

void WsTransport::Accept(const HttpRequest& request, Admission admission) {
  Answer(request, admission.subprotocol,
         admission.session.route->max_message_bytes);
  session_ = host_.OpenSession(std::move(admission.session), *this);
  if (session_ == nullptr) {
    return Close(
        EndingOf(absl::UnavailableError("the configuration has changed")));
  }
  session_->Start(host_.now());
}

void WsTransport::AcceptAndClose(const HttpRequest& request,
                                 const Refusal& refusal) {
  Answer(request, refusal.subprotocol, 0);
  Close(EndingOf(refusal.status));
}

// --- Reading ---

void WsTransport::Read() {
  if (state_ != State::kOpen || read_wanted_) return;
  read_wanted_ = true;
  if (pumping_) return;
  if (rest_.empty()) {
    Await();
  } else {
    SendSoon();  // Not from within this.
  }
}

bool WsTransport::WantsBytes() const {
  switch (state_) {
    case State::kOpen:
      return read_wanted_ && !notified_;
    case State::kClosing:
      return true;
    case State::kBroken:
    case State::kHangingUp:
      // TLS is not read while it is shut down.
      return !wire_.is_tls();
    case State::kFinished:
      return false;
  }
  return false;
}

void WsTransport::Await() {
  if (awaiting_ || !rest_.empty() || !WantsBytes()) return;
  awaiting_ = true;
  if (wire_.is_tls()) return AwaitTls();
  wire_.AsyncWait(
      StreamSocket::wait_read,
      bind_front_handler(&WsTransport::OnReadable, shared_from_this()));
}

void WsTransport::OnReadable(Error error) {
  awaiting_ = false;
  if (state_ == State::kFinished) return;
  if (error) return OnReadFailed(error);
  if (!WantsBytes()) return;
  const absl::Span<char> buffer = host_.ReadBuffer();
  const std::size_t room = std::min<std::uint64_t>(
      buffer.size(), std::max<std::uint64_t>(kReadBytes, reader_->missing()));
  const std::size_t bytes =
      wire_.ReadNow(asio::buffer(buffer.data(), room), error);
  if (WouldBlock(error)) return Await();
  if (error) return OnReadFailed(error);
  OnBytes({buffer.data(), bytes});
}

void WsTransport::AwaitTls() {
  if (tls_incoming_.empty()) tls_incoming_.resize(kFirstTlsReadBytes);
  wire_.async_read_some(
      asio::buffer(tls_incoming_),
      bind_front_handler(&WsTransport::OnTlsRead, shared_from_this()));
}

void WsTransport::OnTlsRead(Error error, std::size_t bytes) {
  awaiting_ = false;
  if (state_ == State::kFinished) return;
  if (error) return OnReadFailed(error);
  // Larger where there is much to read; a silent socket gives it back.
  std::string incoming = std::move(tls_incoming_);
  const std::size_t size = bytes == incoming.size()
                               ? std::min(2 * incoming.size(), kReadBytes)
                               : kFirstTlsReadBytes;
  tls_incoming_ = std::string(size, '\0');
  OnBytes(absl::string_view(incoming).substr(0, bytes));
}

void WsTransport::OnBytes(absl::string_view bytes) {
  Wake();
  heard_ = true;
  const std::size_t taken = Pump(bytes);
  if (state_ == State::kFinished) return;
  if (taken < bytes.size()) {
    const absl::string_view left = bytes.substr(taken);
    rest_.assign(left.data(), left.size());
    rest_taken_ = 0;
  }
  Await();
}

void WsTransport::TakeRest() {
  if (rest_.empty() || !WantsBytes()) return;
  std::string rest = std::exchange(rest_, {});
  rest_taken_ += Pump(absl::string_view(rest).substr(rest_taken_));
  if (state_ == State::kFinished) return;
  if (rest_taken_ < rest.size()) {
    rest_ = std::move(rest);
  } else {
    rest_taken_ = 0;
  }
  Await();
}

std::size_t WsTransport::Pump(absl::string_view bytes) {
  const std::size_t size = bytes.size();
  pumping_ = true;
  while (!bytes.empty() && WantsBytes()) {
    const std::size_t before = bytes.size();
    const bool dropped = state_ != State::kOpen;
    ws::Reader::Event event = ws::Reader::Event::kNeedsBytes;
    if (state_ == State::kHangingUp) {
      bytes = {};
    } else {
      event = reader_->Next(bytes);
    }
    (dropped ? dropped_bytes_ : untold_bytes_) += before - bytes.size();
    OnEvent(event);
  }
  pumping_ = false;
  TellMuchTraffic();
  if (dropped_bytes_ > kMostDroppedBytes) Abort();
  return size - bytes.size();
}

void WsTransport::OnEvent(ws::Reader::Event event) {
  switch (event) {
    case ws::Reader::Event::kNeedsBytes:
      return;
    case ws::Reader::Event::kMessage: {
      WireMessage message = reader_->TakeMessage();
      if (state_ != State::kOpen) return;
      TellTraffic();
      if (state_ != State::kOpen) return;
      read_wanted_ = false;
      return session_->OnMessage(std::move(message));
    }
    case ws::Reader::Event::kTooBig:
      if (state_ != State::kOpen) return;
      return session_->OnMessageTooBig(WaitForAnswers());
    case ws::Reader::Event::kPing:
      ++control_frames_;
      if (state_ != State::kOpen) return;
      // Section 5.5.3: of several pings the last may be answered alone.
      pong_ = std::string(reader_->control_payload());
      PutPong();
      return SendSoon();
    case ws::Reader::Event::kPong:
      return OnPong();
    case ws::Reader::Event::kClose:
      return OnCloseFrame();
    case ws::Reader::Event::kFault:
      return OnFault();
  }
}

void WsTransport::OnPong() {
  if (pinged_at_ && reader_->control_payload() == kPingPayload) {
    // It was asked for.
    return host_.PingAnswered(host_.now() -
                              *std::exchange(pinged_at_, std::nullopt));
  }
  ++control_frames_;
}

void WsTransport::TellTraffic() {
  const std::size_t count = std::exchange(control_frames_, 0);
  const std::size_t bytes = std::exchange(untold_bytes_, 0);
  if (session_ == nullptr || notified_) return;
  if (bytes > 0) session_->OnWireBytes(bytes);
  if (count > 0) session_->OnControlFrames(count);
}

void WsTransport::TellMuchTraffic() {
  if (untold_bytes_ >= kMostUntoldBytes && state_ == State::kOpen) {
    TellTraffic();
  }
}

std::optional<std::uint64_t> WsTransport::UnfinishedMessage() const {
  if (!awaiting_ || notified_) return std::nullopt;
  const std::optional<std::uint64_t> by_frames = reader_->unfinished();
  const std::optional<std::uint64_t> by_codec = session_->unfinished_message();
  // A text of several messages is one as long as it lasts.
  if (by_codec) return 2 * *by_codec + 1;
  if (by_frames) return 2 * *by_frames;
  return std::nullopt;
}

// The call need not wait until the connection has come down.
void WsTransport::OnCloseFrame() {
  if (state_ == State::kOpen) {
    const CloseCode code = reader_->close_code();
    close_code_ = code;
    // Section 5.5.1: "the endpoint typically echos the status code it
    // received".
    std::string frame;
    ws::AppendCloseFrame(code, "", frame);
    outbox_.Put(frame);
    NotifyClosed({TransportEnd::Cause::kClosedByClient, code,
                  std::string(reader_->close_reason())});
  }
  HangUp();
}

void WsTransport::OnFault() {
  if (state_ != State::kOpen) return HangUp();
  const ws::Reader::Fault& fault = reader_->fault();
  state_ = State::kBroken;
  close_code_ = fault.code;
  cause_ = TransportEnd::Cause::kBrokenByClient;
  session_->OnViolation(
      Ending{fault.code, CallEnd{absl::InvalidArgumentError(fault.what), ""}},
      WaitForAnswers());
}

AnswerWait WsTransport::WaitForAnswers() const {
  return {host_.now(), host_.now() + settings_->close_timeout};
}

void WsTransport::OnReadFailed(Error error) {
  if (state_ != State::kOpen) return Finish(EndByState());
  Finish({TransportEnd::Cause::kLost, CloseCode::kAbnormal, error.message()});
}

// Where the session has not heard more.
TransportEnd WsTransport::EndByState() const {
  return {cause_, close_code_, ""};
}

// --- Writing ---

void WsTransport::Write(WireMessage message) {
  if (!MaySend()) return;
  Wake();
  const ws::FrameOpcode opcode = message.opcode == Opcode::kText
                                     ? ws::FrameOpcode::kText
                                     : ws::FrameOpcode::kBinary;
  std::optional<std::string> compressed;
  if (deflater_ != nullptr &&
      message.payload.size() >= settings_->compression.min_bytes) {
    compressed = deflater_->Deflate(message.payload);
  }
  std::string payload =
      compressed ? *std::move(compressed) : std::move(message.payload);
  std::string head;
  ws::AppendFrameHead(opcode, payload.size(), compressed.has_value(), head);
  outbox_.Put(head, std::move(payload));
  writing_ = true;
  send_stalled_since_.reset();
  if (!std::exchange(answered_, true)) host_.FirstAnswer(*session_);
  SendSoon();
}

void WsTransport::SendSoon() {
  if (std::exchange(turn_pending_, true)) return;
  asio::post(wire_.get_executor(),
             bind_front_handler(&WsTransport::OnTurn, shared_from_this()));
}

void WsTransport::OnTurn() {
  turn_pending_ = false;
  if (state_ == State::kFinished) return;
  TakeRest();
  Send();
}

// What the session has after a write is sent with it.
void WsTransport::Send() {
  do {
    AnswerWrites();
  } while (SendNow() && (writing_ || pong_));
  if (state_ == State::kHangingUp) EndOurSide();
}

void WsTransport::PutPong() {
  if (!pong_ || state_ != State::kOpen || !outbox_.has_room()) return;
  std::string frame;
  ws::AppendControlFrame(ws::FrameOpcode::kPong,
                         *std::exchange(pong_, std::nullopt), frame);
  outbox_.Put(frame);
}

void WsTransport::AnswerWrites() {
  if (state_ == State::kFinished || send_failed_) return;
  PutPong();
  while (writing_ && outbox_.has_room()) {
    writing_ = false;
    if (!notified_) session_->OnWritten();
  }
}

bool WsTransport::SendNow() {
  if (state_ == State::kFinished || send_pending_ || send_failed_) return false;
  bool sent = false;
  while (!outbox_.empty()) {
    if (wire_.is_tls()) {
      send_pending_ = true;
      wire_.async_write_some(
          BuffersOf(outbox_.Front()),
          bind_front_handler(&WsTransport::OnSent, shared_from_this()));
      return false;
    }
    Error error;
    const std::size_t bytes = wire_.WriteNow(BuffersOf(outbox_.Front()), error);
    outbox_.Sent(bytes);
    sent = sent || bytes > 0;
    if (!error) continue;
    if (WouldBlock(error)) {
      send_pending_ = true;
      wire_.AsyncWait(
          StreamSocket::wait_write,
          [self = shared_from_this()](Error error) { self->OnSent(error, 0); });
      return sent;
    }
    OnSent(error, 0);
    return false;
  }
  return sent;
}

void WsTransport::OnSent(Error error, std::size_t bytes) {
  send_pending_ = false;
  if (state_ == State::kFinished) return;
  outbox_.Sent(bytes);
  if (!error) return Send();
  send_failed_ = true;
  outbox_.Clear();
  // The reading knows better why.
  if (!awaiting_) OnReadFailed(error);
}

// --- Closing ---

bool WsTransport::MaySend() const {
  return (state_ == State::kOpen || state_ == State::kBroken) && !notified_;
}

void WsTransport::Close(const Ending& ending) {
  if (!MaySend()) return;
  SayClose(ending.close, ending.end.status.message());
}

void WsTransport::SayClose(CloseCode code, absl::string_view reason) {
  Wake();
  close_code_ = code;
  closing_since_.reset();
  std::string frame;
  ws::AppendCloseFrame(code, CloseReason(reason), frame);
  outbox_.Put(frame);
  if (state_ == State::kBroken) return HangUp();
  state_ = State::kClosing;
  reader_->DropMessages();
  SendSoon();
  if (!pumping_) Await();
}

void WsTransport::HangUp() {
  state_ = State::kHangingUp;
  SendSoon();
}

void WsTransport::EndOurSide() {
  if (!outbox_.empty() || std::exchange(our_side_ended_, true)) return;
  if (wire_.is_tls()) {
    return wire_.AsyncShutdownTls([self = shared_from_this()](Error) {
      self->Finish(self->EndByState());
    });
  }
  // Hanging up at once could take the Close frame from the client.
  Error ignored;
  wire_.socket().shutdown(StreamSocket::shutdown_send, ignored);
  Await();
}

void WsTransport::NotifyClosed(const TransportEnd& end) {
  if (notified_) return;
  notified_ = true;
  if (session_ != nullptr) session_->OnClosed(end);
}

void WsTransport::Finish(const TransportEnd& end) {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  resting_ = false;
  if (!wire_.is_tls() && !outbox_.empty()) {
    Error ignored;  // What the kernel does not take at once is lost.
    wire_.WriteNow(BuffersOf(outbox_.Front()), ignored);
  }
  NotifyClosed(end);
  wire_.Close();
  if (session_ != nullptr) host_.SessionEnded(*session_);
  session_.reset();
  place_.reset();
  host_.Remove(*this);
}

// --- Time ---

bool WsTransport::Expired(std::optional<absl::Time>& since, absl::Time now,
                          absl::Duration timeout) {
  if (!since) since = now;
  return now - *since >= timeout;
}

void WsTransport::OnTick(absl::Time now) {
  if (state_ == State::kFinished) return;
  if (cut_off_at_ && now >= *cut_off_at_) {
    return Finish(
        {TransportEnd::Cause::kClosedByGateway, CloseCode::kTryAgainLater, ""});
  }
  if (state_ == State::kBroken) {
    if (HasTaken() || outbox_.empty()) closing_since_.reset();
    if (!outbox_.empty() &&
        Expired(closing_since_, now, settings_->close_timeout)) {
      return Finish(EndByState());
    }
    return session_->OnTick(now);
  }
  if (state_ != State::kOpen) {
    // A slow client is still on its way to the Close frame.
    if (HasTaken()) closing_since_.reset();
    if (Expired(closing_since_, now, settings_->close_timeout)) {
      Finish(EndByState());
    }
    return;
  }
  // An idle socket costs no look.
  const bool sending = writing_ || !outbox_.empty();
  const bool has_taken = (sending || pinged_at_) && HasTaken();
  if (sending) {
    if (has_taken) send_stalled_since_.reset();
    if (Expired(send_stalled_since_, now, settings_->send_timeout)) {
      return Finish(
          {TransportEnd::Cause::kSendTimeout, CloseCode::kAbnormal, ""});
    }
  } else {
    send_stalled_since_.reset();
  }
  if (IsDead(now, has_taken)) {
    return Finish(
        {TransportEnd::Cause::kKeepaliveTimeout, CloseCode::kAbnormal, ""});
  }
  TellTraffic();
  if (state_ == State::kOpen &&
      message_watch_.IsStuck(now, settings_->message_timeout,
                             UnfinishedMessage(), reader_->data_bytes())) {
    session_->OnMessageStuck(settings_->message_timeout);
  }
  if (state_ == State::kOpen) session_->OnTick(now);
}

bool WsTransport::Rest() {
  resting_ = state_ == State::kOpen && awaiting_ && !writing_ &&
             outbox_.empty() && !pinged_at_ && !notified_ &&
             session_ != nullptr && session_->is_at_rest() &&
             !UnfinishedMessage();
  return resting_;
}

void WsTransport::Wake() {
  if (!std::exchange(resting_, false)) return;
  session_->OnWoken(host_.now());
  host_.Wake(*this);
}

bool WsTransport::IsDead(absl::Time now, bool has_taken) {
  const KeepaliveSettings& keepalive = settings_->keepalive;
  if (std::exchange(heard_, false) || !heard_at_) {
    heard_at_ = now;
    pinged_at_.reset();
    return false;
  }
  if (!pinged_at_) {
    if (now - *heard_at_ >= keepalive.interval) Ping(now);
    return false;
  }
  // Its silence says nothing where its frames wait in the connection, for its
  // messages wait for the backend; where the ping is still behind a message
  // that is being written; and where the client has just taken some of what was
  // sent before.
  if (!awaiting_ || outbox_.sent() < ping_put_ || has_taken) {
    patience_began_ = now;
  }
  return now - patience_began_ >= keepalive.timeout;
}

bool WsTransport::HasTaken() {
  const std::uint64_t taken = wire_.BytesTaken();
  return taken != std::exchange(taken_, taken);
}

void WsTransport::Ping(absl::Time now) {
  pinged_at_ = patience_began_ = now;
  // The one before is still to be sent.
  if (outbox_.sent() < ping_put_) return;
  std::string frame;
  ws::AppendControlFrame(ws::FrameOpcode::kPing, kPingPayload, frame);
  outbox_.Put(frame);
  ping_put_ = outbox_.put();
  SendSoon();
}

void WsTransport::Drain(const DrainOrder& order) {
  Wake();
  if (session_ != nullptr && !notified_) session_->Drain(order);
}

void WsTransport::CloseSession() {
  if (session_ != nullptr && !notified_) session_->CloseByOperator();
}

std::size_t WsTransport::held_bytes() const {
  if (cut_off_at_) return 0;  // It is being freed.
  return (session_ == nullptr ? 0 : session_->held_bytes()) + rest_.capacity() +
         outbox_.size() + (reader_ ? reader_->held_bytes() : 0);
}

void WsTransport::CloseForMemory(absl::Time now) {
  if (session_ == nullptr || state_ == State::kFinished || cut_off_at_) return;
  Wake();
  cut_off_at_ = now + kMemoryPatience;
  if (!notified_) session_->CloseForMemory();
  // Of what is being read nothing is wanted but the client's Close frame.
  if (reader_) reader_->DropMessages();
  if (!pumping_) std::string().swap(rest_);
}

void WsTransport::Abort() {
  Finish({TransportEnd::Cause::kAborted, CloseCode::kAbnormal, ""});
}

}  // namespace headgate
