#ifndef GATEWAY_SESSION_SESSION_CORE_H_
#define GATEWAY_SESSION_SESSION_CORE_H_

#include <cstddef>
#include <forward_list>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/codec/outgoing.h"
#include "gateway/session/session.h"
#include "gateway/session/transport.h"
#include "gateway/session/wind_down.h"

namespace headgate {

// What every kind of session does with its client: it reads and counts
// messages, queues responses and writes them one at a time, keeps the limits,
// and ends.
//
//   kOpen --(status, fault, limit, drain)--> kEnding
//                                               |  (last response written,
//                                               v   Close sent)
//   any state --OnClosed--> kClosed          kClosing
//
// A kind of session decides what the client's messages mean, asks its calls for
// responses while the queue is not full, and says what its calls may still
// send. It implements OnMessage, which begins with Admit, and OnWritten, which
// begins with FinishWrite, and the protected functions below; each of these
// but OnMessage, OnWritten and Begin is called rarely.
class SessionCore : public Session {
 public:
  void Start(absl::Time now) final;
  void OnTick(absl::Time now) final;
  void Shrink() override { outgoing_.Shrink(); }
  void Drain(const DrainOrder& order) final;
  void CloseByOperator() final;
  void CloseForMemory() final;
  Buffered buffered() const final;
  std::size_t held_bytes() const final;

  void OnMessageTooBig(const AnswerWait& wait) final;
  void OnViolation(const Ending& ending, const AnswerWait& wait) final;
  void OnControlFrames(std::size_t count) final;
  void OnWireBytes(std::size_t bytes) final;
  void OnMessageStuck(absl::Duration patience) final;
  void OnClosed(const TransportEnd& end) final;

 protected:
  enum class State {
    kOpen,     // Messages and responses pass.
    kEnding,   // How it ends is decided; responses are still on their way.
    kClosing,  // The transport was told to close.
    kClosed,   // The transport is gone.
  };

  // `transport` must outlive the session.
  SessionCore(SessionRequest request,
              std::shared_ptr<const SessionContext> context,
              Transport& transport);

  // --- What a kind of session does ---

  // The session has started; a Read is pending.
  virtual void Begin(absl::Time now) = 0;
  virtual Outlook outlook() const = 0;
  // In kOpen.
  virtual void TickCalls(absl::Time now) = 0;
  // The state has become kEnding: queues the messages that tell the client, and
  // the end.
  virtual void EncodeEnding(const Ending& ending, Outgoing& out) = 0;
  // Whether a client that leaves now leaves something undone.
  virtual bool has_calls() const = 0;
  // The transport is gone; the last event of a session.
  virtual void OnGone(const TransportEnd& /*end*/) {}
  // Ends the calls that are left; `status` is how, for the statistics.
  virtual void EndCalls(const absl::Status& status) = 0;
  // Frees what waits in the session besides the responses; the session is
  // about to end for lack of memory (kOpen), or has been told to.
  virtual void DropWaiting() = 0;
  // What waits for the backend, and what the calls and the client's messages
  // hold besides the responses; bytes.
  virtual std::size_t waiting_bytes() const = 0;
  virtual std::size_t held_by_calls() const = 0;
  // The gateway stops. False: the session tells its client first, and calls
  // StartWindDown later.
  virtual bool BeginDrain(const DrainOrder& /*order*/) { return true; }

  // --- What it uses for that ---

  State state() const { return state_; }
  bool is_open() const { return state_ == State::kOpen; }
  bool is_reading() const { return reading_; }

  // Of each message that came: whether it is to be looked at. `messages`: what
  // it counts for. A message that comes too late is dropped and the next one
  // asked for, so that a client that writes before it reads gets as far as the
  // responses and the Close frame.
  bool Admit(const WireMessage& message, std::size_t messages = 1);
  // Asks for a message unless a Read is pending.
  void ReadTransport();

  // Responses may be joined up to this many bytes, see Codec::coalesce_bytes.
  void set_join_bytes(std::size_t bytes) { join_bytes_ = bytes; }
  // Where codecs put what the client gets; Flush sends it, one message after
  // the other.
  Outgoing& outgoing() { return outgoing_; }
  void Flush();
  // No more responses should be asked for.
  bool is_full() const { return outgoing_.is_full(); }
  // The transport has taken a message.
  void FinishWrite();

  WindDown& wind_down() { return wind_down_; }
  const WindDown& wind_down() const { return wind_down_; }

  // Counts the session for the client whom a call's credentials name, if they
  // came in-band. RESOURCE_EXHAUSTED: that client has too many sessions.
  // `handshake`: the session's own metadata.
  absl::Status CountClient(const Metadata& call, const Metadata& handshake);

  // Ends the session once what its backends have sent is with the client.
  void StartWindDown(const DrainOrder& order);

  void EndWith(const Ending& ending);
  // The same where the calls have ended another way than the session will.
  void EndWith(const Ending& ending, const absl::Status& call_status);
  // Because a limit was hit, if one was.
  void EndWith(std::optional<SessionGuard::Violation> violation);

 private:
  // Ends it once what the client has sent before is answered.
  void Part(Ending ending, const AnswerWait& wait);

  // Of clients named in-band: most sessions have none, few more than one.
  struct CountedClient {
    std::string identity;
    std::shared_ptr<void> place;
  };

  Transport& transport_;
  std::forward_list<CountedClient> clients_;
  State state_ = State::kOpen;
  bool reading_ = false;  // transport_.Read is pending.
  bool writing_ = false;  // transport_.Write is pending.
  std::size_t join_bytes_ = 0;
  Outgoing outgoing_;
  WindDown wind_down_;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_SESSION_CORE_H_
