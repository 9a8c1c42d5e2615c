#include "gateway/net/http2_connection.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/http/header_rules.h"
#include "gateway/net/http2_exchange.h"

namespace headgate {
namespace {

// What is put together for one write.
constexpr std::size_t kMaxWriteBytes = 64 * 1024;
// A buffer that is no larger is kept from one write to the next.
constexpr std::size_t kKeptBytes = 16 * 1024;
// Frames that wait for a client that takes nothing, beyond which it is not read
// from.
constexpr std::size_t kMaxWaitingFrames = 256;
constexpr int kResetsBehindProxy = 100;
// Requests that a connection which has had to wait starts, and what is read of
// it, before others that wait have their turn.
constexpr int kMostInTurn = 4;
constexpr int kNoLimit = std::numeric_limits<int>::max();
constexpr std::size_t kReadInTurn = 2048;
// What an open stream takes, with nghttp2's share, about.
constexpr std::size_t kStreamBytes = 2048;

h2::Time TimeOf(absl::Time now) {
  return h2::Time(absl::ToChronoNanoseconds(now - absl::UnixEpoch()));
}

h2::SessionOptions OptionsFrom(const ConnectionSettings& settings,
                               const Peer& peer) {
  h2::SessionOptions options;
  options.role = h2::Role::kServer;
  options.max_header_list_bytes = settings.max_header_bytes;
  options.max_streams = settings.http2.max_streams;
  options.connect_protocol = true;
  options.stall_timeout = absl::ToChronoNanoseconds(
      std::min(settings.send_timeout, absl::Hours(24)));
  options.flood = h2::ServerFloodLimits();
  // Behind a proxy many users share a connection, and end calls as they like.
  if (IsTrustedProxy(peer, settings.policy.trusted_proxies)) {
    options.flood.resets *= kResetsBehindProxy;
  }
  return options;
}

}  // namespace

Http2Connection::Http2Connection(std::shared_ptr<ByteStream> stream, Peer peer,
                                 std::size_t listener, absl::Time since,
                                 ConnectionHost& host)
    : stream_(std::move(stream)),
      peer_(std::move(peer)),
      listener_(listener),
      host_(host),
      settings_(host.SettingsOf(listener)),
      since_(since) {
  h2::Acceptor& acceptor = *this;
  session_.emplace(OptionsFrom(*settings_, peer_), &acceptor,
                   TimeOf(host.now()));
  reading_.last = host.now();
  stream_->SetUser(this);
}

Http2Connection::~Http2Connection() = default;

void Http2Connection::Start(absl::string_view received) {
  const auto self = shared_from_this();
  host_.Http2Begun(listener_);
  UpdateIdle();
  FlushSoon();
  const Turn::Work work(host_.turn());
  if (!received.empty()) OnBytes(received);
  StartRequests(kNoLimit);
  Await();
}

// --- What comes from the client ---

void Http2Connection::Await() {
  if (state_ == State::kFinished || reading_.awaited) return;
  if (!arrived_.empty()) return;  // StartRequests goes on.
  const bool is_full = writing_.blocked && state_ != State::kLingering &&
                       session_->waiting_frames() > kMaxWaitingFrames;
  if (is_full) return;  // WriteOn goes on with it.
  reading_.awaited = true;
  stream_->AwaitReadable();
}

// A read may hold a hundred requests, and many connections may have one.
void Http2Connection::OnReadable() {
  if (host_.turn().has_worked_long()) return host_.turn().Postpone(going_on_);
  Read(host_.ReadBuffer(), kNoLimit);
}

void Http2Connection::GoOn() {
  const auto self = shared_from_this();
  if (state_ == State::kFinished) return;
  if (reading_.awaited) {
    return Read(host_.ReadBuffer().subspan(0, kReadInTurn), kMostInTurn);
  }
  const Turn::Work work(host_.turn());
  StartRequests(kMostInTurn);
  Await();
}

void Http2Connection::Read(absl::Span<char> buffer, int most_requests) {
  const auto self = shared_from_this();
  const Turn::Work work(host_.turn());
  reading_.awaited = false;
  const ByteStream::Result read = stream_->Read(buffer);
  switch (read.kind) {
    case ByteStream::Result::Kind::kWouldBlock:
      break;
    case ByteStream::Result::Kind::kDone:
      if (state_ == State::kLingering) break;
      OnBytes({buffer.data(), read.bytes});
      StartRequests(most_requests);
      break;
    case ByteStream::Result::Kind::kEnd:
    case ByteStream::Result::Kind::kFailed:
      return Finish(read.why.message());
  }
  Await();
}

void Http2Connection::OnBytes(absl::string_view bytes) {
  const absl::Time now = host_.now();
  reading_.last = now;
  reading_.pinged_at.reset();
  if (std::exchange(rests_, false)) host_.Wake(*this);
  absl::Status status = session_->Receive(bytes, TimeOf(now));
  session_->OnWireBytes(bytes.size());
  // nghttp2 may have had enough of a flood first.
  const absl::Status flood = session_->CheckFlood(TimeOf(now));
  if (!flood.ok()) status = flood;
  for (; heads_too_long_ > 0; --heads_too_long_) {
    host_.HandshakeRefused(HeadersTooLarge(settings_->max_header_bytes),
                           peer_.address);
  }
  if (!status.ok()) return Fail(status);
  if (state_ == State::kPreface && session_->TakeSettingsCame()) {
    state_ = State::kServing;
    since_ = now;
  }
  if (session_->wants_send() || session_->is_done()) FlushSoon();
}

h2::Stream* Http2Connection::OnRequest() {
  if (state_ == State::kLingering || state_ == State::kFinished) return nullptr;
  reading_.head_since = host_.now();
  auto stream = std::make_shared<Http2Stream>(shared_from_this());
  Http2Stream* const key = stream.get();
  streams_.emplace(key, std::move(stream));
  return key;
}

void Http2Connection::OnRequestHead(Http2Stream& stream) {
  reading_.head_since.reset();
  arrived_.push_back(stream.shared_from_this());
}

void Http2Connection::StartRequests(int most) {
  UpdateIdle();
  if (arrived_.empty()) return;
  settings_ = host_.SettingsOf(listener_);
  int started = 0;
  do {
    std::shared_ptr<Http2Stream> stream = std::move(arrived_.front());
    arrived_.pop_front();
    std::make_shared<Http2Exchange>(std::move(stream), peer_, listener_,
                                    settings_, host_)
        ->Start();
  } while (!arrived_.empty() && ++started < most &&
           !host_.turn().has_worked_long());
  if (!arrived_.empty()) host_.turn().Next(going_on_);
}

// --- Streams ---

void Http2Connection::Consume(Http2Stream& stream, std::size_t bytes) {
  if (stream.session() == nullptr) return;
  if (session_->Consume(stream, bytes)) {
    session_->GrowWindow(stream, TimeOf(host_.now()));
  }
  if (session_->wants_send()) FlushSoon();
}

void Http2Connection::ResetStream(Http2Stream& stream, h2::ErrorCode code) {
  session_->Reset(stream, code);
  FlushSoon();
  Drop(stream);
}

void Http2Connection::FinishWhenSent(Http2Stream& stream) {
  finishing_.push_back(stream.shared_from_this());
  FlushSoon();
}

void Http2Connection::FinishStreams() {
  std::size_t kept = 0;
  for (std::shared_ptr<Http2Stream>& stream : finishing_) {
    if (stream->session() == nullptr) continue;
    if (session_->HasSentEnd(*stream)) {
      // RFC 9113 section 8.1: what the client is still sending is not wanted.
      if (!stream->peer_ended()) session_->Reset(*stream, h2::kNoError);
      if (stream->session() != nullptr) session_->Finish(*stream);
      Drop(*stream);
    } else {
      std::swap(finishing_[kept++], stream);
    }
  }
  finishing_.resize(kept);
}

void Http2Connection::OnStreamEnd(Http2Stream& stream,
                                  const h2::StreamEnd& end) {
  if (end.cause == h2::StreamEnd::Cause::kListTooLong) ++heads_too_long_;
  if (!stream.head_is_complete_) reading_.head_since.reset();
  FlushSoon();
  Drop(stream);
}

void Http2Connection::Drop(Http2Stream& stream) {
  const auto found = streams_.find(&stream);
  if (found == streams_.end()) return;
  host_.turn().Bury(std::move(found->second));  // It may be what is calling.
  streams_.erase(found);
  since_ = host_.now();
}

// --- What goes to the client ---

void Http2Connection::Flush() {
  const auto self = shared_from_this();
  if (state_ == State::kFinished || state_ == State::kLingering) return;
  while (!writing_.blocked && !writing_.failed) {
    FinishStreams();
    const absl::Status status = session_->Send(kMaxWriteBytes, writing_.bytes);
    if (!status.ok()) return Fail(status);
    if (writing_.bytes.empty()) break;
    writing_.used = true;
    if (!WriteOn()) break;
  }
  if (writing_.failed) return Finish("the client takes nothing any more");
  UpdateIdle();
  if (session_->is_done() && !writing_.blocked) return Linger();
  Await();
}

bool Http2Connection::WriteOn() {
  while (writing_.sent < writing_.bytes.size()) {
    const absl::string_view left =
        absl::string_view(writing_.bytes).substr(writing_.sent);
    const ByteStream::Result written = stream_->Write({left});
    if (written.kind == ByteStream::Result::Kind::kWouldBlock) {
      if (!writing_.blocked) writing_.stalled_since.reset();
      writing_.blocked = true;
      stream_->AwaitWritable();
      return false;
    }
    if (written.kind != ByteStream::Result::Kind::kDone) {
      writing_.failed = true;
      return false;
    }
    writing_.sent += written.bytes;
  }
  writing_.blocked = false;
  writing_.sent = 0;
  if (writing_.bytes.capacity() > kKeptBytes) {
    std::string().swap(writing_.bytes);
  } else {
    writing_.bytes.clear();
  }
  return true;
}

void Http2Connection::OnWritable() {
  const auto self = shared_from_this();
  if (state_ == State::kFinished) return;
  if (!WriteOn() && !writing_.failed) return;
  Flush();
}

// --- How it ends ---

void Http2Connection::Fail(const absl::Status& why) {
  host_.Http2Failed(listener_, session_->flood(), peer_.address,
                    std::string(why.message()));
  session_->Terminate(session_->flood() == h2::Flood::kNone
                          ? h2::kProtocolError
                          : h2::kEnhanceYourCalm);
  // What was under way is of no use any more, but a client may read on and see
  // why.
  session_->Send(writing_.bytes.size() + kMaxWriteBytes, writing_.bytes)
      .IgnoreError();
  if (!writing_.blocked) WriteOn();
  for (h2::Stream* const stream : session_->DetachAll()) {
    auto& lost = static_cast<Http2Stream&>(*stream);
    lost.Fail(why);
    Drop(lost);
  }
  arrived_.clear();
  if (writing_.failed) return Finish(why.message());
  Linger();
}

// Closing at once would reset the connection when the client is still sending,
// and take the last frames from it before they are read.
void Http2Connection::Linger() {
  if (state_ == State::kLingering) return;
  state_ = State::kLingering;
  since_ = host_.now();
  UpdateIdle();
  stream_->EndWrite();
  Await();
}

void Http2Connection::Finish(absl::string_view why) {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  for (h2::Stream* const stream : session_->DetachAll()) {
    static_cast<Http2Stream*>(stream)->Fail(absl::UnavailableError(why));
  }
  arrived_.clear();
  finishing_.clear();
  for (auto& [key, stream] : std::exchange(streams_, {})) {
    host_.turn().Bury(std::move(stream));
  }
  stream_->Close();
  host_.Remove(*this);
}

void Http2Connection::Abort() {
  const auto self = shared_from_this();
  Finish("the gateway stops");
}

void Http2Connection::Drain(const DrainOrder& order) {
  const auto self = shared_from_this();
  if (state_ == State::kPreface) return Finish("the gateway is shutting down");
  if (state_ != State::kServing) return;
  if (std::exchange(rests_, false)) host_.Wake(*this);
  state_ = State::kDraining;
  session_->Drain(TimeOf(order.now));
  FlushSoon();
}

// --- Time ---

void Http2Connection::OnTick(absl::Time now) {
  const auto self = shared_from_this();
  if (state_ == State::kFinished) return;
  if (writing_.bytes.empty() && !std::exchange(writing_.used, false)) {
    std::string().swap(writing_.bytes);
  }
  if (writing_.blocked) {
    const std::uint64_t taken = stream_->BytesTaken();
    if (taken != std::exchange(writing_.taken, taken) ||
        !writing_.stalled_since) {
      writing_.stalled_since = now;
    }
    if (now - *writing_.stalled_since >= settings_->send_timeout) {
      return Finish("the client takes nothing");
    }
  }
  const absl::Duration waited = now - since_;
  switch (state_) {
    case State::kPreface:
      if (waited >= settings_->handshake_timeout) {
        Finish("no SETTINGS within the time for a handshake");
      }
      return;
    case State::kServing:
      if (streams_.empty() && waited >= settings_->keep_alive_timeout) {
        state_ = State::kDraining;
        session_->Drain(TimeOf(now));
        since_ = now;
      }
      break;
    case State::kDraining:
      if (streams_.empty() && waited >= settings_->close_timeout) {
        return Finish("the client does not hang up");
      }
      break;
    case State::kLingering:
      if (waited >= settings_->close_timeout) Finish("");
      return;
    case State::kFinished:
      return;
  }
  if (reading_.head_since &&
      now - *reading_.head_since >= settings_->handshake_timeout) {
    return Finish("no end of a request's head within the time for a handshake");
  }
  session_->OnTime(TimeOf(now));
  SendKeepalive(now);
  if (state_ != State::kFinished && session_->wants_send()) FlushSoon();
}

// A client that is gone without a word is noticed by its silence.
void Http2Connection::SendKeepalive(absl::Time now) {
  const KeepaliveSettings& keepalive = settings_->keepalive;
  if (streams_.empty()) return;
  if (reading_.pinged_at) {
    if (now - *reading_.pinged_at >= keepalive.timeout) {
      Finish("the client did not answer a PING");
    }
  } else if (now - reading_.last >= keepalive.interval) {
    reading_.pinged_at = now;
    session_->Ping();
  }
}

bool Http2Connection::Rest() {
  rests_ = state_ == State::kServing && streams_.empty() &&
           writing_.bytes.capacity() <= sizeof(std::string) &&
           !writing_.blocked;
  return rests_;
}

bool Http2Connection::MayMakeRoom(absl::Time now) const {
  if (!idle_) return false;
  return (state_ == State::kServing && streams_.empty()) ||
         now - since_ >= kLeastIdle;
}

void Http2Connection::UpdateIdle() {
  // Other streams wait for the client only: to finish a request's head, or to
  // take a response.
  const std::size_t served =
      streams_.size() - finishing_.size() - (reading_.head_since ? 1 : 0);
  const bool idle =
      served == 0 && (state_ == State::kPreface || state_ == State::kServing);
  if (std::exchange(idle_, idle) != idle) host_.SetIdle(*this, idle);
}

// Includes the streams whose complete response waits for the client: these
// belong to no other Connection.
std::size_t Http2Connection::held_bytes() const {
  std::size_t bytes = writing_.bytes.capacity() + stream_->held_bytes();
  for (const std::shared_ptr<Http2Stream>& stream : finishing_) {
    bytes += kStreamBytes + stream->held_bytes();
  }
  return bytes;
}

void Http2Connection::CloseForMemory(absl::Time /*now*/,
                                     absl::Duration /*patience*/) {
  const auto self = shared_from_this();
  for (const std::shared_ptr<Http2Stream>& stream :
       std::exchange(finishing_, {})) {
    if (stream->session() != nullptr) stream->Reset(h2::kEnhanceYourCalm);
  }
  if (writing_.blocked && writing_.bytes.size() >= kLeastHeldBytes) {
    Finish("memory is short, and the client takes nothing");
  }
}

}  // namespace headgate
