#include "gateway/ws/endpoint.h"

#include <cassert>
#include <utility>

namespace headgate::ws {
namespace {

// Tells the response to a ping from an unsolicited pong.
constexpr absl::string_view kPingPayload = "headgate";

Reader::Options ReaderOptions(const Endpoint::Options& options) {
  Reader::Options reader;
  reader.role = options.role;
  reader.delivery = options.delivery;
  reader.max_message_bytes = options.max_message_bytes;
  if (options.deflate) {
    reader.inflater = std::make_unique<Inflater>(options.role == Role::kServer
                                                     ? options.deflate->client
                                                     : options.deflate->server);
  }
  return reader;
}

std::unique_ptr<Deflater> DeflaterFor(const Endpoint::Options& options) {
  if (!options.deflate) return nullptr;
  return std::make_unique<Deflater>(options.role == Role::kServer
                                        ? options.deflate->server
                                        : options.deflate->client,
                                    options.deflate_level);
}

// Whether `since` was `timeout` ago; sets it if it is unset.
bool HasExpired(std::optional<absl::Time>& since, absl::Time now,
                absl::Duration timeout) {
  if (!since) since = now;
  return now - *since >= timeout;
}

}  // namespace

Endpoint::Endpoint(Options options)
    : reader_(ReaderOptions(options)),
      sending_{.outbox = {},
               .deflater = DeflaterFor(options),
               .min_deflate_bytes = options.min_deflate_bytes,
               .masks = options.masks,
               .pong = {},
               .stalled_since = {}} {
  assert((options.role == Role::kClient) == (options.masks != nullptr));
}

// --- Reading ---

Endpoint::Event Endpoint::NextAfterOpen(absl::string_view& bytes) {
  assert(state_ != State::kOpen);
  for (;;) {
    const std::size_t before = bytes.size();
    if (state_ == State::kOver) {
      closing_.dropped_bytes += before;
      bytes = {};
      return Event::kNeedsBytes;
    }
    const Reader::Event event = reader_.Next(bytes);
    closing_.dropped_bytes += before - bytes.size();
    if (event == Reader::Event::kNeedsBytes) return Event::kNeedsBytes;
    if (const auto other = OnControl(event)) return *other;
  }
}

std::optional<Endpoint::Event> Endpoint::OnControl(Reader::Event event) {
  switch (event) {
    case Reader::Event::kTooBig:
      assert(state_ == State::kOpen);
      return Event::kTooBig;
    case Reader::Event::kPing:
      return OnPing();
    case Reader::Event::kPong:
      if (OnPong()) return Event::kPong;
      return std::nullopt;
    case Reader::Event::kClose:
      return OnPeerClose();
    case Reader::Event::kFault:
      return OnFault();
    case Reader::Event::kNeedsBytes:
    case Reader::Event::kMessage:
    case Reader::Event::kPiece:
      break;
  }
  // Messages are dropped in every state but kOpen, where Next returns them.
  assert(false);
  return std::nullopt;
}

Endpoint::Event Endpoint::OnPing() {
  assert(state_ == State::kOpen || state_ == State::kClosing);
  ++traffic_.control_frames;
  if (state_ == State::kClosing) return Event::kPing;
  // Section 5.5.3: only the most recent ping needs a pong.
  sending_.pong = std::make_unique<std::string>(reader_.control_payload());
  PutPong();
  return Event::kPing;
}

bool Endpoint::OnPong() {
  if (is_pinging() && reader_.control_payload() == kPingPayload) {
    keepalive_.ping = Keepalive::Ping::kNone;
    return true;
  }
  ++traffic_.control_frames;
  return false;
}

Endpoint::Event Endpoint::OnPeerClose() {
  assert(state_ == State::kOpen || state_ == State::kClosing);
  if (state_ == State::kOpen) {
    closing_.code = reader_.close_code();
    closing_.end = End::kClosedByPeer;
    // Section 5.5.1: "the endpoint typically echos the status code it
    // received".
    PutClose(closing_.code, "");
  }
  state_ = State::kOver;
  return Event::kClose;
}

Endpoint::Event Endpoint::OnFault() {
  assert(state_ == State::kOpen || state_ == State::kClosing);
  if (state_ == State::kClosing) {
    state_ = State::kOver;
  } else {
    state_ = State::kBroken;
    closing_.code = reader_.fault().code;
    closing_.end = End::kViolated;
  }
  return Event::kViolation;
}

Endpoint::Traffic Endpoint::TakeTraffic() {
  return std::exchange(traffic_, {});
}

// --- Writing ---

void Endpoint::Write(Opcode opcode, std::string payload) {
  assert(may_write() && !is_writing());
  if (sending_.phase == Sending::Phase::kFailed) return;
  std::optional<std::string> compressed;
  if (sending_.deflater != nullptr &&
      payload.size() >= sending_.min_deflate_bytes) {
    compressed = sending_.deflater->Deflate(payload);
  }
  const bool is_compressed = compressed.has_value();
  if (is_compressed) payload = *std::move(compressed);
  MaskKey key;
  const MaskKey* mask = nullptr;
  if (sending_.masks != nullptr) {
    key = sending_.masks->NextMask();
    mask = &key;
    ApplyMask(payload.data(), payload.size(), key, 0);
  }
  std::string head;
  AppendFrameHead(
      opcode == Opcode::kText ? FrameOpcode::kText : FrameOpcode::kBinary,
      payload.size(), is_compressed, mask, head);
  sending_.outbox.Put(head, std::move(payload));
  sending_.phase = Sending::Phase::kWriting;
  sending_.stalled_since.reset();
}

std::size_t Endpoint::WriteFrames(absl::Span<const FrameRef> frames,
                                  WriteUntil until) {
  assert(may_write() && !is_writing() && !frames.empty());
  assert(sending_.masks == nullptr);
  if (sending_.phase == Sending::Phase::kFailed) return frames.size();
  std::size_t count = 0;
  do {
    sending_.outbox.Put(frames[count++]);
  } while (count < frames.size() && sending_.outbox.has_room());
  sending_.phase = until == WriteUntil::kRoom ? Sending::Phase::kWriting
                                              : Sending::Phase::kEmptying;
  sending_.stalled_since.reset();
  return count;
}

void Endpoint::PutFrames(absl::Span<const FrameRef> frames) {
  assert(may_write() && sending_.masks == nullptr);
  if (sending_.phase == Sending::Phase::kFailed) return;
  for (const FrameRef& frame : frames) sending_.outbox.Put(frame);
}

// A message that is compressed with the context of those before it cannot be
// shared. Uncompressed ones do not change that context (RFC 7692 section 7.2).
FrameForm Endpoint::frame_form() const {
  const Deflater* const deflater = sending_.deflater.get();
  if (deflater == nullptr || !deflater->no_context_takeover()) return {};
  return {deflater->window_bits(), deflater->level(),
          sending_.min_deflate_bytes};
}

bool Endpoint::TakeWritten() {
  if (!is_writing()) return false;
  if (sending_.phase == Sending::Phase::kEmptying
          ? !sending_.outbox.empty()
          : !sending_.outbox.has_room()) {
    return false;
  }
  sending_.phase = Sending::Phase::kReady;
  return true;
}

void Endpoint::Close(CloseCode code, absl::string_view reason) {
  assert(may_write());
  closing_.code = code;
  closing_.waiting_since.reset();
  PutClose(code, CloseReason(reason));
  if (state_ == State::kBroken) {
    state_ = State::kOver;
    return;
  }
  closing_.end = End::kClosedByUs;
  state_ = State::kClosing;
  reader_.DropMessages();
}

void Endpoint::OnSent(std::size_t bytes) {
  assert(sending_.phase != Sending::Phase::kFailed);
  sending_.outbox.Sent(bytes);
  PutPong();
}

void Endpoint::OnSendFailed() {
  sending_.phase = Sending::Phase::kFailed;
  sending_.outbox.Clear();
  sending_.pong.reset();
}

void Endpoint::PutPong() {
  if (!sending_.pong || state_ != State::kOpen || !sending_.outbox.has_room()) {
    return;
  }
  PutFrame(FrameOpcode::kPong, *std::exchange(sending_.pong, nullptr));
}

void Endpoint::PutClose(CloseCode code, absl::string_view reason) {
  std::string frame;
  if (sending_.masks == nullptr) {
    AppendCloseFrame(code, reason, nullptr, frame);
  } else {
    const MaskKey mask = sending_.masks->NextMask();
    AppendCloseFrame(code, reason, &mask, frame);
  }
  if (sending_.phase != Sending::Phase::kFailed) sending_.outbox.Put(frame);
  if (sending_.deflater != nullptr) sending_.deflater->Release();
}

void Endpoint::PutFrame(FrameOpcode opcode, absl::string_view payload) {
  if (sending_.phase == Sending::Phase::kFailed) return;
  std::string frame;
  if (sending_.masks == nullptr) {
    AppendFrame(opcode, payload, nullptr, frame);
  } else {
    const MaskKey mask = sending_.masks->NextMask();
    AppendFrame(opcode, payload, &mask, frame);
  }
  sending_.outbox.Put(frame);
}

// --- Time ---

Endpoint::Health Endpoint::OnTick(const Look& look, const Timeouts& timeouts) {
  switch (state_) {
    case State::kBroken:
      if (look.peer_took || !has_output()) closing_.waiting_since.reset();
      return has_output() && HasExpired(closing_.waiting_since, look.now,
                                        timeouts.close)
                 ? Health::kCloseTimeout
                 : Health::kFine;
    case State::kClosing:
    case State::kOver:
      // A slow peer may take long to reach the Close frame.
      if (look.peer_took) closing_.waiting_since.reset();
      return HasExpired(closing_.waiting_since, look.now, timeouts.close)
                 ? Health::kCloseTimeout
                 : Health::kFine;
    case State::kOpen:
      break;
  }
  if (!is_sending()) {
    sending_.stalled_since.reset();
  } else {
    if (look.peer_took) sending_.stalled_since.reset();
    if (HasExpired(sending_.stalled_since, look.now, timeouts.send)) {
      return Health::kSendTimeout;
    }
  }
  return IsPeerDead(look, timeouts) ? Health::kPeerDead : Health::kFine;
}

bool Endpoint::IsPeerDead(const Look& look, const Timeouts& timeouts) {
  if (std::exchange(keepalive_.heard, false) || !keepalive_.heard_at) {
    keepalive_.heard_at = look.now;
    keepalive_.ping = Keepalive::Ping::kNone;
    return false;
  }
  if (!is_pinging()) {
    if (look.now - *keepalive_.heard_at >= timeouts.ping_interval) {
      SendPing(look.now);
    }
    return false;
  }
  // A missing pong means nothing while the peer's bytes are not read, while the
  // ping waits behind a long message, or while the peer is taking what was sent
  // before it.
  if (!look.is_reading || sending_.outbox.sent() < keepalive_.ping_end ||
      look.peer_took) {
    keepalive_.patience_since = look.now;
  }
  return look.now - keepalive_.patience_since >= timeouts.ping_timeout;
}

void Endpoint::SendPing(absl::Time now) {
  keepalive_.ping = Keepalive::Ping::kUnanswered;
  keepalive_.pinged_at = keepalive_.patience_since = now;
  // The previous ping has not been sent yet.
  if (sending_.outbox.sent() < keepalive_.ping_end) return;
  PutFrame(FrameOpcode::kPing, kPingPayload);
  keepalive_.ping_end = sending_.outbox.put();
}

}  // namespace headgate::ws
