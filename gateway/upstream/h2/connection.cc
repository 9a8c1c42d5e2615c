#include "gateway/upstream/h2/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"

namespace headgate {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// What a record of TLS holds at most (RFC 8446 section 5.1).
constexpr std::size_t kRecordBytes = 16 * 1024;
// What waits behind a write that is under way.
constexpr std::size_t kMaxOutgoingBytes = 64 * 1024;
// A buffer that has grown beyond this is given back when it is empty.
constexpr std::size_t kKeptBytes = 128 * 1024;
constexpr std::int32_t kConnectionWindowBytes = 4 * 1024 * 1024;
// What the window of a stream may grow to: 20 MB/s over 50 ms. And by how much
// all of a connection may grow together.
constexpr std::size_t kMaxStreamWindowBytes = 1024 * 1024;
constexpr std::size_t kMaxGrowthBytes = 4 * 1024 * 1024;
// Marks the PINGs that measure the round trip.
constexpr absl::string_view kMeasuringPing = "roundtri";
constexpr std::size_t kMaxToldBytes = 128;
// What a server may send in kSpareTime that no call is served by; and besides,
// for each call its head and trailers and what was under way when it was given
// up, for each piece of data its frame, and for each frame of ours, such as
// WINDOW_UPDATE for what we have sent, a small part.
constexpr std::int64_t kSpareBytes = 256 * 1024;
constexpr std::chrono::seconds kSpareTime(10);
constexpr std::int64_t kSpareForCall = 2 * kMaxHeaderListBytes;
constexpr std::int64_t kSpareForFrame = 64;
// Besides, what header blocks of more than one frame may hold for each call, as
// much as a backend can quote of a long message; and for all together.
constexpr std::int64_t kSpareBlockBytes = 4 * 1024 * 1024;
constexpr std::int64_t kMaxSpareBlockBytes = 16 * kSpareBlockBytes;
constexpr std::int64_t kSpareForSentBytes = 16;  // One for so many.

const std::uint8_t* Bytes(absl::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}
absl::string_view Text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

void Empty(std::string& buffer) {
  if (buffer.capacity() > kKeptBytes) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

}  // namespace

// They run within nghttp2, which is C: nothing may be thrown, the session may
// not be destroyed, and nobody but streams hears of anything.
struct H2Connection::Callbacks {
  static H2Connection& Self(void* user_data) {
    return *static_cast<H2Connection*>(user_data);
  }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame,
                            void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    const H2Stream* stream = self.StreamOf(frame->hd.stream_id);
    if (stream != nullptr) {
      self.block_ = HeaderBlock(stream->metadata_delivery());
    }
    return 0;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame,
                      const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    if (self.StreamOf(frame->hd.stream_id) != nullptr) {
      self.block_.Add(Text(name, name_size), Text(value, value_size));
    }
    return 0;
  }

  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame,
                     void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    const bool end_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    H2Stream* const stream = self.StreamOf(frame->hd.stream_id);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        self.ping_pace_.OnAnswer();
        if (stream != nullptr) self.TakeBlock(*stream, end_stream);
        self.block_ = HeaderBlock();
        break;
      case NGHTTP2_DATA:
        if (stream != nullptr && end_stream) stream->OnEndStream();
        break;
      case NGHTTP2_RST_STREAM:
        self.reset_by_peer_ = frame->hd.stream_id;
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
          self.settings_came_ = true;
        } else {
          self.round_trip_.Stop(Alarms::Clock::now());
        }
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) break;
        self.ping_pace_.OnAck();
        if (Text(frame->ping.opaque_data, sizeof frame->ping.opaque_data) ==
            kMeasuringPing) {
          self.round_trip_.Stop(Alarms::Clock::now());
        }
        break;
      case NGHTTP2_PUSH_PROMISE:
        // It may come before the server has our SETTINGS.
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                  frame->push_promise.promised_stream_id,
                                  NGHTTP2_CANCEL);
        break;
      case NGHTTP2_GOAWAY:
        self.goaway_came_ = true;
        self.goaway_text_ = absl::StrCat(
            nghttp2_http2_strerror(frame->goaway.error_code), " ",
            absl::CHexEscape(
                Text(frame->goaway.opaque_data,
                     std::min(frame->goaway.opaque_data_len, kMaxToldBytes))));
        break;
      default:
        break;
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id,
                    const std::uint8_t* data, std::size_t size,
                    void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    nghttp2_session_consume_connection(session, size);
    self.round_trip_.OnData();
    self.ping_pace_.OnAnswer();
    H2Stream* const stream = self.StreamOf(id);
    if (stream != nullptr) {
      self.spare_bytes_ += static_cast<std::int64_t>(size) + kSpareForFrame;
      stream->OnData(Text(data, size));
    }
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, std::int32_t id,
                           std::uint32_t error_code, void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    H2Stream* const stream = self.StreamOf(id);
    if (stream == nullptr) return 0;
    const bool by_peer = self.reset_by_peer_ == id;
    self.Detach(*stream);
    // GOAWAY closes the streams that the server has not seen with the same
    // code (RFC 9113 section 6.8); a head that was not sent nobody has seen.
    if (error_code == NGHTTP2_REFUSED_STREAM || !stream->sent_) {
      stream->OnRefused();
    } else if (by_peer || error_code == NGHTTP2_NO_ERROR) {
      stream->OnClosed(StatusForReset(error_code));
    } else {
      stream->OnClosed(absl::InternalError(
          absl::StrCat("the upstream's answer breaks HTTP/2: ",
                       nghttp2_http2_strerror(error_code))));
    }
    return 0;
  }

  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame,
                         void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    if (frame->hd.type == NGHTTP2_DATA) {
      self.spare_bytes_ +=
          kSpareForFrame +
          static_cast<std::int64_t>(frame->hd.length) / kSpareForSentBytes;
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
      H2Stream* const stream = self.StreamOf(frame->hd.stream_id);
      if (stream != nullptr) stream->sent_ = true;
    } else if (frame->hd.type == NGHTTP2_GOAWAY &&
               frame->goaway.error_code != NGHTTP2_NO_ERROR) {
      self.broken_ = true;
      // nghttp2 does not say what it has against every fault.
      if (self.fault_.empty()) {
        self.fault_ = absl::StrCat(
            nghttp2_http2_strerror(frame->goaway.error_code), " ",
            absl::CHexEscape(
                Text(frame->goaway.opaque_data,
                     std::min(frame->goaway.opaque_data_len, kMaxToldBytes))));
      }
    }
    return 0;
  }

  static int OnFrameNotSent(nghttp2_session* session,
                            const nghttp2_frame* frame, int error,
                            void* user_data) noexcept {
    H2Connection& self = Self(user_data);
    if (frame->hd.type != NGHTTP2_HEADERS ||
        error != NGHTTP2_ERR_FRAME_SIZE_ERROR) {
      return 0;
    }
    H2Stream* const stream = self.StreamOf(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    // nghttp2 closes the stream itself.
    nghttp2_session_set_stream_user_data(session, stream->id_, nullptr);
    self.Detach(*stream);
    stream->OnClosed(
        absl::ResourceExhaustedError("the call's metadata is too long"));
    return 0;
  }

  static ssize_t ReadOutgoing(nghttp2_session*, std::int32_t id, std::uint8_t*,
                              std::size_t max, std::uint32_t* flags,
                              nghttp2_data_source*, void* user_data) noexcept {
    H2Stream* const stream = Self(user_data).StreamOf(id);
    if (stream == nullptr) return NGHTTP2_ERR_DEFERRED;
    const H2Stream::Outgoing next = stream->PeekOutgoing(max);
    if (next.bytes == 0 && !next.last) {
      stream->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (next.last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(next.bytes);
  }

  static int SendData(nghttp2_session*, nghttp2_frame* frame,
                      const std::uint8_t* head, std::size_t size,
                      nghttp2_data_source*, void* user_data) noexcept {
    constexpr std::size_t kFrameHeadBytes = 9;
    H2Connection& self = Self(user_data);
    H2Stream* const stream = self.StreamOf(frame->hd.stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    absl::StrAppend(&self.outgoing_, Text(head, kFrameHeadBytes));
    stream->MoveOutgoing(size, self.outgoing_);
    return 0;
  }

  static int OnError(nghttp2_session*, int, const char* text, std::size_t size,
                     void* user_data) noexcept {
    Self(user_data).fault_.assign(text, std::min(size, kMaxToldBytes));
    return 0;
  }
};

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
      spare_bytes_(kSpareBytes),
      ping_pace_(
          options.keepalive_interval.value_or(Alarms::Clock::duration::zero()),
          options.keepalive_pause) {}

H2Connection::~H2Connection() { nghttp2_session_del(session_); }

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
  spare_since_ = Alarms::Clock::now();
  incoming_.resize(kReadBytes);
  if (tls_ == nullptr) {
    MakeSession();
  } else if (absl::Status status = tls_->Handshake(); !status.ok()) {
    return Lose(std::move(status));
  }
  Flush();
  if (state_ != State::kClosed) StartRead();
}

void H2Connection::MakeSession() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      callbacks, &Callbacks::OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks,
                                                   &Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                       &Callbacks::OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                            &Callbacks::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, &Callbacks::OnStreamClose);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks,
                                                       &Callbacks::OnFrameSent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(
      callbacks, &Callbacks::OnFrameNotSent);
  nghttp2_session_callbacks_set_send_data_callback(callbacks,
                                                   &Callbacks::SendData);
  nghttp2_session_callbacks_set_error_callback2(callbacks, &Callbacks::OnError);

  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
#ifdef HEADGATE_NGHTTP2_LIMITS_CONTINUATIONS
  // A long block is no reason to end the connection: HeaderGuard puts it into
  // few frames, and IsFlooding limits their bytes.
  nghttp2_option_set_max_continuations(option, SIZE_MAX);
#endif
  // gRPC does not look at the blanks around a value.
  nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);
  nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);

  const std::array<nghttp2_settings_entry, 3> settings = {{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
       static_cast<std::uint32_t>(initial_window())},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHeaderListBytes},
  }};
  round_trip_.Start(Alarms::Clock::now());
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(),
                          settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        kConnectionWindowBytes);
}

std::size_t H2Connection::room() const {
  if (state_ != State::kConnected || streams_.size() >= max_streams_ ||
      write_error_) {
    return 0;
  }
  return max_streams_ - streams_.size();
}

std::size_t H2Connection::max_header_list_bytes() const {
  return nghttp2_session_get_remote_settings(
      session_, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
}

bool H2Connection::Open(H2Stream& stream,
                        const std::vector<nghttp2_nv>& fields) {
  assert(room() > 0);
  nghttp2_data_provider provider = {};
  provider.read_callback = &Callbacks::ReadOutgoing;
  const std::int32_t id = nghttp2_submit_request(
      session_, nullptr, fields.data(), fields.size(), &provider, &stream);
  if (id < 0) {  // Its numbers are used up (RFC 9113 section 5.1.1).
    state_ = State::kDraining;
    return false;
  }
  stream.connection_ = this;
  stream.id_ = id;
  stream.sent_ = false;
  stream.deferred_ = false;
  stream.window_use_ = {};
  stream.window_growth_ = 0;
  stream.to_give_back_ = 0;
  stream.place_ = streams_.size();
  streams_.push_back(&stream);
  served_ = true;
  spare_bytes_ += kSpareForCall + static_cast<std::int64_t>(initial_window());
  spare_block_bytes_ =
      std::min(spare_block_bytes_ + kSpareBlockBytes, kMaxSpareBlockBytes);
  stream.is_counted_ = stream.is_call();
  if (stream.is_counted_ && ++calls_ == 1) SetKeepalive();
  turn_.AtEnd(*this);
  return true;
}

void H2Connection::Resume(H2Stream& stream) {
  assert(stream.connection_ == this);
  if (!std::exchange(stream.deferred_, false)) return;
  nghttp2_session_resume_data(session_, stream.id_);
  turn_.AtEnd(*this);
}

void H2Connection::Reset(H2Stream& stream, std::uint32_t error_code) {
  assert(stream.connection_ == this);
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_,
                            error_code);
  Detach(stream);
  turn_.AtEnd(*this);
}

void H2Connection::Finish(H2Stream& stream) {
  if (nghttp2_session_get_stream_local_close(session_, stream.id_) != 1) {
    return Reset(stream, NGHTTP2_NO_ERROR);
  }
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  Detach(stream);
}

void H2Connection::Consume(H2Stream& stream, std::size_t bytes) {
  assert(stream.connection_ == this);
  const bool is_far = round_trip_.IsFar();
  if (is_far) GrowWindow(stream, bytes);
  stream.to_give_back_ += bytes;
  // What waits to be given back is missing from the way. Nearby it does not
  // matter, and fewer frames are cheaper.
  if (stream.to_give_back_ >= WindowOf(stream) / (is_far ? 8 : 2)) {
    nghttp2_submit_window_update(
        session_, NGHTTP2_FLAG_NONE, stream.id_,
        static_cast<std::int32_t>(std::exchange(stream.to_give_back_, 0)));
  }
  if (nghttp2_session_want_write(session_) != 0) turn_.AtEnd(*this);
}

std::size_t H2Connection::initial_window() const {
  return std::clamp<std::size_t>(options_.stream_window_bytes, 64 * 1024,
                                 INT32_MAX);
}

std::size_t H2Connection::WindowOf(const H2Stream& stream) const {
  return initial_window() + stream.window_growth_;
}

void H2Connection::GrowWindow(H2Stream& stream, std::size_t bytes) {
  const std::size_t window = WindowOf(stream);
  if (!stream.window_use_.Take(bytes, window)) return;
  const Alarms::Clock::time_point now = Alarms::Clock::now();
  if (!stream.window_use_.IsHeldUp(now, round_trip_.smallest())) return;
  const std::size_t wider =
      std::min({2 * window, std::max(window, kMaxStreamWindowBytes),
                window + kMaxGrowthBytes - windows_growth_});
  if (wider == window) return;
  // Each step needs a measurement of its own: the farther a window has grown,
  // the surer it is that the server is far away.
  const bool sure = round_trip_.TakeFresh();
  if (round_trip_.MayStart() && ping_pace_.is_free()) {
    round_trip_.Start(now);
    ping_pace_.OnSent(now);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, Bytes(kMeasuringPing));
  }
  if (!sure) return;
  stream.window_growth_ += wider - window;
  windows_growth_ += wider - window;
  // Should it be given up, so much more is under way.
  spare_bytes_ += static_cast<std::int64_t>(wider - window);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, stream.id_,
                                        static_cast<std::int32_t>(wider));
}

void H2Connection::Detach(H2Stream& stream) {
  windows_growth_ -= stream.window_growth_;
  streams_[stream.place_] = streams_.back();
  streams_[stream.place_]->place_ = stream.place_;
  streams_.pop_back();
  stream.connection_ = nullptr;
  if (stream.is_counted_ && --calls_ == 0) {
    alarms_.Cancel(*this);  // Keepalive's.
    ping_sent_ = false;
  }
  owner_->OnRoom();
}

std::vector<H2Stream*> H2Connection::DetachAll() {
  for (H2Stream* stream : streams_) {
    nghttp2_session_set_stream_user_data(session_, stream->id_, nullptr);
    stream->connection_ = nullptr;
  }
  calls_ = 0;
  return std::exchange(streams_, {});
}

H2Stream* H2Connection::StreamOf(std::int32_t id) const {
  return id == 0 ? nullptr
                 : static_cast<H2Stream*>(
                       nghttp2_session_get_stream_user_data(session_, id));
}

void H2Connection::StartRead() {
  reading_ = true;
  socket_.async_read_some(
      boost::asio::buffer(incoming_),
      [self = shared_from_this()](boost::system::error_code error,
                                  std::size_t size) {
        if (std::exchange(self->reading_, false)) {
          self->worker_.get_executor().on_work_started();
        }
        self->OnRead(error, size);
      });
  // What the server may still send is no reason for the loop to go on; calls
  // are.
  worker_.get_executor().on_work_finished();
}

void H2Connection::OnRead(boost::system::error_code error, std::size_t size) {
  if (state_ == State::kClosed) return;
  absl::Status status;
  if (error) {
    if (write_error_) error = write_error_;
    status = absl::UnavailableError(
        has_session()
            ? error.message()
            : absl::StrCat("TLS: during the handshake: ", error.message()));
  } else {
    if (options_.keepalive_interval) last_read_ = Alarms::Clock::now();
    ping_sent_ = false;
    reset_by_peer_ = 0;
    // As they are on the wire, so that floods within TLS count as well.
    spare_bytes_ -= static_cast<std::int64_t>(size);
    const absl::string_view bytes(incoming_.data(), size);
    status = tls_ == nullptr ? Take(bytes) : TakeTls(bytes);
    if (status.ok() && IsFlooding()) {
      status = absl::UnavailableError(
          "HTTP/2: the server floods the connection with what is of no use");
    }
  }
  if (status.ok()) {
    Settle();
    if (state_ != State::kClosed) {
      turn_.AtEnd(*this);
      owner_->OnRoom();
    }
  } else {
    Lose(goaway_came_ ? absl::UnavailableError(absl::StrCat(
                            status.message(), " after GOAWAY ", goaway_text_))
                      : std::move(status));
  }
  turn_.Run();
  if (state_ != State::kClosed) StartRead();
}

absl::Status H2Connection::Take(absl::string_view bytes) {
  while (!bytes.empty()) {
    const absl::string_view piece = guard_.Next(bytes);
    if (!guard_.status().ok()) return guard_.status();
    if (piece.empty()) continue;
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, Bytes(piece), piece.size());
    if (taken < 0) {
      session_failed_ = true;
      return absl::UnavailableError(
          absl::StrCat("HTTP/2: ", nghttp2_strerror(static_cast<int>(taken))));
    }
  }
  const auto block_bytes = std::min(
      spare_block_bytes_, static_cast<std::int64_t>(guard_.TakeBlockBytes()));
  spare_block_bytes_ -= block_bytes;
  spare_bytes_ += block_bytes;
  return absl::OkStatus();
}

// One that is too long ends its call, and no other: it was read to its end, so
// that the next one can be (RFC 9113 section 10.5.1).
void H2Connection::TakeBlock(H2Stream& stream, bool end_stream) {
  if (guard_.dropped_bytes() == 0 && !block_.is_too_long()) {
    return stream.OnHeaderBlock(std::move(block_), end_stream);
  }
  Reset(stream, NGHTTP2_CANCEL);
  stream.OnClosed(MetadataTooLong(block_.bytes() + guard_.dropped_bytes()));
}

absl::Status H2Connection::TakeTls(absl::string_view bytes) {
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
    absl::Status status = Take({content.data(), *size});
    if (!status.ok()) return status;
  }
  // TLS answers some things by itself, such as HelloRequest (RFC 5246 section
  // 7.4.1.1).
  if (tls_->output().size() > kMaxOutgoingBytes) {
    return absl::UnavailableError("TLS: the server takes no answers");
  }
  return absl::OkStatus();
}

bool H2Connection::IsFlooding() {
  if (spare_bytes_ >= 0) return false;
  const Alarms::Clock::time_point now = Alarms::Clock::now();
  if (now - spare_since_ < kSpareTime) return true;
  spare_since_ = now;
  spare_bytes_ = kSpareBytes;
  return false;
}

void H2Connection::Settle() {
  if (settings_came_) {
    settings_came_ = false;
    max_streams_ = std::min<std::size_t>(
        static_cast<std::size_t>(options_.max_streams),
        nghttp2_session_get_remote_settings(
            session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
    if (state_ == State::kConnecting) {
      if (max_streams_ == 0 || goaway_came_) {
        return Lose(absl::UnavailableError("the server takes no streams"));
      }
      alarms_.Cancel(*this);
      state_ = State::kConnected;
      owner_->OnConnected(*this);
    }
  }
  if (goaway_came_ && state_ == State::kConnected) {
    state_ = State::kDraining;
    owner_->OnDraining(*this);
  }
}

void H2Connection::Drain() {
  assert(state_ == State::kConnected && !streams_.empty());
  state_ = State::kDraining;
}

bool H2Connection::HasOutput() const {
  return !outgoing_.empty() || (tls_ != nullptr && !tls_->output().empty());
}

void H2Connection::Flush() {
  if (state_ == State::kClosed || write_error_) return;
  if (!has_session()) {  // TLS comes first.
    if (!writing_ && HasOutput()) StartWrite();
    return;
  }
  while (outgoing_.size() < kMaxOutgoingBytes) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) {
      session_failed_ = true;
      return Lose(absl::UnavailableError(
          absl::StrCat("HTTP/2: ", nghttp2_strerror(static_cast<int>(size)))));
    }
    if (size == 0) break;
    absl::StrAppend(&outgoing_, Text(bytes, static_cast<std::size_t>(size)));
  }
  if (broken_) {
    return Lose(absl::UnavailableError(absl::StrCat("HTTP/2: ", fault_)));
  }
  if (!writing_ && HasOutput()) StartWrite();
  if (state_ == State::kClosed) return;
  const bool done = state_ == State::kDraining && streams_.empty() &&
                    !writing_ && !HasOutput();
  if (done || (nghttp2_session_want_read(session_) == 0 &&
               nghttp2_session_want_write(session_) == 0 && !writing_)) {
    Lose(absl::UnavailableError(absl::StrCat("GOAWAY ", goaway_text_)));
  }
}

void H2Connection::StartWrite() {
  if (tls_ == nullptr) {
    std::swap(outgoing_, sending_);
  } else {
    if (!outgoing_.empty()) {
      absl::Status status = tls_->Write(outgoing_);
      if (!status.ok()) return Lose(std::move(status));
      Empty(outgoing_);
    }
    std::swap(tls_->output(), sending_);
  }
  writing_ = true;
  boost::asio::async_write(
      socket_, boost::asio::buffer(sending_),
      [self = shared_from_this()](boost::system::error_code error,
                                  std::size_t) { self->OnWritten(error); });
}

void H2Connection::OnWritten(boost::system::error_code error) {
  writing_ = false;
  Empty(sending_);
  if (state_ == State::kClosed) return;
  if (error) {
    // What the server sent before, perhaps why, is still to be read; then the
    // reading ends, whatever the server does.
    write_error_ = error;
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_both, ignored);
    return;
  }
  turn_.AtEnd(*this);
  turn_.Run();
}

void H2Connection::SetKeepalive() {
  if (!options_.keepalive_interval || state_ == State::kConnecting) return;
  last_read_ = Alarms::Clock::now();
  ping_sent_ = false;
  alarms_.Set(*this, ping_pace_.due(last_read_));
}

absl::string_view H2Connection::missing() const {
  if (incoming_.empty()) return "no answer";
  return has_session() ? "no SETTINGS of HTTP/2"
                       : "TLS: no end of the handshake";
}

void H2Connection::OnAlarm() {
  if (state_ == State::kConnecting) {
    return Lose(
        absl::DeadlineExceededError(absl::StrCat(missing(), " in time")));
  }
  const Alarms::Clock::time_point now = Alarms::Clock::now();
  if (ping_sent_) {
    return Lose(absl::UnavailableError("keepalive: no answer to a ping"));
  }
  const Alarms::Clock::time_point due = ping_pace_.due(last_read_);
  if (now < due) return alarms_.Set(*this, due);
  ping_sent_ = true;
  ping_pace_.OnSent(now);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  alarms_.Set(*this, now + options_.keepalive_timeout);
  turn_.AtEnd(*this);
}

void H2Connection::Lose(absl::Status why) {
  assert(state_ != State::kClosed);
  const bool served = served_;
  H2ConnectionOwner* const owner = owner_;
  const std::vector<H2Stream*> streams = DetachAll();
  Close();
  for (H2Stream* stream : streams) {
    if (!stream->sent_) {
      stream->OnRefused();
    } else {
      stream->OnClosed(WithDetailForLog(
          absl::UnavailableError(
              ping_sent_ ? "the upstream does not answer: keepalive"
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
  DetachAll();
  CloseSocket();
  nghttp2_session_del(std::exchange(session_, nullptr));
}

// To outgoing_, as they are on the wire.
void H2Connection::PutLastWords() {
  if (has_session() && !session_failed_) {
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
    const std::uint8_t* bytes = nullptr;
    while (outgoing_.size() < kMaxOutgoingBytes) {
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size <= 0) break;
      absl::StrAppend(&outgoing_, Text(bytes, static_cast<std::size_t>(size)));
    }
  }
  if (tls_ == nullptr) return;
  if (tls_->established()) (void)tls_->Write(outgoing_);
  tls_->Shutdown();
  outgoing_ = std::move(tls_->output());
}

// What is left to be said, such as GOAWAY, RST_STREAM and an alert of TLS, goes
// out if the socket takes it at once.
void H2Connection::CloseSocket() {
  boost::system::error_code ignored;
  if (!writing_ && socket_.is_open()) {
    PutLastWords();
    socket_.non_blocking(true, ignored);
    if (!ignored && !outgoing_.empty()) {
      socket_.write_some(boost::asio::buffer(outgoing_), ignored);
    }
  }
  if (std::exchange(reading_, false)) {
    worker_.get_executor().on_work_started();
  }
  socket_.close(ignored);
}

}  // namespace headgate
