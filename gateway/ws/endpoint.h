#ifndef GATEWAY_WS_ENDPOINT_H_
#define GATEWAY_WS_ENDPOINT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gateway/base/status.h"
#include "gateway/codec/codec.h"
#include "gateway/ws/deflate.h"
#include "gateway/ws/frame.h"
#include "gateway/ws/outbox.h"
#include "gateway/ws/reader.h"
#include "gateway/ws/shared_frame.h"

namespace headgate::ws {

// The masking keys of a client's frames. RFC 6455 section 5.3 requires that
// the application that chooses the payload cannot predict them.
class MaskSource {
 public:
  virtual MaskKey NextMask() = 0;

 protected:
  ~MaskSource() = default;
};

// When a write is complete.
enum class WriteUntil : std::uint8_t {
  kRoom,  // There is room for the next one.
  kSent,  // All of it has been sent.
};

// How long the peer may do nothing.
struct Timeouts {
  // A ping is sent after `ping_interval` without bytes from the peer; infinite:
  // never. The peer is dead after another `ping_timeout`.
  absl::Duration ping_interval = absl::InfiniteDuration();
  absl::Duration ping_timeout = absl::InfiniteDuration();
  // Without taking anything of what is being sent, in kOpen.
  absl::Duration send = absl::InfiniteDuration();
  // The same in kBroken; in kClosing and kOver: until the connection ends.
  absl::Duration close = absl::InfiniteDuration();
};

// One WebSocket (RFC 6455, with permessage-deflate of RFC 7692) after its
// handshake, in either role: bytes in, events out, and the bytes to send.
//
// The caller decides when to read: it gives bytes to Next while it wants an
// event. It sends what Front returns whenever it can, and calls OnTick now and
// then. Pings are answered, the peer's Close frame too.
//
// Thread: not thread-safe. No I/O, no clock.
class Endpoint {
 public:
  enum class State : std::uint8_t {
    kOpen,     // Messages go both ways.
    kBroken,   // The peer has violated the protocol: its bytes are dropped.
               // This side may still write, and then calls Close.
    kClosing,  // Our Close frame was put, the peer's is awaited. Its messages
               // are dropped.
    kOver,     // Nothing more is put, and the peer's bytes are dropped. The
               // connection is to be ended once the outbox is empty.
  };
  enum class Event {
    kNeedsBytes,  // All bytes were consumed.
    kMessage,     // TakeMessage.
    kPiece,       // piece and ends_message.
    kTooBig,  // A message exceeds the limit: messages are dropped from now on.
    kPing,    // A pong is put, or will be once there is room.
    kPong,    // The response to our ping, which was put at `pinged_at`.
    kClose,   // close_code and close_reason. Ours was put, too: kOver.
    kViolation,  // `violation`: kBroken now, or kOver if it was kClosing.
  };
  // What ended kOpen.
  enum class End : std::uint8_t {
    kNone,
    kClosedByUs,
    kClosedByPeer,
    kViolated
  };
  // A result of OnTick.
  enum class Health {
    kFine,
    kSendTimeout,  // The peer takes nothing.
    kPeerDead,     // It has not responded to a ping.
    kCloseTimeout,
  };

  struct Options {
    Role role = Role::kServer;
    Delivery delivery = Delivery::kMessages;
    std::size_t max_message_bytes = 0;  // Of messages from the peer.
    std::optional<DeflateAgreement> deflate = std::nullopt;
    int deflate_level = 6;
    std::size_t min_deflate_bytes = 0;  // Shorter messages are not compressed.
    // Of a client, and only of one. Must outlive the endpoint.
    MaskSource* masks = nullptr;
  };
  explicit Endpoint(Options options);

  State state() const { return state_; }
  End end() const { return closing_.end; }
  // The code of our Close frame, of the peer's, or of the violation, whichever
  // was last.
  CloseCode close_code() const { return closing_.code; }

  // --- Reading ---

  // Bytes have arrived, whether or not Next is given them now.
  void OnArrival() { keepalive_.heard = true; }
  // Consumes the front of `bytes`, up to the next event.
  Event Next(absl::string_view& bytes) {
    if (state_ != State::kOpen) return NextAfterOpen(bytes);
    for (;;) {
      const std::size_t before = bytes.size();
      const Reader::Event event = reader_.Next(bytes);
      traffic_.bytes += before - bytes.size();
      if (event == Reader::Event::kPiece) return Event::kPiece;
      if (event == Reader::Event::kMessage) return Event::kMessage;
      if (event == Reader::Event::kNeedsBytes) return Event::kNeedsBytes;
      if (const auto other = OnControl(event)) return *other;
    }
  }
  WireMessage TakeMessage() { return reader_.TakeMessage(); }
  absl::string_view piece() const { return reader_.piece(); }
  bool ends_message() const { return reader_.ends_message(); }
  // Of the peer's Close frame, valid until the next call of Next.
  CloseCode peer_close_code() const { return reader_.close_code(); }
  absl::string_view close_reason() const { return reader_.close_reason(); }
  const Reader::Fault& violation() const { return reader_.fault(); }
  absl::Time pinged_at() const { return keepalive_.pinged_at; }

  // Frees the current message and drops all that follow.
  void DropMessages() { reader_.DropMessages(); }
  // See Reader.
  std::optional<std::uint64_t> unfinished_message() const {
    return reader_.unfinished();
  }
  std::uint64_t data_bytes() const { return reader_.data_bytes(); }
  std::uint64_t missing_bytes() const { return reader_.missing(); }

  // What has arrived in kOpen since the last call.
  struct Traffic {
    std::size_t bytes = 0;
    std::size_t control_frames =
        0;  // Pings, and pongs that were not requested.
  };
  Traffic TakeTraffic();
  std::size_t traffic_bytes() const { return traffic_.bytes; }
  // Bytes that have arrived after kOpen.
  std::size_t dropped_bytes() const { return closing_.dropped_bytes; }

  // --- Writing ---

  // Puts bytes that precede the first frame: this side's part of the handshake.
  void PutHandshake(absl::string_view bytes) { sending_.outbox.Put(bytes); }
  bool may_write() const {
    return state_ == State::kOpen || state_ == State::kBroken;
  }
  // Puts a message. Requires: may_write, and TakeWritten has returned true
  // since the last Write.
  void Write(Opcode opcode, std::string payload);
  // Puts the first of `frames`, by reference, until there is no room: at least
  // one. Returns how many. It is a Write, for all of them together. Requires:
  // as Write; a server; `frames` is not empty.
  std::size_t WriteFrames(absl::Span<const FrameRef> frames,
                          WriteUntil until = WriteUntil::kRoom);
  // Puts all of `frames`, whether or not there is room; a pending Write stays
  // so. For the last ones before Close. Requires: may_write; a server.
  void PutFrames(absl::Span<const FrameRef> frames);
  // The form in which these require them.
  FrameForm frame_form() const;
  bool is_writing() const {
    return sending_.phase == Sending::Phase::kWriting ||
           sending_.phase == Sending::Phase::kEmptying;
  }
  // True once for each Write and WriteFrames, when it is complete.
  bool TakeWritten();
  // Puts a Close frame; `reason` is cut to what it can hold. Requires:
  // may_write.
  void Close(CloseCode code, absl::string_view reason);

  // What is to be sent next, in two pieces, where they are. Requires:
  // has_output.
  std::array<absl::string_view, 2> Front() { return sending_.outbox.Front(); }
  // The same in more pieces, for when is_scattered; see Outbox.
  std::size_t Front(absl::Span<absl::string_view> pieces) {
    return sending_.outbox.Front(pieces);
  }
  bool is_scattered() const { return sending_.outbox.is_scattered(); }
  bool has_output() const { return !sending_.outbox.empty(); }
  std::size_t output_bytes() const { return sending_.outbox.size(); }
  void OnSent(std::size_t bytes);
  // Frees the memory that is kept for the next message, at rest.
  void Shrink() { sending_.outbox.Shrink(); }
  // Nothing can be sent any more.
  void OnSendFailed();
  // Bytes of memory, about: messages both ways, and what (de)compressing the
  // next ones takes.
  std::size_t held_bytes() const {
    return sending_.outbox.size() + reader_.held_bytes() +
           (sending_.deflater == nullptr ? 0 : sending_.deflater->held_bytes());
  }

  // --- Time ---

  struct Look {
    absl::Time now;
    bool is_reading = true;  // Whether bytes are awaited from the peer.
    // Whether it has taken any of what was sent since the last look. False
    // where wants_progress is false.
    bool peer_took = false;
  };
  // Whether OnTick depends on Look::peer_took, which may be expensive to find
  // out.
  bool wants_progress() const {
    return state_ != State::kOpen || is_sending() || is_pinging();
  }
  // Measures the timeouts; pings. Anything but kFine: the connection is to be
  // ended.
  Health OnTick(const Look& look, const Timeouts& timeouts);
  // Whether only the ping interval is being timed.
  bool is_at_rest() const {
    return state_ == State::kOpen && !is_sending() && !is_pinging();
  }

 private:
  struct Sending {
    enum class Phase : std::uint8_t {
      kReady,     // For a Write.
      kWriting,   // A Write has not completed: there is no room.
      kEmptying,  // The same: the outbox is not empty.
      kFailed,    // For good.
    };

    Outbox outbox;
    std::unique_ptr<Deflater> deflater;  // Null: nothing is compressed.
    std::size_t min_deflate_bytes;
    MaskSource* masks;
    std::unique_ptr<std::string> pong;  // Owed: there was no room.
    std::optional<absl::Time> stalled_since;
    Phase phase = Phase::kReady;
  };
  struct Closing {
    std::optional<absl::Time> waiting_since;
    std::size_t dropped_bytes = 0;
    CloseCode code = CloseCode::kNormal;
    End end = End::kNone;
  };
  struct Keepalive {
    enum class Ping : std::uint8_t { kNone, kUnanswered };

    std::optional<absl::Time> heard_at;
    absl::Time pinged_at;
    absl::Time patience_since;   // Since when a pong could have come.
    std::uint64_t ping_end = 0;  // Position of the last ping's end in what was
                                 // put.
    Ping ping = Ping::kNone;
    bool heard = false;  // Since the last tick.
  };

  Event NextAfterOpen(absl::string_view& bytes);
  // Handles what is no message; absent: the caller need not know.
  std::optional<Event> OnControl(Reader::Event event);
  Event OnPing();
  // False: it was not requested.
  bool OnPong();
  Event OnPeerClose();
  Event OnFault();

  void PutPong();
  void PutClose(CloseCode code, absl::string_view reason);
  void PutFrame(FrameOpcode opcode, absl::string_view payload);
  bool is_sending() const {
    return sending_.phase != Sending::Phase::kReady || has_output();
  }
  bool is_pinging() const {
    return keepalive_.ping == Keepalive::Ping::kUnanswered;
  }
  bool IsPeerDead(const Look& look, const Timeouts& timeouts);
  void SendPing(absl::Time now);

  Reader reader_;
  Traffic traffic_;
  Sending sending_;
  Closing closing_;
  Keepalive keepalive_;
  State state_ = State::kOpen;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_ENDPOINT_H_
