#ifndef GATEWAY_SESSION_SESSION_H_
#define GATEWAY_SESSION_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/base/clock.h"
#include "gateway/base/turn.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/codec.h"
#include "gateway/http/session_request.h"
#include "gateway/session/session_guard.h"
#include "gateway/session/tap.h"
#include "gateway/session/transport.h"
#include "gateway/session/wind_down.h"
#include "gateway/upstream/schema_source.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

struct SessionLimits {
  // Answers waiting for the client, and requests waiting for the backend.
  Watermarks answers;
  Watermarks requests;
  // The longest that the client's messages may wait for a backend that takes
  // none; then RESOURCE_EXHAUSTED.
  absl::Duration stall_timeout = absl::Seconds(30);
};

// What sessions work with. A reload makes a new one; each session keeps the one
// it was opened with.
struct SessionContext {
  SessionLimits limits;
  std::shared_ptr<Upstream> upstream;
  std::shared_ptr<SchemaSource> schemas;
  // Hears of each call that has ended; "" for a method that neither the
  // configuration nor a descriptor has named. `duration`: since the client
  // asked for the call. May be empty.
  std::function<void(absl::string_view method, absl::StatusCode code,
                     absl::Duration duration)>
      call_ended = nullptr;
  // The worker's clock, read when a call begins and ends, never for a message.
  // Empty: durations are not known, and 0.
  std::function<Moment()> clock = nullptr;
  // The worker's. May be null.
  std::shared_ptr<const SessionTaps> taps = nullptr;
  // The worker's, for sessions whose clients begin much with few bytes. Null:
  // nobody else waits. Must outlive the sessions.
  Turn* turn = nullptr;
  // The claim by which clients are counted, and what counts a session for one
  // whom its handshake has not named; see InBandIdentity. What comes back is
  // kept until the session ends; null: there are too many of that client. Empty
  // where clients are not counted.
  std::string identity_claim = {};
  std::function<std::shared_ptr<void>(const std::string& identity)>
      count_identity = nullptr;
};

// What waits in a session, bytes.
struct Buffered {
  std::size_t in = 0;   // For the backend.
  std::size_t out = 0;  // For the client.
};

// What became of a session, for the line in the log.
struct SessionReport {
  const Dialect* codec = nullptr;  // Null until it is chosen.
  std::uint64_t messages_in = 0;   // WebSocket messages from the client.
  std::uint64_t bytes_in = 0;      // Their payload.
  std::uint64_t messages_out = 0;
  std::uint64_t bytes_out = 0;
  absl::Status status;  // CANCELLED when the client left before the call ended.
  CloseCode close = CloseCode::kAbnormal;
  TransportEnd::Cause cause = TransportEnd::Cause::kLost;
  std::optional<Limit> limit;  // The one that has ended it.
};

// One WebSocket, or one HTTP request, and all that is done on its behalf: the
// protocol as a state machine, without thread, socket or clock.
//
// Thread:   its worker's. Lifetime: owned by what owns the transport;
//           destroying it cancels its calls.
class Session : public TransportObserver {
 public:
  virtual ~Session() = default;

  // `now`: the worker's clock.
  virtual void Start(absl::Time now) = 0;

  // To be called now and then (at least four times in the shortest timeout):
  // the session's only sense of time.
  virtual void OnTick(absl::Time now) = 0;

  // Whether only its age and the silence on both sides are timed, so that
  // OnTick may come more seldom (sixteen times in the shortest of these). That
  // changes with a message, a control frame or Drain, no other way; before the
  // first of them it hears OnWoken.
  virtual bool is_at_rest() const { return false; }
  void OnWoken(absl::Time now) { guard_.Refill(now); }
  // At rest: frees what is kept for the next message.
  virtual void Shrink() {}

  // Ends the session because the gateway stops (Close 1001), after the answers
  // that the backend has sent already: nothing more is taken from the client,
  // and the session closes once the backend is silent for a moment.
  virtual void Drain(const DrainOrder& order) = 0;

  // Ends it because who runs the gateway wants so (Close 1008).
  virtual void CloseByOperator() = 0;

  // Ends it because memory is short (Close 1013), without what waits in it.
  virtual void CloseForMemory() = 0;

  virtual Buffered buffered() const = 0;
  // What would be free without the session, as far as that is messages, bytes.
  virtual std::size_t held_bytes() const = 0;

  // A number for the message of the client's that has begun and is not
  // complete, though every message of the wire is: another one for each. Absent
  // where there is none, or the session does not wait for it.
  virtual std::optional<std::uint64_t> unfinished_message() const {
    return std::nullopt;
  }

  // Shows taps that it has begun, and that it is over; called by its worker.
  void TapOpened() { Tap(TapEvent::Kind::kOpened, Opcode::kText, ""); }
  void TapEnded() const { Tap(TapEvent::Kind::kEnded, Opcode::kText, ""); }

  // The limit that the transport ends it by.
  void NoteLimit(Limit limit) { report_.limit = limit; }

  const SessionRequest& request() const { return request_; }
  const SessionReport& report() const { return report_; }
  absl::Time opened_at() const { return opened_at_; }

  // What the statistics have counted of the report so far. Theirs alone.
  struct Counted {
    std::uint64_t messages_in = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t bytes_out = 0;
  };
  Counted& counted() const { return counted_; }

 protected:
  Session(SessionRequest request,
          std::shared_ptr<const SessionContext> context);

  Moment Clock() const {
    return context_->clock ? context_->clock() : Moment();
  }
  // `began`: Clock().steady as the client asked for the call.
  void TellCallEnded(absl::string_view method, const absl::Status& status,
                     absl::Time began) {
    if (!context_->call_ended) return;
    context_->call_ended(method, status.code(), Clock().steady - began);
  }
  bool is_tapped() const {
    return context_->taps != nullptr && context_->taps->active();
  }
  // Shows a WebSocket message to taps, in dialects of which that makes sense.
  void TapWire(TapEvent::Kind kind, Opcode opcode,
               absl::string_view payload) const {
    if (is_tapped() && TappedForm(tapped_codec()) == TapEvent::Form::kWire) {
      Tap(kind, opcode, payload);
    }
  }
  // Shows a message of a call in the other dialects. `method`: empty for the
  // session's only one.
  void TapMessage(TapEvent::Kind kind, absl::string_view message,
                  absl::string_view method = "") const {
    if (is_tapped() && TappedForm(tapped_codec()) == TapEvent::Form::kMessage) {
      Tap(kind, Opcode::kBinary, message, method);
    }
  }
  // Shows the end of the client's side in those dialects.
  void TapHalfClose() const {
    if (is_tapped() && TappedForm(tapped_codec()) == TapEvent::Form::kMessage) {
      Tap(TapEvent::Kind::kRequest, Opcode::kText, "");
    }
  }
  // Counts for the rates what has come off the wire; of a message what it is
  // longer, decompressed, than that.
  std::optional<SessionGuard::Violation> CountWireBytes(std::size_t bytes);
  std::optional<SessionGuard::Violation> CountMessage(std::size_t messages,
                                                      std::size_t bytes);
  static SessionGuard::Violation StuckMessage(absl::Duration patience);
  static SessionGuard::Violation MemoryShort();
  // Reports what the transport tells of its end.
  void NoteEnd(const TransportEnd& end);
  std::uint64_t activity() const {
    return report_.messages_in + report_.messages_out;
  }

  SessionRequest request_;
  const std::shared_ptr<const SessionContext> context_;
  SessionGuard guard_;
  SessionReport report_;
  absl::Time opened_at_;

 private:
  const Dialect* tapped_codec() const {
    return report_.codec != nullptr ? report_.codec : request_.codec;
  }
  void Tap(TapEvent::Kind kind, Opcode opcode, absl::string_view payload,
           absl::string_view method = "") const;

  std::size_t wire_bytes_ = 0;                     // Since the last message.
  mutable std::unique_ptr<TappedSession> tapped_;  // Null before the first tap.
  mutable Counted counted_;
};

// The session that the route asks for. `transport` must outlive it.
// Requires: the route is not a hub's.
std::unique_ptr<Session> MakeSession(
    SessionRequest request, std::shared_ptr<const SessionContext> context,
    Transport& transport);

}  // namespace headgate

#endif  // GATEWAY_SESSION_SESSION_H_
