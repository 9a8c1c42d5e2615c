#include "gateway/net/ws_transport.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include <boost/asio/post.hpp>

#include "gateway/base/status.h"
#include "gateway/http/response.h"
#include "gateway/ws/handshake.h"

namespace headgate {
namespace {

namespace asio = boost::asio;

// The size of a read, and so of what a session keeps while its client is not
// read from; more only where one message is longer.
constexpr std::size_t kReadBytes = 16 * 1024;
// Messages of this size in all, decompressed, are taken from one connection in
// an iteration of the event loop: one read can hold 16 compressed messages of
// 1 MiB, and other connections would wait for all of them.
constexpr std::size_t kMaxMessageBytesAtOnce = 64 * 1024;

// A client may send this much after the gateway has begun to close, so that it
// gets as far as the Close frame; then the connection is cut off.
constexpr std::size_t kMaxDroppedBytes = 64 * 1024 * 1024;

// The session is told of arrived bytes at least this often, for the rates.
constexpr std::size_t kMaxUnreportedBytes = 64 * 1024;

ws::Timeouts TimeoutsOf(const ConnectionSettings& settings) {
  return {settings.keepalive.interval, settings.keepalive.timeout,
          settings.send_timeout, settings.close_timeout};
}

}  // namespace

WsTransport::WsTransport(std::shared_ptr<ByteStream> stream,
                         std::unique_ptr<Place> place,
                         std::shared_ptr<const ConnectionSettings> settings,
                         ConnectionHost& host)
    : stream_(std::move(stream)),
      settings_(std::move(settings)),
      host_(host),
      place_(std::move(place)) {
  stream_->SetUser(this);
}

// --- The handshake ---

void WsTransport::Respond(const HttpRequest& request,
                          const std::string& subprotocol, const Route* route,
                          HeadSink* http2) {
  assert(state_ == State::kHandshake);
  is_stream_ = http2 != nullptr;
  HttpFields fields;
  if (http2 == nullptr) {
    fields = {{"Upgrade", "websocket"},
              {"Connection", "Upgrade"},
              {"Sec-WebSocket-Accept",
               ws::AcceptFor(request.headers.Value("Sec-WebSocket-Key"))}};
  }
  fields.emplace_back("Server", "headgate");
  if (!subprotocol.empty()) {
    fields.emplace_back("Sec-WebSocket-Protocol", subprotocol);
  }
  ws::Endpoint::Options options;
  options.max_message_bytes = route == nullptr ? 0 : route->max_message_bytes;
  if (settings_->compression.enabled) {
    CompressionSettings compression = settings_->compression;
    // So that clients can share compressed frames.
    if (route != nullptr && std::holds_alternative<HubTarget>(route->target)) {
      compression.server_no_context_takeover = true;
    }
    options.deflate = ws::AgreeOnDeflate(
        request.headers.Values("Sec-WebSocket-Extensions"), compression);
    options.deflate_level = settings_->compression.level;
    options.min_deflate_bytes = settings_->compression.min_bytes;
    compresses_ = options.deflate.has_value();
    if (options.deflate) {
      fields.emplace_back("Sec-WebSocket-Extensions", options.deflate->header);
    }
  }
  endpoint_.emplace(options);
  if (http2 != nullptr) return http2->RespondToConnect(fields);
  endpoint_->PutHandshake(ResponseHead(101, fields));
  SendSoon();
}

void WsTransport::Accept(const HttpRequest& request, Admission admission,
                         HeadSink* http2) {
  Respond(request, admission.subprotocol, admission.session.route.get(), http2);
  state_ = State::kLive;
  session_ = host_.OpenSession(std::move(admission.session), *this);
  if (session_ == nullptr) {
    return Close(
        {EndingOf(absl::UnavailableError("the configuration has changed"))});
  }
  session_->Start(host_.now());
}

void WsTransport::AcceptAndClose(const HttpRequest& request,
                                 const Refusal& refusal, HeadSink* http2) {
  Respond(request, refusal.subprotocol, nullptr, http2);
  state_ = State::kLive;
  const Ending ending = EndingOf(refusal.status);
  if (refusal.dialect != nullptr) {
    for (WireMessage& message : MessagesOfEnding(*refusal.dialect, ending)) {
      endpoint_->Write(message.opcode, std::move(message.payload));
      if (!endpoint_->TakeWritten()) break;
    }
  }
  Close({ending});
}

// --- Reading ---

void WsTransport::Read() {
  if (endpoint_->state() != ws::Endpoint::State::kOpen ||
      reading_.wish == Reading::Wish::kMessage) {
    return;
  }
  reading_.wish = Reading::Wish::kMessage;
  if (reading_.phase == Reading::Phase::kTaking) return;
  if (reading_.rest.empty()) {
    Await();
  } else {
    host_.turn().Next(*this);  // Not from within this call.
  }
}

bool WsTransport::WantsBytes() const {
  if (state_ == State::kFinished) return false;
  switch (endpoint_->state()) {
    case ws::Endpoint::State::kOpen:
      return reading_.wish == Reading::Wish::kMessage && state_ == State::kLive;
    case ws::Endpoint::State::kClosing:
    case ws::Endpoint::State::kBroken:
    case ws::Endpoint::State::kOver:
      return true;
  }
  return false;
}

void WsTransport::Await() {
  if (reading_.phase == Reading::Phase::kAwaiting || !reading_.rest.empty() ||
      !WantsBytes()) {
    return;
  }
  assert(reading_.phase == Reading::Phase::kPaused);
  reading_.phase = Reading::Phase::kAwaiting;
  stream_->AwaitReadable();
}

void WsTransport::OnReadable() {
  const auto self = shared_from_this();
  assert(state_ != State::kFinished);
  assert(reading_.phase == Reading::Phase::kAwaiting);
  reading_.phase = Reading::Phase::kPaused;
  if (!WantsBytes()) return;
  // The first message to be decompressed takes that much by itself.
  if (host_.is_short_of_memory() &&
      (compresses_ || held_bytes() >= kLeastHeldBytes)) {
    return Wake();  // For OnTick, which goes on.
  }
  const absl::Span<char> buffer = host_.ReadBuffer();
  const std::size_t room = std::min<std::uint64_t>(
      buffer.size(),
      std::max<std::uint64_t>(kReadBytes, endpoint_->missing_bytes()));
  const ByteStream::Result read = stream_->Read(buffer.subspan(0, room));
  if (read.kind == ByteStream::Result::Kind::kWouldBlock) return Await();
  if (read.kind != ByteStream::Result::Kind::kDone) {
    return OnReadFailed(read.why);
  }
  OnBytes({buffer.data(), read.bytes});
}

void WsTransport::OnBytes(absl::string_view bytes) {
  Wake();
  endpoint_->OnArrival();
  const std::size_t taken = Take(bytes);
  if (state_ == State::kFinished) return;
  if (taken < bytes.size()) {
    const absl::string_view left = bytes.substr(taken);
    reading_.rest.assign(left.data(), left.size());
    reading_.rest_taken = 0;
  }
  Continue();
}

void WsTransport::TakeRest() {
  if (reading_.rest.empty() || !WantsBytes()) return;
  const Turn::Work work(host_.turn());
  std::string rest = std::exchange(reading_.rest, {});
  reading_.rest_taken +=
      Take(absl::string_view(rest).substr(reading_.rest_taken));
  if (state_ == State::kFinished) return;
  if (reading_.rest_taken < rest.size()) {
    reading_.rest = std::move(rest);
  } else {
    reading_.rest_taken = 0;
  }
  Continue();
}

void WsTransport::Continue() {
  if (reading_.rest.empty()) return Await();
  if (WantsBytes()) host_.turn().Next(*this);
}

std::size_t WsTransport::Take(absl::string_view bytes) {
  assert(reading_.phase == Reading::Phase::kPaused);
  const std::size_t size = bytes.size();
  reading_.phase = Reading::Phase::kTaking;
  reading_.message_bytes = 0;
  while (!bytes.empty() && WantsBytes() &&
         reading_.message_bytes < kMaxMessageBytesAtOnce) {
    OnEvent(endpoint_->Next(bytes));
  }
  reading_.phase = Reading::Phase::kPaused;
  if (endpoint_->traffic_bytes() >= kMaxUnreportedBytes &&
      endpoint_->state() == ws::Endpoint::State::kOpen) {
    ReportTraffic();
  }
  if (endpoint_->dropped_bytes() > kMaxDroppedBytes) Abort();
  return size - bytes.size();
}

void WsTransport::OnEvent(ws::Endpoint::Event event) {
  switch (event) {
    case ws::Endpoint::Event::kNeedsBytes:
      return;
    case ws::Endpoint::Event::kMessage:
      return OnMessage();
    case ws::Endpoint::Event::kPiece:
      assert(false && "the endpoint delivers messages");
      return;
    case ws::Endpoint::Event::kTooBig:
      return session_->OnMessageTooBig(WaitForAnswers());
    case ws::Endpoint::Event::kPing:
      return SendSoon();
    case ws::Endpoint::Event::kPong:
      return OnPong();
    case ws::Endpoint::Event::kClose:
      // The call is cancelled before the connection has come down.
      if (endpoint_->end() == ws::Endpoint::End::kClosedByPeer) {
        NotifyClosed({TransportEnd::Cause::kClosedByClient,
                      endpoint_->close_code(),
                      std::string(endpoint_->close_reason())});
      }
      return SendSoon();
    case ws::Endpoint::Event::kViolation: {
      if (endpoint_->state() == ws::Endpoint::State::kOver) return SendSoon();
      const ws::Reader::Fault& fault = endpoint_->violation();
      return session_->OnViolation(
          Ending{fault.code,
                 CallEnd{absl::InvalidArgumentError(fault.what), ""}},
          WaitForAnswers());
    }
  }
}

void WsTransport::OnPong() {
  const absl::Duration round_trip = host_.now() - endpoint_->pinged_at();
  host_.PingAnswered(round_trip);
  session_->OnPong(round_trip);
}

void WsTransport::OnMessage() {
  WireMessage message = endpoint_->TakeMessage();
  ReportTraffic();
  if (endpoint_->state() != ws::Endpoint::State::kOpen ||
      state_ == State::kFinished) {
    return;
  }
  reading_.wish = Reading::Wish::kNothing;
  reading_.message_bytes += message.payload.size();
  session_->OnMessage(std::move(message));
}

void WsTransport::ReportTraffic() {
  const ws::Endpoint::Traffic traffic = endpoint_->TakeTraffic();
  if (session_ == nullptr || state_ != State::kLive) return;
  if (traffic.bytes > 0) session_->OnWireBytes(traffic.bytes);
  if (traffic.control_frames > 0) {
    session_->OnControlFrames(traffic.control_frames);
  }
}

std::optional<std::uint64_t> WsTransport::UnfinishedMessage() const {
  if (reading_.phase != Reading::Phase::kAwaiting || state_ != State::kLive) {
    return std::nullopt;
  }
  const std::optional<std::uint64_t> by_frames =
      endpoint_->unfinished_message();
  const std::optional<std::uint64_t> by_codec = session_->unfinished_message();
  // A JSON text in several messages counts as one message.
  if (by_codec) return 2 * *by_codec + 1;
  if (by_frames) return 2 * *by_frames;
  return std::nullopt;
}

AnswerWait WsTransport::WaitForAnswers() const {
  return {host_.now(), host_.now() + settings_->close_timeout};
}

void WsTransport::OnReadFailed(const absl::Status& why) {
  if (endpoint_->state() != ws::Endpoint::State::kOpen) {
    return Finish(EndOfEndpoint());
  }
  Finish({TransportEnd::Cause::kLost, CloseCode::kAbnormal,
          std::string(why.message())});
}

TransportEnd WsTransport::EndOfEndpoint() const {
  return {endpoint_->end() == ws::Endpoint::End::kViolated
              ? TransportEnd::Cause::kBrokenByClient
              : TransportEnd::Cause::kClosedByGateway,
          endpoint_->close_code(), ""};
}

// --- Writing ---

void WsTransport::Write(WireMessage message) {
  if (state_ != State::kLive || !endpoint_->may_write()) return;
  Wake();
  endpoint_->Write(message.opcode, std::move(message.payload));
  if (!std::exchange(responded_, true)) host_.FirstAnswer(*session_);
  SendSoon();
}

Transport::FramesTaken WsTransport::WriteFrames(
    absl::Span<const ws::FrameRef> frames, ws::WriteUntil until) {
  if (state_ != State::kLive || !endpoint_->may_write()) {
    return {frames.size(), false};
  }
  const std::size_t count = endpoint_->WriteFrames(frames, until);
  if (!std::exchange(responded_, true)) host_.FirstAnswer(*session_);
  SendNow(When::kLater);
  // What was sent whole is not timed, so that a client at rest stays so.
  if (endpoint_->has_output()) Wake();
  return {count, endpoint_->is_writing() && !endpoint_->TakeWritten()};
}

void WsTransport::WriteLastFrames(absl::Span<const ws::FrameRef> frames) {
  if (state_ != State::kLive || !endpoint_->may_write()) return;
  Wake();
  endpoint_->PutFrames(frames);
  SendSoon();
}

void WsTransport::SendSoon() { host_.turn().AtEnd(*this); }

void WsTransport::OnTurn() {
  const auto self = shared_from_this();
  if (state_ == State::kFinished) return;
  TakeRest();
  Send();
}

// What the session writes when a write has completed is sent with it.
void WsTransport::Send() {
  do {
    CompleteWrites();
  } while (SendNow() && endpoint_->is_writing());
  if (state_ != State::kFinished &&
      endpoint_->state() == ws::Endpoint::State::kOver) {
    EndOurSide();
  }
}

void WsTransport::CompleteWrites() {
  while (state_ != State::kFinished && endpoint_->TakeWritten()) {
    if (state_ == State::kLive && session_ != nullptr) session_->OnWritten();
  }
}

ByteStream::Result WsTransport::SendFront() {
  if (!endpoint_->is_scattered()) return stream_->Write(endpoint_->Front());
  std::array<absl::string_view, ByteStream::kMostPieces> pieces;
  const std::size_t count = endpoint_->Front(absl::MakeSpan(pieces));
  return stream_->Write(absl::MakeSpan(pieces).first(count));
}

bool WsTransport::SendNow(When when) {
  if (state_ == State::kFinished || writing_.phase != Writing::Phase::kReady) {
    return false;
  }
  bool sent = false;
  while (endpoint_->has_output()) {
    const ByteStream::Result written = SendFront();
    if (written.kind == ByteStream::Result::Kind::kWouldBlock) {
      writing_.phase = Writing::Phase::kBlocked;
      stream_->AwaitWritable();
      return sent;
    }
    if (written.kind != ByteStream::Result::Kind::kDone) {
      writing_.phase = Writing::Phase::kFailed;
      endpoint_->OnSendFailed();
      // A pending read will fail with the reason.
      if (reading_.phase == Reading::Phase::kAwaiting) return false;
      if (when == When::kNow) {
        OnReadFailed(written.why);
        return false;
      }
      asio::post(stream_->executor(),
                 [self = shared_from_this(), why = written.why] {
                   if (self->state_ != State::kFinished) {
                     self->OnReadFailed(why);
                   }
                 });
      return false;
    }
    endpoint_->OnSent(written.bytes);
    sent = true;
  }
  return sent;
}

void WsTransport::OnWritable() {
  const auto self = shared_from_this();
  assert(writing_.phase == Writing::Phase::kBlocked);
  writing_.phase = Writing::Phase::kReady;
  Send();
}

// --- Closing ---

void WsTransport::Close(const OutEnd& end) {
  if (state_ != State::kLive || !endpoint_->may_write()) return;
  Wake();
  endpoint_->Close(end.ending.close, end.ending.end.status.message());
  SendSoon();
  if (reading_.phase == Reading::Phase::kPaused) Await();
}

void WsTransport::EndOurSide() {
  if (endpoint_->has_output() || writing_.phase == Writing::Phase::kEnded) {
    return;
  }
  writing_.phase = Writing::Phase::kEnded;
  // Closing at once could keep the Close frame from the client.
  stream_->EndWrite();
  Await();
}

void WsTransport::NotifyClosed(const TransportEnd& end) {
  assert(state_ == State::kLive);
  state_ = State::kEnding;
  if (session_ != nullptr) session_->OnClosed(end);
}

void WsTransport::Finish(const TransportEnd& end) {
  if (state_ == State::kFinished) return;
  rests_ = Rests::kAwake;
  // What the kernel does not take at once is lost.
  if (endpoint_->has_output()) SendFront();
  const bool told = state_ != State::kLive;
  state_ = State::kFinished;
  if (!told && session_ != nullptr) session_->OnClosed(end);
  stream_->Close();
  if (session_ != nullptr) host_.SessionEnded(*session_);
  session_.reset();
  place_.reset();
  host_.Remove(*this);
}

// --- Time ---

void WsTransport::OnTick(absl::Time now) {
  if (state_ == State::kFinished) return;
  if (cut_off_at_ && now >= *cut_off_at_) {
    return Finish(
        {TransportEnd::Cause::kClosedByGateway, CloseCode::kTryAgainLater, ""});
  }
  // The kernel is not asked on behalf of an idle socket.
  const bool has_taken = endpoint_->wants_progress() && HasTaken();
  const auto health = endpoint_->OnTick(
      {now, reading_.phase == Reading::Phase::kAwaiting, has_taken},
      TimeoutsOf(*settings_));
  switch (health) {
    case ws::Endpoint::Health::kFine:
      break;
    case ws::Endpoint::Health::kSendTimeout:
      return Finish(
          {TransportEnd::Cause::kSendTimeout, CloseCode::kAbnormal, ""});
    case ws::Endpoint::Health::kPeerDead:
      return Finish(
          {TransportEnd::Cause::kKeepaliveTimeout, CloseCode::kAbnormal, ""});
    case ws::Endpoint::Health::kCloseTimeout:
      return Finish(EndOfEndpoint());
  }
  if (endpoint_->has_output() && writing_.phase == Writing::Phase::kReady) {
    SendSoon();  // A ping.
  }
  switch (endpoint_->state()) {
    case ws::Endpoint::State::kOpen:
      break;
    case ws::Endpoint::State::kBroken:
      return session_->OnTick(now);
    case ws::Endpoint::State::kClosing:
    case ws::Endpoint::State::kOver:
      return;
  }
  ReportTraffic();
  const auto is_open = [this] {
    return state_ == State::kLive &&
           endpoint_->state() == ws::Endpoint::State::kOpen;
  };
  if (is_open() && reading_.message_watch.IsStuck(
                       now, settings_->message_timeout, UnfinishedMessage(),
                       endpoint_->data_bytes())) {
    session_->OnMessageStuck(settings_->message_timeout);
  }
  if (is_open()) session_->OnTick(now);
  // It may have been held back for lack of memory.
  if (reading_.phase == Reading::Phase::kPaused) Await();
}

bool WsTransport::Rest() {
  const bool at_rest = state_ == State::kLive && session_ != nullptr &&
                       reading_.phase == Reading::Phase::kAwaiting &&
                       endpoint_->is_at_rest() && session_->is_at_rest() &&
                       !UnfinishedMessage();
  const Rests before =
      std::exchange(rests_, at_rest ? Rests::kResting : Rests::kAwake);
  if (at_rest && before == Rests::kAwake) {
    endpoint_->Shrink();
    session_->Shrink();
  }
  return at_rest;
}

void WsTransport::Wake() {
  if (std::exchange(rests_, Rests::kAwake) == Rests::kAwake) return;
  session_->OnWoken(host_.now());
  host_.Wake(*this);
}

bool WsTransport::HasTaken() {
  const std::uint64_t taken = stream_->BytesTaken();
  return taken != std::exchange(writing_.taken, taken);
}

void WsTransport::Drain(const DrainOrder& order) {
  Wake();
  if (session_ != nullptr && state_ == State::kLive) session_->Drain(order);
}

void WsTransport::CloseSession() {
  if (session_ != nullptr && state_ == State::kLive) {
    session_->CloseByOperator();
  }
}

std::size_t WsTransport::held_bytes() const {
  if (cut_off_at_) return 0;  // It is being freed.
  return (session_ == nullptr ? 0 : session_->held_bytes()) +
         stream_->held_bytes() + reading_.rest.capacity() +
         (endpoint_ ? endpoint_->held_bytes() : 0);
}

void WsTransport::CloseForMemory(absl::Time now, absl::Duration patience) {
  if (session_ == nullptr || state_ == State::kFinished || cut_off_at_) return;
  Wake();
  cut_off_at_ = now + patience;
  if (state_ == State::kLive) session_->CloseForMemory();
  // Of what is being read only the client's Close frame matters.
  endpoint_->DropMessages();
  if (reading_.phase != Reading::Phase::kTaking) {
    std::string().swap(reading_.rest);
  }
  if (patience == absl::ZeroDuration()) OnTick(now);
}

void WsTransport::Abort() {
  Finish({TransportEnd::Cause::kAborted, CloseCode::kAbnormal, ""});
}

}  // namespace headgate
