#include "gateway/h2/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace headgate::h2 {
namespace {

constexpr std::int32_t kConnectionWindowBytes = 4 * 1024 * 1024;
// Mark the PINGs that measure the round trip, and that of Drain.
constexpr absl::string_view kMeasuringPing = "roundtri";
constexpr absl::string_view kDrainingPing = "draining";
constexpr std::chrono::seconds kDrainPatience(1);
constexpr std::size_t kMaxToldBytes = 128;
constexpr std::size_t kFrameHeadBytes = 9;
// What a field adds to its name and value (RFC 9113 section 10.5.1).
constexpr std::size_t kFieldOverheadBytes = 32;

const std::uint8_t* Bytes(absl::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}
absl::string_view Text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// For the log.
std::string Told(const nghttp2_goaway& frame) {
  return absl::StrCat(
      ErrorName(frame.error_code), " ",
      absl::CHexEscape(Text(frame.opaque_data,
                            std::min(frame.opaque_data_len, kMaxToldBytes))));
}

absl::Status Fault(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("HTTP/2: ", what));
}

}  // namespace

absl::string_view ErrorName(std::uint32_t code) {
  return nghttp2_http2_strerror(code);
}

Field MakeField(absl::string_view name, absl::string_view value) {
  const auto bytes = [](absl::string_view text) {
    return const_cast<std::uint8_t*>(Bytes(text));
  };
  return {bytes(name), bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

std::size_t HeaderListBytes(const std::vector<Field>& fields) {
  std::size_t bytes = 0;
  for (const Field& field : fields) {
    bytes += field.namelen + field.valuelen + kFieldOverheadBytes;
  }
  return bytes;
}

FloodLimits ServerFloodLimits() {
  FloodLimits limits;
  limits.resets = 400;
  limits.pings = 200;
  limits.settings = 100;
  limits.empty_data = 1000;
  limits.block_bytes = 256 * 1024;
  limits.max_block_bytes = 1024 * 1024;
  return limits;
}

// They run within nghttp2, which is C: nothing may be thrown, the session may
// not be destroyed, and nobody but streams hears of anything.
struct Session::Callbacks {
  static Session& Self(void* user_data) {
    return *static_cast<Session*>(user_data);
  }

  static int OnBeginHeaders(nghttp2_session* session,
                            const nghttp2_frame* frame,
                            void* user_data) noexcept {
    Session& self = Self(user_data);
    self.receiving_.list_bytes = 0;
    const std::int32_t id = frame->hd.stream_id;
    if (self.is_server() && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      Stream* const stream = self.drain_step_ == DrainStep::kDone
                                 ? nullptr
                                 : self.acceptor_->OnRequest();
      if (stream == nullptr) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
                                  kRefusedStream);
        return 0;
      }
      nghttp2_session_set_stream_user_data(session, id, stream);
      self.Attach(*stream, id);
    }
    if (Stream* const stream = self.StreamOf(id)) stream->OnFieldsBegin();
    return 0;
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame,
                      const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* user_data) noexcept {
    Session& self = Self(user_data);
    std::size_t& bytes = self.receiving_.list_bytes;
    bytes += name_size + value_size + kFieldOverheadBytes;
    const bool is_too_long = bytes > self.options_.max_header_list_bytes;
    if (Stream* const stream = self.StreamOf(frame->hd.stream_id)) {
      if (!is_too_long) {
        stream->OnField(Text(name, name_size), Text(value, value_size));
        return 0;
      }
      nghttp2_session_set_stream_user_data(session, stream->id_, nullptr);
      self.Detach(*stream);
      self.Count(Nuisance::kReset);
      stream->OnEnd({StreamEnd::Cause::kListTooLong, kNoError, bytes});
    }
    // nghttp2 resets the stream and decodes the rest of the block for its
    // table alone: a field of an index costs next to nothing then.
    return is_too_long ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
  }

  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame,
                     void* user_data) noexcept {
    Session& self = Self(user_data);
    const std::uint8_t flags = frame->hd.flags;
    const bool end_stream = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool is_ack = (flags & NGHTTP2_FLAG_ACK) != 0;
    Stream* const stream = self.StreamOf(frame->hd.stream_id);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (self.ping_pace_ != nullptr) self.ping_pace_->OnAnswer();
        if (stream != nullptr) self.EndBlock(*stream, end_stream);
        break;
      case NGHTTP2_DATA:
        if (frame->hd.length == 0 && !end_stream) {
          self.Count(Nuisance::kEmptyData);
        }
        if (stream != nullptr && end_stream) stream->OnEndStream();
        break;
      case NGHTTP2_RST_STREAM:
        self.receiving_.reset_id = frame->hd.stream_id;
        if (stream != nullptr) self.Count(Nuisance::kReset);
        break;
      case NGHTTP2_SETTINGS:
        if (is_ack) {
          self.windows_.round_trip().Stop(self.receiving_.now);
        } else {
          self.settings_came_ = true;
          self.Count(Nuisance::kSettings);
        }
        break;
      case NGHTTP2_PING:
        if (is_ack) {
          self.OnPong(
              Text(frame->ping.opaque_data, sizeof frame->ping.opaque_data));
        } else {
          self.Count(Nuisance::kPing);
        }
        break;
      case NGHTTP2_PUSH_PROMISE:
        // It may come before the server has our SETTINGS.
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                  frame->push_promise.promised_stream_id,
                                  kCancel);
        break;
      case NGHTTP2_GOAWAY:
        self.goaway_ = Told(frame->goaway);
        break;
      default:
        break;
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id,
                    const std::uint8_t* data, std::size_t size,
                    void* user_data) noexcept {
    Session& self = Self(user_data);
    nghttp2_session_consume_connection(session, size);
    self.windows_.round_trip().OnData();
    if (self.ping_pace_ != nullptr) self.ping_pace_->OnAnswer();
    if (Stream* const stream = self.StreamOf(id)) {
      self.budget_.OnData(size);
      stream->OnData(Text(data, size));
    }
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, std::int32_t id,
                           std::uint32_t error_code, void* user_data) noexcept {
    Session& self = Self(user_data);
    Stream* const stream = self.StreamOf(id);
    if (stream == nullptr) return 0;
    using Cause = StreamEnd::Cause;
    const bool by_peer = self.receiving_.reset_id == id;
    self.Detach(*stream);
    // GOAWAY closes the streams that the server has not seen with the same
    // code (RFC 9113 section 6.8); a head that was not sent nobody has seen.
    const bool is_refused =
        !self.is_server() &&
        (error_code == NGHTTP2_REFUSED_STREAM || !stream->sent_);
    stream->OnEnd({is_refused ? Cause::kRefused
                   : by_peer || error_code == NGHTTP2_NO_ERROR
                       ? Cause::kReset
                       : Cause::kPeerFault,
                   error_code});
    return 0;
  }

  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame,
                         void* user_data) noexcept {
    Session& self = Self(user_data);
    Stream* const stream = self.StreamOf(frame->hd.stream_id);
    switch (frame->hd.type) {
      case NGHTTP2_DATA:
        self.budget_.OnDataSent(frame->hd.length);
        if (stream != nullptr) self.RestBody(*stream);
        break;
      case NGHTTP2_HEADERS:
        if (stream != nullptr) stream->sent_ = true;
        break;
      case NGHTTP2_RST_STREAM:
        // By nghttp2, not by the stream: the peer has made us reset it.
        if (stream != nullptr ||
            frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM) {
          self.Count(Nuisance::kReset);
        }
        break;
      case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code == NGHTTP2_NO_ERROR) break;
        self.told_fault_ = true;
        // nghttp2 does not say what it has against every fault.
        if (self.fault_.empty()) self.fault_ = Told(frame->goaway);
        break;
      default:
        break;
    }
    return 0;
  }

  static int OnFrameNotSent(nghttp2_session* session,
                            const nghttp2_frame* frame, int error,
                            void* user_data) noexcept {
    Session& self = Self(user_data);
    if (frame->hd.type != NGHTTP2_HEADERS ||
        error != NGHTTP2_ERR_FRAME_SIZE_ERROR) {
      return 0;
    }
    Stream* const stream = self.StreamOf(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    // nghttp2 closes the stream of a request itself.
    if (self.is_server()) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id_,
                                kInternalError);
    }
    nghttp2_session_set_stream_user_data(session, stream->id_, nullptr);
    self.Detach(*stream);
    stream->OnEnd({StreamEnd::Cause::kListUnsendable});
    return 0;
  }

  static ssize_t ReadOutgoing(nghttp2_session* session, std::int32_t id,
                              std::uint8_t*, std::size_t max,
                              std::uint32_t* flags, nghttp2_data_source*,
                              void* user_data) noexcept {
    Stream* const stream = Self(user_data).StreamOf(id);
    if (stream == nullptr) return NGHTTP2_ERR_DEFERRED;
    const Stream::Outgoing next = stream->PeekOutgoing(max);
    if (next.bytes == 0 && !next.last) {
      stream->body_ = Stream::Body::kDeferred;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (next.last) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      const std::vector<Field> trailers = stream->TakeTrailers();
      if (!trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, trailers.data(), trailers.size());
      }
    } else if (next.bytes < max) {
      // Asking again would find nothing.
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      stream->body_ = Stream::Body::kPausing;
    }
    return static_cast<ssize_t>(next.bytes);
  }

  static int SendData(nghttp2_session*, nghttp2_frame* frame,
                      const std::uint8_t* head, std::size_t size,
                      nghttp2_data_source*, void* user_data) noexcept {
    Session& self = Self(user_data);
    Stream* const stream = self.StreamOf(frame->hd.stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    absl::StrAppend(self.sending_to_, Text(head, kFrameHeadBytes));
    stream->moved_ = true;
    stream->MoveOutgoing(size, *self.sending_to_);
    return 0;
  }

  static int OnError(nghttp2_session*, int code, const char* text,
                     std::size_t size, void* user_data) noexcept {
    // Costs no more than its stream, and the text quotes the field, which may
    // be a token.
    if (code == NGHTTP2_ERR_HTTP_HEADER) return 0;
    Self(user_data).fault_.assign(text, std::min(size, kMaxToldBytes));
    return 0;
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* all = nullptr;
    nghttp2_session_callbacks_new(&all);
    nghttp2_session_callbacks_set_on_begin_headers_callback(all,
                                                            &OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(all, &OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(all, &OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, &OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(all, &OnStreamClose);
    nghttp2_session_callbacks_set_on_frame_send_callback(all, &OnFrameSent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(all,
                                                             &OnFrameNotSent);
    nghttp2_session_callbacks_set_send_data_callback(all, &SendData);
    nghttp2_session_callbacks_set_error_callback2(all, &OnError);
    return all;
  }
};

Session::Session(const SessionOptions& options, Acceptor* acceptor, Time now)
    : options_(options),
      acceptor_(acceptor),
      receiving_(options.max_header_list_bytes),
      windows_(options.stream_window_bytes),
      budget_(options.flood, now) {
  assert(is_server() == (acceptor != nullptr));
  nghttp2_session_callbacks* const callbacks = Callbacks::Make();
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  // They are kept for priorities, which nobody uses: 0.5 KiB each, as many as
  // may be open.
  nghttp2_option_set_no_closed_streams(option, 1);
#ifdef HEADGATE_NGHTTP2_LIMITS_CONTINUATIONS
  // A long block is no reason to end the connection: HeaderGuard puts it into
  // few frames, and FloodBudget limits their bytes.
  nghttp2_option_set_max_continuations(option, SIZE_MAX);
#endif
#ifdef HEADGATE_NGHTTP2_LIMITS_RESETS
  // By a clock of its own; FloodBudget limits them.
  nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
#endif
  // gRPC does not look at the blanks around a value.
  nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
       static_cast<std::uint32_t>(windows_.initial_bytes())},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(options.max_header_list_bytes)},
  };
  if (is_server()) {
    nghttp2_session_server_new2(&session_, callbacks, this, option);
    settings.push_back(
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_streams});
    if (options.connect_protocol) {
      settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    }
  } else {
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    settings.insert(settings.begin(), {NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  windows_.round_trip().Start(now);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(),
                          settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        kConnectionWindowBytes);
}

Session::~Session() {
  DetachAll();
  nghttp2_session_del(session_);
}

absl::Status Session::Receive(absl::string_view bytes, Time now) {
  receiving_.now = now;
  if (!told_fault_) fault_.clear();  // It has cost a stream alone.
  HeaderGuard& guard = receiving_.guard;
  while (!bytes.empty()) {
    const absl::string_view piece = guard.Next(bytes);
    if (!guard.status().ok()) return guard.status();
    if (piece.empty()) continue;
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, Bytes(piece), piece.size());
    if (taken < 0) {
      failed_ = true;
      return Fault(nghttp2_strerror(static_cast<int>(taken)));
    }
  }
  budget_.OnBlock(guard.TakeBlockBytes());
  return absl::OkStatus();
}

absl::Status Session::CheckFlood(Time now) {
  receiving_.reset_id = 0;
  flood_ = budget_.Exceeded(now);
  if (flood_ == Flood::kNone) return absl::OkStatus();
  return Fault(absl::StrCat("the ", is_server() ? "client" : "server",
                            " floods the connection with ", FloodName(flood_)));
}

// A list that is too long ends its stream, and no other: it was read to its
// end, so that the next one can be (RFC 9113 section 10.5.1).
void Session::EndBlock(Stream& stream, bool end_stream) {
  const std::size_t dropped = receiving_.guard.dropped_bytes();
  if (dropped == 0) return stream.OnFieldsEnd(end_stream);
  Reset(stream, kCancel);
  stream.OnEnd({StreamEnd::Cause::kListTooLong, kNoError,
                receiving_.list_bytes + dropped});
}

void Session::OnPong(absl::string_view payload) {
  if (ping_pace_ != nullptr) ping_pace_->OnAck();
  if (payload == kMeasuringPing) {
    windows_.round_trip().Stop(receiving_.now);
  } else if (payload == kDrainingPing) {
    EndDrain();
  }
}

void Session::Count(Nuisance nuisance) {
  if (is_server()) budget_.Count(nuisance);
}

absl::Status Session::Send(std::size_t max_bytes, std::string& out) {
  if (failed_) return absl::OkStatus();
  sending_to_ = &out;
  while (out.size() < max_bytes && wants_send()) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) {
      failed_ = true;
      return Fault(nghttp2_strerror(static_cast<int>(size)));
    }
    if (size == 0) break;
    absl::StrAppend(&out, Text(bytes, static_cast<std::size_t>(size)));
  }
  return told_fault_ ? Fault(fault_) : absl::OkStatus();
}

bool Session::Open(Stream& stream, const std::vector<Field>& fields) {
  assert(!is_server());
  nghttp2_data_provider provider = {};
  provider.read_callback = &Callbacks::ReadOutgoing;
  const std::int32_t id = nghttp2_submit_request(
      session_, nullptr, fields.data(), fields.size(), &provider, &stream);
  if (id < 0) return false;
  Attach(stream, id);
  stream.body_ = Stream::Body::kQueued;
  return true;
}

void Session::Respond(Stream& stream, const std::vector<Field>& fields,
                      bool has_body) {
  assert(is_server() && stream.session_ == this);
  nghttp2_data_provider provider = {};
  provider.read_callback = &Callbacks::ReadOutgoing;
  nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(),
                          has_body ? &provider : nullptr);
  stream.body_ = has_body ? Stream::Body::kQueued : Stream::Body::kNone;
}

void Session::Inform(Stream& stream, const std::vector<Field>& fields) {
  assert(is_server() && stream.session_ == this);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr,
                         fields.data(), fields.size(), nullptr);
}

bool Session::HasSentEnd(const Stream& stream) const {
  return nghttp2_session_get_stream_local_close(session_, stream.id_) == 1;
}

void Session::Resume(Stream& stream) {
  assert(stream.session_ == this);
  if (stream.body_ == Stream::Body::kDeferred) {
    stream.body_ = Stream::Body::kQueued;
    nghttp2_session_resume_data(session_, stream.id_);
  } else if (stream.body_ == Stream::Body::kAtRest) {
    stream.body_ = Stream::Body::kQueued;
    nghttp2_data_provider provider = {};
    provider.read_callback = &Callbacks::ReadOutgoing;
    nghttp2_submit_data(session_, NGHTTP2_FLAG_END_STREAM, stream.id_,
                        &provider);
  }
}

void Session::RestBody(Stream& stream) {
  if (stream.body_ != Stream::Body::kPausing) return;
  stream.body_ = Stream::Body::kAtRest;
  // It may have more since.
  const Stream::Outgoing next = stream.PeekOutgoing(1);
  if (next.bytes > 0 || next.last) Resume(stream);
}

void Session::Reset(Stream& stream, std::uint32_t error_code) {
  assert(stream.session_ == this);
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_,
                            error_code);
  Detach(stream);
}

void Session::Finish(Stream& stream) {
  if (nghttp2_session_get_stream_local_close(session_, stream.id_) != 1) {
    return Reset(stream, kNoError);
  }
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  Detach(stream);
}

bool Session::Consume(Stream& stream, std::size_t bytes) {
  assert(stream.session_ == this);
  bool may_grow = false;
  const std::size_t given = windows_.Take(stream.window_, bytes, &may_grow);
  if (given > 0) {
    nghttp2_submit_window_update(session_, NGHTTP2_FLAG_NONE, stream.id_,
                                 static_cast<std::int32_t>(given));
  }
  return may_grow;
}

void Session::GrowWindow(Stream& stream, Time now) {
  const ReceiveWindows::Growth growth = windows_.Grow(stream.window_, now);
  if (growth.measure && (ping_pace_ == nullptr || ping_pace_->is_free())) {
    windows_.round_trip().Start(now);
    if (ping_pace_ != nullptr) ping_pace_->OnSent(now);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, Bytes(kMeasuringPing));
  }
  if (growth.bytes == 0) return;
  // Should the stream be given up, so much more is under way.
  budget_.OnWindowGrowth(growth.bytes);
  nghttp2_session_set_local_window_size(
      session_, NGHTTP2_FLAG_NONE, stream.id_,
      static_cast<std::int32_t>(windows_.size_of(stream.window_)));
}

void Session::Ping() {
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

void Session::Drain(Time now) {
  assert(is_server());
  if (drain_step_ != DrainStep::kNone) return;
  drain_step_ = DrainStep::kAnnounced;
  drain_began_ = now;
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, Bytes(kDrainingPing));
}

void Session::EndDrain() {
  if (drain_step_ != DrainStep::kAnnounced) return;
  drain_step_ = DrainStep::kDone;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_),
                        kNoError, nullptr, 0);
}

void Session::Terminate(std::uint32_t error_code) {
  if (!failed_) nghttp2_session_terminate_session(session_, error_code);
}

void Session::OnTime(Time now) {
  if (drain_step_ == DrainStep::kAnnounced &&
      now - drain_began_ >= kDrainPatience) {
    EndDrain();
  }
  // One that is reset leaves its index to the last.
  for (std::size_t i = streams_.size(); i-- > 0;) {
    Stream& stream = *streams_[i];
    const bool moved = std::exchange(stream.moved_, false);
    if (!HasStalledData(stream)) {
      stream.stalled_since_ = Time::max();
    } else if (stream.stalled_since_ == Time::max() || moved) {
      stream.stalled_since_ = now;
    } else if (now - stream.stalled_since_ >= options_.stall_timeout) {
      Reset(stream, kEnhanceYourCalm);
      Count(Nuisance::kReset);
      stream.OnEnd({StreamEnd::Cause::kStalled});
    }
  }
}

bool Session::HasStalledData(const Stream& stream) const {
  if (stream.body_ != Stream::Body::kQueued || !stream.sent_ ||
      nghttp2_session_get_stream_local_close(session_, stream.id_) != 0) {
    return false;
  }
  return nghttp2_session_get_remote_window_size(session_) <= 0 ||
         nghttp2_session_get_stream_remote_window_size(session_, stream.id_) <=
             0;
}

void Session::Attach(Stream& stream, std::int32_t id) {
  stream.session_ = this;
  stream.id_ = id;
  stream.sent_ = false;
  stream.body_ = Stream::Body::kNone;
  stream.window_ = {};
  stream.moved_ = false;
  stream.stalled_since_ = Time::max();
  stream.index_ = streams_.size();
  streams_.push_back(&stream);
  budget_.OnStream(windows_.initial_bytes(), options_.max_header_list_bytes);
}

void Session::Detach(Stream& stream) {
  windows_.Release(stream.window_);
  streams_[stream.index_] = streams_.back();
  streams_[stream.index_]->index_ = stream.index_;
  streams_.pop_back();
  stream.session_ = nullptr;
}

std::vector<Stream*> Session::DetachAll() {
  for (Stream* stream : streams_) {
    nghttp2_session_set_stream_user_data(session_, stream->id_, nullptr);
    stream->session_ = nullptr;
  }
  return std::exchange(streams_, {});
}

Stream* Session::StreamOf(std::int32_t id) const {
  return id == 0 ? nullptr
                 : static_cast<Stream*>(
                       nghttp2_session_get_stream_user_data(session_, id));
}

}  // namespace headgate::h2
