#include "gateway/net/ws_transport.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/zlib/error.hpp>

#include "absl/strings/string_view.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

// What one read may take of a message: small while nothing is known of it, for
// an idle socket holds this much, then as much again as there is already.
constexpr std::size_t kFirstReadBytes = 1024;
constexpr std::size_t kMostReadBytes = 64 * 1024;

constexpr int kLastCloseCode = 4999;

// Of a message that was too big, what is read on so that the client gets as far
// as the Close frame; a client that goes on, or whose few bytes are many when
// decompressed, is cut off.
constexpr std::size_t kMostDiscardedBytes = 64 * 1024 * 1024;

// Of the pings of keepalive, so that a pong unasked for is no answer.
constexpr absl::string_view kPingPayload = "headgate";

bool IsDeflateError(const beast::error_code& error) {
  return error.category() ==
         beast::zlib::make_error_code(beast::zlib::error::stream_error)
             .category();
}

websocket::permessage_deflate DeflateOptions(const CompressionSettings& from) {
  websocket::permessage_deflate options;
  options.server_enable = true;
  options.server_max_window_bits = from.server_max_window_bits;
  options.client_max_window_bits = from.client_max_window_bits;
  options.server_no_context_takeover = from.server_no_context_takeover;
  options.client_no_context_takeover = from.client_no_context_takeover;
  options.compLevel = from.level;
  options.msg_size_threshold = from.min_bytes;
  return options;
}

}  // namespace

WsTransport::WsTransport(Wire wire, std::unique_ptr<Place> place,
                         std::shared_ptr<const ConnectionSettings> settings,
                         ConnectionHost& host)
    : ws_(std::in_place, std::move(wire)),
      settings_(std::move(settings)),
      host_(host),
      place_(std::move(place)) {
  ws_->next_layer().GatherSends();
  ws_->auto_fragment(false);
  // Counted in OnReadSome, to tell the client why. Here only RFC 6455 section
  // 5.2: "the most significant bit MUST be 0".
  ws_->read_message_max(std::numeric_limits<std::int64_t>::max());
  if (settings_->compression.enabled) {
    ws_->set_option(DeflateOptions(settings_->compression));
  }
  ws_->control_callback(
      [this](websocket::frame_type kind, beast::string_view payload) {
        OnControlFrame(kind, {payload.data(), payload.size()});
      });
}

template <typename Handler>
void WsTransport::SendAccept(const HttpRequest& request,
                             const std::string& subprotocol, Handler handler) {
  ws_->set_option(websocket::stream_base::decorator(
      [subprotocol](websocket::response_type& response) {
        response.set(beast::http::field::server, "headgate");
        if (!subprotocol.empty()) {
          response.set(beast::http::field::sec_websocket_protocol, subprotocol);
        }
      }));
  ws_->async_accept(request,
                    [self = shared_from_this(),
                     handler = std::move(handler)](Error error) mutable {
                      if (self->finished_) return;
                      if (error) return self->Finish(TransportEnd{});
                      handler();
                    });
}

void WsTransport::Accept(const HttpRequest& request, Admission admission) {
  const std::string subprotocol = std::move(admission.subprotocol);
  SendAccept(request, subprotocol,
             [this, session = std::move(admission.session)]() mutable {
               OnAccepted(std::move(session));
             });
}

void WsTransport::OnAccepted(SessionRequest request) {
  max_message_bytes_ = request.route->max_message_bytes;
  session_ = host_.OpenSession(std::move(request), *this);
  if (session_ == nullptr) {
    return Close(
        EndingOf(absl::UnavailableError("the configuration has changed")));
  }
  session_->Start(host_.now());
  if (drain_) session_->Drain(*drain_);
}

void WsTransport::AcceptAndClose(const HttpRequest& request,
                                 const Refusal& refusal) {
  SendAccept(request, refusal.subprotocol,
             [this, status = refusal.status] { Close(EndingOf(status)); });
}

void WsTransport::Read() {
  if (reading_ || finished_ || closing_) return;
  reading_ = true;
  incoming_.clear();
  ReadSome();
}

void WsTransport::ReadSome() {
  const std::size_t old_size = incoming_.size();
  const std::size_t room =
      std::clamp(old_size, kFirstReadBytes, kMostReadBytes);
  incoming_.resize(old_size + room);
  ws_->async_read_some(asio::buffer(&incoming_[old_size], room),
                       beast::bind_front_handler(&WsTransport::OnReadSome,
                                                 shared_from_this(), old_size));
}

void WsTransport::OnReadSome(std::size_t old_size, Error error,
                             std::size_t bytes) {
  if (finished_) return;
  Wake();
  if (error) {
    reading_ = false;
    // Beast does not tell the client. The tick may have seen the stream's end
    // before this.
    if (IsDeflateError(error) && !closing_) {
      return SendCloseByHand(CloseCode::kInvalidPayload,
                             "what was compressed cannot be decompressed");
    }
    return Finish(EndOfRead(error));
  }
  heard_ = true;
  if (closing_ || notified_) {  // Beast's close operation reads the rest.
    reading_ = false;
    return;
  }
  if (discarding_) {
    discarded_bytes_ += bytes;
    if (discarded_bytes_ > kMostDiscardedBytes) return Abort();
    incoming_.clear();
    return ReadSome();
  }
  incoming_.resize(old_size + bytes);
  if (incoming_.size() > max_message_bytes_) {
    discarding_ = true;
    incoming_.clear();
    ReadSome();  // Still pending when the session closes, as Beast likes it.
    return session_->OnMessageTooBig();
  }
  if (!ws_->is_message_done()) return ReadSome();
  reading_ = false;
  // Beast does not look at a character that an empty last frame leaves cut
  // short (RFC 6455 section 8.1).
  if (bytes == 0 && ws_->got_text() && !IsUtf8(incoming_)) {
    NotifyClosed({TransportEnd::Cause::kBrokenByClient,
                  CloseCode::kInvalidPayload, "text is not UTF-8"});
    return SendClose(CloseCode::kInvalidPayload, "text is not UTF-8");
  }
  WireMessage message{ws_->got_text() ? Opcode::kText : Opcode::kBinary, ""};
  // A short message does not keep the long buffer.
  if (incoming_.size() < incoming_.capacity() / 2) {
    message.payload = std::string(incoming_);
  } else {
    message.payload = std::move(incoming_);
    incoming_.clear();
  }
  TellControlFrames();
  if (closing_ || notified_ || finished_) return;
  session_->OnMessage(std::move(message));
}

void WsTransport::OnControlFrame(websocket::frame_type kind,
                                 absl::string_view payload) {
  if (finished_) return;
  Wake();
  heard_ = true;
  if (kind == websocket::frame_type::close) return OnCloseFrame();
  ++control_frames_;
  if (kind == websocket::frame_type::pong && pinged_at_ &&
      payload == kPingPayload) {
    host_.PingAnswered(host_.now() - *std::exchange(pinged_at_, std::nullopt));
    --control_frames_;  // It was asked for.
  }
}

void WsTransport::TellControlFrames() {
  const std::size_t count = std::exchange(control_frames_, 0);
  if (count > 0 && session_ != nullptr) session_->OnControlFrames(count);
}

TransportEnd WsTransport::EndOfRead(const Error& error) const {
  if (closing_) return {TransportEnd::Cause::kClosedByGateway, close_code_, ""};
  if (error == websocket::error::closed) {
    const websocket::close_reason& reason = ws_->reason();
    const auto code = reason.code == websocket::close_code::none
                          ? CloseCode::kNoStatus
                          : static_cast<CloseCode>(reason.code);
    return {TransportEnd::Cause::kClosedByClient, code,
            std::string(reason.reason.data(), reason.reason.size())};
  }
  if (error == websocket::condition::protocol_violation) {
    // Beast has told the client with the matching Close frame.
    const CloseCode code = error == websocket::error::bad_frame_payload
                               ? CloseCode::kInvalidPayload
                               : CloseCode::kProtocolError;
    return {TransportEnd::Cause::kBrokenByClient, code, error.message()};
  }
  if (error == websocket::error::message_too_big) {
    return {TransportEnd::Cause::kBrokenByClient, CloseCode::kMessageTooBig,
            error.message()};
  }
  return {TransportEnd::Cause::kLost, CloseCode::kAbnormal, error.message()};
}

// Beast answers the frame and waits for the end of the connection before the
// read completes; the call need not wait for that.
void WsTransport::OnCloseFrame() {
  if (closing_ || notified_) return;
  // RFC 6455 section 7.4.2 defines no codes above 4999; Beast takes them all.
  if (ws_->reason().code > kLastCloseCode) {
    NotifyClosed({TransportEnd::Cause::kBrokenByClient,
                  CloseCode::kProtocolError, "no such close code"});
    return SendClose(CloseCode::kProtocolError, "no such close code");
  }
  NotifyClosed(EndOfRead(websocket::error::closed));
}

void WsTransport::Write(WireMessage message) {
  if (finished_ || notified_) return;
  Wake();
  outgoing_ = std::move(message);
  writing_ = true;
  if (!std::exchange(answered_, true)) host_.FirstAnswer(*session_);
  send_stalled_since_.reset();
  ws_->text(outgoing_.opcode == Opcode::kText);
  ws_->async_write(asio::buffer(outgoing_.payload),
                   [self = shared_from_this()](Error error, std::size_t) {
                     self->OnWritten(error);
                   });
}

void WsTransport::OnWritten(Error error) {
  writing_ = false;
  if (finished_) return;
  if (error) {
    // The pending read knows better why.
    if (!reading_) Finish(EndOfRead(error));
    return;
  }
  if (notified_) return;
  session_->OnWritten();
}

void WsTransport::Close(const Ending& ending) {
  if (finished_ || notified_ || closing_) return;
  SendClose(ending.close, ending.end.status.message());
}

void WsTransport::SendClose(CloseCode code, absl::string_view reason) {
  Wake();
  closing_ = true;
  close_code_ = code;
  const std::string text = CloseReason(reason);
  websocket::close_reason close(static_cast<std::uint16_t>(code));
  close.reason.assign(text.data(), text.size());
  ws_->async_close(close, [self = shared_from_this()](Error) {
    self->Finish(
        {TransportEnd::Cause::kClosedByGateway, self->close_code_, ""});
  });
}

// RFC 6455 section 5.5.1: the frame is not masked.
void WsTransport::SendCloseByHand(CloseCode code, absl::string_view reason) {
  NotifyClosed(
      {TransportEnd::Cause::kBrokenByClient, code, std::string(reason)});
  const TransportEnd end{TransportEnd::Cause::kBrokenByClient, code, ""};
  if (writing_ || pinging_) return Finish(end);  // In the midst of a frame.
  const auto number = static_cast<std::uint16_t>(code);
  outgoing_.payload = {
      static_cast<char>(0x88), static_cast<char>(2 + reason.size()),
      static_cast<char>(number >> 8), static_cast<char>(number & 0xFF)};
  outgoing_.payload.append(reason.data(), reason.size());
  asio::async_write(ws_->next_layer(), asio::buffer(outgoing_.payload),
                    [self = shared_from_this(), end](Error error, std::size_t) {
                      if (self->finished_) return;
                      if (error) return self->Finish(end);
                      // Hanging up at once could take the frame from the
                      // client.
                      async_teardown(beast::role_type::server,
                                     self->ws_->next_layer(),
                                     [self, end](Error) { self->Finish(end); });
                    });
}

void WsTransport::NotifyClosed(const TransportEnd& end) {
  if (notified_) return;
  notified_ = true;
  if (session_ != nullptr) session_->OnClosed(end);
}

void WsTransport::Finish(const TransportEnd& end) {
  if (finished_) return;
  finished_ = true;
  resting_ = false;
  NotifyClosed(end);
  beast_close_socket(ws_->next_layer());
  if (session_ != nullptr) host_.SessionEnded(*session_);
  session_.reset();
  LetStreamGo();
  place_.reset();
  host_.Remove(*this);
}

// An operation of Beast's may be sending, and refers to the stream until it has
// heard that the socket is closed.
void WsTransport::LetStreamGo() {
  const auto stream = std::make_shared<Stream>(std::move(*ws_));
  ws_.reset();
  stream->next_layer().WhenQuiet([stream] {});
}

bool WsTransport::Expired(std::optional<absl::Time>& since, absl::Time now,
                          absl::Duration timeout) {
  if (!since) since = now;
  return now - *since >= timeout;
}

void WsTransport::OnTick(absl::Time now) {
  if (finished_) return;
  // Closing: by the gateway, by the client, or by Beast after a violation; or
  // the 101 has not got through yet.
  if (closing_ || notified_ || !ws_->is_open()) {
    // Beast waits for the client to hang up before it says so; the call need
    // not. Which violation it was, its Close frame has told the client.
    if (!closing_ && session_ != nullptr) {
      NotifyClosed({TransportEnd::Cause::kBrokenByClient,
                    CloseCode::kProtocolError, "a violation of RFC 6455"});
    }
    // A slow client is still on its way to the Close frame.
    if (HasTaken()) closing_since_.reset();
    if (Expired(closing_since_, now, settings_->close_timeout)) {
      Finish(closing_ ? TransportEnd{TransportEnd::Cause::kClosedByGateway,
                                     close_code_, ""}
                      : TransportEnd{});
    }
    return;
  }
  closing_since_.reset();
  // An idle socket costs no look.
  const bool has_taken = (writing_ || pinged_at_) && HasTaken();
  if (writing_) {
    if (has_taken) send_stalled_since_.reset();
    if (Expired(send_stalled_since_, now, settings_->send_timeout)) {
      return Finish(
          {TransportEnd::Cause::kSendTimeout, CloseCode::kAbnormal, ""});
    }
  }
  if (IsDead(now, has_taken)) {
    return Finish(
        {TransportEnd::Cause::kKeepaliveTimeout, CloseCode::kAbnormal, ""});
  }
  if (session_ == nullptr) return;
  TellControlFrames();
  if (!closing_ && !notified_) session_->OnTick(now);
}

bool WsTransport::Rest() {
  resting_ = reading_ && !writing_ && !pinging_ && !pinged_at_ && !closing_ &&
             !notified_ && session_ != nullptr && session_->is_at_rest();
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
  if (!reading_ || pinging_ || has_taken) patience_began_ = now;
  return now - patience_began_ >= keepalive.timeout;
}

bool WsTransport::HasTaken() {
  const std::uint64_t taken = ws_->next_layer().BytesTaken();
  return taken != std::exchange(taken_, taken);
}

void WsTransport::Ping(absl::Time now) {
  pinged_at_ = patience_began_ = now;
  if (std::exchange(pinging_, true)) return;
  ws_->async_ping(
      websocket::ping_data(kPingPayload.data(), kPingPayload.size()),
      [self = shared_from_this()](Error) {
        // What fails here fails the pending read too.
        self->pinging_ = false;
      });
}

void WsTransport::Drain(const DrainOrder& order) {
  Wake();
  drain_ = order;
  if (session_ != nullptr && !notified_) session_->Drain(order);
}

void WsTransport::CloseSession() {
  if (session_ != nullptr && !notified_) session_->CloseByOperator();
}

void WsTransport::Abort() {
  Finish({TransportEnd::Cause::kAborted, CloseCode::kAbnormal, ""});
}

}  // namespace headgate
