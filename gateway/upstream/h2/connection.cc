#include "gateway/upstream/h2/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <memory>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/h2/error_code.h"

namespace headgate {
namespace {

// The size of a read.
constexpr std::size_t kReadBytes = 64 * 1024;
// What a record of TLS holds at most (RFC 8446 section 5.1).
constexpr std::size_t kRecordBytes = 16 * 1024;
// What waits behind a write that is under way.
constexpr std::size_t kMaxOutgoingBytes = 64 * 1024;
// A buffer that has grown beyond this is given back when it is empty.
constexpr std::size_t kKeptBytes = 128 * 1024;

// Of the thread: what was read is taken before anything else is. So connections
// hold no buffer, of which 100 idle sessions would have a hundredth each.
boost::asio::mutable_buffer ReadBuffer() {
  thread_local const std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  return boost::asio::buffer(buffer.get(), kReadBytes);
}

void Empty(std::string& buffer) {
  if (buffer.capacity() > kKeptBytes) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

}  // namespace

void H2Stream::OnFieldsBegin() {
  connection_->reading_.block = HeaderBlock(metadata_delivery());
}

void H2Stream::OnField(absl::string_view name, absl::string_view value) {
  connection_->reading_.block.Add(name, value);
}

void H2Stream::OnFieldsEnd(bool end_stream) {
  OnHeaderBlock(std::exchange(connection_->reading_.block, HeaderBlock()),
                end_stream);
}

void H2Stream::OnEnd(const h2::StreamEnd& end) {
  connection_->OnStreamEnd(*this, end);
}

H2Connection::H2Connection(boost::asio::io_context& worker, Turn& turn,
                           Alarms& alarms, H2Endpoint endpoint,
                           const H2ConnectionOptions& options,
                           H2ConnectionOwner& owner,
                           std::unique_ptr<TlsEngine> tls)
    : worker_(worker),
      turn_(turn),
      alarms_(alarms),
      endpoint_(std::move(endpoint)),
      options_(options),
      owner_(&owner),
      socket_(worker),
      tls_(std::move(tls)),
      max_streams_(static_cast<std::size_t>(options.max_streams)),
      keepalive_(
          options.keepalive_interval.value_or(Alarms::Clock::duration::zero()),
          options.keepalive_pause, options.keepalive_timeout) {}

H2Connection::~H2Connection() = default;

void H2Connection::Connect() {
  assert(state_ == State::kNew);
  state_ = State::kConnecting;
  alarms_.Set(*this, Alarms::Clock::now() + options_.connect_timeout);
  socket_.async_connect(
      endpoint_, [self = shared_from_this()](boost::system::error_code error) {
        self->OnSocketConnected(error);
        self->turn_.Run();
      });
}

void H2Connection::OnSocketConnected(boost::system::error_code error) {
  if (state_ == State::kClosed) return;
  if (error) {
    Lose(absl::UnavailableError(error.message()));
    return;
  }
  if (endpoint_.protocol().family() != AF_UNIX) {
    socket_.set_option(boost::asio::ip::tcp::no_delay(true), error);
  }
  socket_.non_blocking(true, error);
  if (error) return Lose(absl::UnavailableError(error.message()));
  if (tls_ == nullptr) {
    MakeSession();
  } else if (absl::Status status = tls_->Handshake(); !status.ok()) {
    return Lose(std::move(status));
  }
  Flush();
  if (state_ != State::kClosed) StartRead();
}

void H2Connection::MakeSession() {
  h2::SessionOptions options;
  options.stream_window_bytes = options_.stream_window_bytes;
  options.max_header_list_bytes = kMaxHeaderListBytes;
  session_.emplace(options, /*acceptor=*/nullptr, Alarms::Clock::now());
  session_->set_ping_pace(&keepalive_.pace());
}

std::size_t H2Connection::room() const {
  if (state_ != State::kConnected || stream_count() >= max_streams_ ||
      writing_.error) {
    return 0;
  }
  return max_streams_ - stream_count();
}

bool H2Connection::Open(H2Stream& stream,
                        const std::vector<h2::Field>& fields) {
  assert(room() > 0);
  stream.connection_ = this;
  if (!session_->Open(stream, fields)) {
    state_ = State::kDraining;
    return false;
  }
  served_ = true;
  stream.is_counted_ = stream.is_call();
  if (stream.is_counted_ && ++calls_ == 1) SetKeepalive();
  turn_.AtEnd(*this);
  return true;
}

void H2Connection::Resume(H2Stream& stream) {
  session_->Resume(stream);
  turn_.AtEnd(*this);
}

void H2Connection::Reset(H2Stream& stream, std::uint32_t error_code) {
  session_->Reset(stream, error_code);
  OnStreamGone(stream);
}

void H2Connection::Finish(H2Stream& stream) {
  session_->Finish(stream);
  OnStreamGone(stream);
}

void H2Connection::Consume(H2Stream& stream, std::size_t bytes) {
  if (session_->Consume(stream, bytes)) {
    session_->GrowWindow(stream, Alarms::Clock::now());
  }
  if (session_->wants_send()) turn_.AtEnd(*this);
}

void H2Connection::OnStreamGone(H2Stream& stream) {
  if (stream.is_counted_ && --calls_ == 0) alarms_.Cancel(*this);
  turn_.AtEnd(*this);
  owner_->OnRoom();
}

void H2Connection::OnStreamEnd(H2Stream& stream, const h2::StreamEnd& end) {
  OnStreamGone(stream);
  switch (end.cause) {
    case h2::StreamEnd::Cause::kRefused:
      return stream.OnRefused();
    case h2::StreamEnd::Cause::kReset:
      return stream.OnClosed(StatusForReset(end.code));
    case h2::StreamEnd::Cause::kListTooLong:
      return stream.OnClosed(MetadataTooLong(end.bytes));
    case h2::StreamEnd::Cause::kListUnsendable:
      return stream.OnClosed(
          absl::ResourceExhaustedError("the call's metadata is too long"));
    case h2::StreamEnd::Cause::kPeerFault:
    case h2::StreamEnd::Cause::kStalled:
      return stream.OnClosed(absl::InternalError(absl::StrCat(
          "the upstream's answer breaks HTTP/2: ", h2::ErrorName(end.code))));
  }
}

void H2Connection::StartRead() {
  reading_.pending = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](
                                            boost::system::error_code error) {
    if (std::exchange(self->reading_.pending, false)) {
      self->worker_.get_executor().on_work_started();
    }
    self->OnReadable(error);
  });
  // What the server may still send is no reason for the loop to go on; calls
  // are.
  worker_.get_executor().on_work_finished();
}

void H2Connection::OnReadable(boost::system::error_code error) {
  if (state_ == State::kClosed) return;
  const boost::asio::mutable_buffer buffer = ReadBuffer();
  const std::size_t size = error ? 0 : socket_.read_some(buffer, error);
  if (error == boost::asio::error::would_block) return StartRead();
  absl::Status status;
  if (error) {
    if (writing_.error) error = writing_.error;
    status = absl::UnavailableError(
        session_
            ? error.message()
            : absl::StrCat("TLS: during the handshake: ", error.message()));
  } else {
    const h2::Time now = Alarms::Clock::now();
    keepalive_.OnReceived(now);
    const absl::string_view bytes(static_cast<const char*>(buffer.data()),
                                  size);
    status = tls_ == nullptr ? Take(bytes, now) : TakeTls(bytes, now);
    if (status.ok() && session_) {
      session_->OnWireBytes(size);
      status = session_->CheckFlood(now);
    }
  }
  if (status.ok()) {
    Settle();
    if (state_ != State::kClosed) {
      turn_.AtEnd(*this);
      owner_->OnRoom();
    }
  } else {
    Lose(session_ && session_->goaway_came()
             ? absl::UnavailableError(absl::StrCat(
                   status.message(), " after GOAWAY ", session_->goaway_text()))
             : std::move(status));
  }
  turn_.Run();
  if (state_ != State::kClosed) StartRead();
}

absl::Status H2Connection::Take(absl::string_view bytes, h2::Time now) {
  return session_->Receive(bytes, now);
}

absl::Status H2Connection::TakeTls(absl::string_view bytes, h2::Time now) {
  tls_->Feed(bytes);
  if (!tls_->established()) {
    if (absl::Status status = tls_->Handshake(); !status.ok()) return status;
    if (!tls_->established()) return absl::OkStatus();
    MakeSession();
  }
  std::array<char, kRecordBytes> content;
  for (;;) {
    const absl::StatusOr<std::size_t> size =
        tls_->Read(content.data(), content.size());
    if (!size.ok()) return size.status();
    if (*size == 0) break;
    absl::Status status = Take({content.data(), *size}, now);
    if (!status.ok()) return status;
  }
  // TLS answers some things by itself, such as HelloRequest (RFC 5246 section
  // 7.4.1.1).
  if (tls_->output().size() > kMaxOutgoingBytes) {
    return absl::UnavailableError("TLS: the server takes no answers");
  }
  return absl::OkStatus();
}

void H2Connection::Settle() {
  if (!session_) return;
  if (session_->TakeSettingsCame()) {
    max_streams_ =
        std::min<std::size_t>(static_cast<std::size_t>(options_.max_streams),
                              session_->peer_max_streams());
    if (state_ == State::kConnecting) {
      if (max_streams_ == 0 || session_->goaway_came()) {
        return Lose(absl::UnavailableError("the server takes no streams"));
      }
      alarms_.Cancel(*this);
      state_ = State::kConnected;
      owner_->OnConnected(*this);
    }
  }
  if (state_ == State::kConnected && session_->goaway_came()) {
    state_ = State::kDraining;
    for (h2::Stream* const stream : session_->streams()) {
      static_cast<H2Stream*>(stream)->OnDraining();
    }
    owner_->OnDraining(*this);
  }
}

void H2Connection::Drain() {
  assert(state_ == State::kConnected && stream_count() > 0);
  state_ = State::kDraining;
}

bool H2Connection::HasOutput() const {
  return !writing_.next.empty() || (tls_ != nullptr && !tls_->output().empty());
}

void H2Connection::Flush() {
  if (state_ == State::kClosed || writing_.error) return;
  if (!session_) {  // TLS comes first.
    if (!writing_.pending && HasOutput()) StartWrite();
    return;
  }
  absl::Status status = session_->Send(kMaxOutgoingBytes, writing_.next);
  if (!status.ok()) return Lose(std::move(status));
  if (!writing_.pending && HasOutput()) StartWrite();
  if (state_ == State::kClosed) return;
  const bool is_drained = state_ == State::kDraining && stream_count() == 0 &&
                          !writing_.pending && !HasOutput();
  if (is_drained || (session_->is_done() && !writing_.pending)) {
    Lose(absl::UnavailableError(absl::StrCat(
        "GOAWAY ",
        session_->goaway_came() ? session_->goaway_text() : std::string())));
  }
}

void H2Connection::StartWrite() {
  if (tls_ == nullptr) {
    std::swap(writing_.next, writing_.current);
  } else {
    if (!writing_.next.empty()) {
      absl::Status status = tls_->Write(writing_.next);
      if (!status.ok()) return Lose(std::move(status));
      Empty(writing_.next);
    }
    std::swap(tls_->output(), writing_.current);
  }
  writing_.pending = true;
  boost::asio::async_write(
      socket_, boost::asio::buffer(writing_.current),
      [self = shared_from_this()](boost::system::error_code error,
                                  std::size_t) { self->OnWritten(error); });
}

void H2Connection::OnWritten(boost::system::error_code error) {
  writing_.pending = false;
  Empty(writing_.current);
  if (state_ == State::kClosed) return;
  if (error) {
    // What the server sent before, perhaps why, is still to be read; then the
    // reading ends, whatever the server does.
    writing_.error = error;
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_both, ignored);
    return;
  }
  turn_.AtEnd(*this);
  turn_.Run();
}

void H2Connection::SetKeepalive() {
  if (!options_.keepalive_interval || state_ == State::kConnecting) return;
  keepalive_.Start(Alarms::Clock::now());
  alarms_.Set(*this, keepalive_.due());
}

absl::string_view H2Connection::missing() const {
  if (!reading_.pending) return "no answer";
  return session_ ? "no SETTINGS of HTTP/2" : "TLS: no end of the handshake";
}

void H2Connection::OnAlarm() {
  if (state_ == State::kConnecting) {
    return Lose(
        absl::DeadlineExceededError(absl::StrCat(missing(), " in time")));
  }
  switch (keepalive_.Check(Alarms::Clock::now())) {
    case h2::Keepalive::Verdict::kDead:
      return Lose(absl::UnavailableError("keepalive: no answer to a ping"));
    case h2::Keepalive::Verdict::kPing:
      session_->Ping();
      turn_.AtEnd(*this);
      break;
    case h2::Keepalive::Verdict::kWait:
      break;
  }
  alarms_.Set(*this, keepalive_.due());
}

void H2Connection::Lose(absl::Status why) {
  assert(state_ != State::kClosed);
  const bool served = served_;
  H2ConnectionOwner* const owner = owner_;
  std::vector<h2::Stream*> streams;
  if (session_) streams = session_->DetachAll();
  Close();
  for (h2::Stream* one : streams) {
    auto* const stream = static_cast<H2Stream*>(one);
    if (!stream->was_sent()) {
      stream->OnRefused();
    } else {
      stream->OnClosed(WithDetailForLog(
          absl::UnavailableError(
              keepalive_.is_probing()
                  ? "the upstream does not answer: keepalive"
                  : "the connection to the upstream was lost"),
          absl::StrCat(FormatEndpoint(endpoint_), ": ", why.message())));
    }
  }
  owner->OnLost(*this, served, std::move(why));
}

void H2Connection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  owner_ = nullptr;
  alarms_.Cancel(*this);
  if (session_) session_->DetachAll();
  calls_ = 0;
  CloseSocket();
  session_.reset();
}

// To writing_.next, as they are on the wire.
void H2Connection::PutLastWords() {
  if (session_) {
    session_->Terminate(h2::kNoError);
    (void)session_->Send(kMaxOutgoingBytes, writing_.next);
  }
  if (tls_ == nullptr) return;
  if (tls_->established()) (void)tls_->Write(writing_.next);
  tls_->Shutdown();
  writing_.next = std::move(tls_->output());
}

// What is left to be said, such as GOAWAY, RST_STREAM and an alert of TLS, goes
// out if the socket takes it at once.
void H2Connection::CloseSocket() {
  boost::system::error_code ignored;
  if (!writing_.pending && socket_.is_open()) {
    PutLastWords();
    socket_.non_blocking(true, ignored);
    if (!ignored && !writing_.next.empty()) {
      socket_.write_some(boost::asio::buffer(writing_.next), ignored);
    }
  }
  if (std::exchange(reading_.pending, false)) {
    worker_.get_executor().on_work_started();
  }
  socket_.close(ignored);
}

}  // namespace headgate
