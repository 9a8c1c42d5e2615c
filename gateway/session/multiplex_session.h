#ifndef GATEWAY_SESSION_MULTIPLEX_SESSION_H_
#define GATEWAY_SESSION_MULTIPLEX_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/session/session_core.h"
#include "gateway/session/transport.h"

namespace headgate {

// What every session with several calls does: it has them by number, asks them
// for responses in turn and ends each alone. How numbers, messages and
// statuses stand on the wire is a kind of session's, and its NumberedCalls'.
//
// Flow control: nothing is read from the client while responses wait for it; a
// call is asked for its next response only when there is room, in the order in
// which the calls came to a halt. What waits for the client is at most one
// response of each call beyond `SessionLimits::answers`; what waits for the
// backend is, for each call, the window and the message that filled it.
//
// A message of a few KiB opens a hundred calls. So it is taken in parts, which
// leave other sockets theirs (Turn).
class MultiplexSession : public SessionCore, private TurnTask {
 public:
  ~MultiplexSession() override;

  void OnMessage(WireMessage message) final;
  void OnWritten() final;

 protected:
  class NumberedCall;

  // When a number may stand for another call. By what a client sends it cannot
  // know yet that its call has ended.
  enum class Reuse {
    kAtOnce,          // Once the call's status was sent; but of a call that the
                      // gateway has broken off, as below.
    kAfterHalfClose,  // Once the client has half-closed, too.
  };

  // `transport` must outlive the session.
  MultiplexSession(SessionRequest request,
                   std::shared_ptr<const SessionContext> context,
                   Transport& transport, Reuse reuse);

  // --- What a kind of session does ---

  // A message of the client's: puts it where TakeNext finds it, or ends the
  // session.
  virtual void TakeIn(WireMessage message) = 0;
  // Whether something of it is left to be taken.
  virtual bool has_input() const = 0;
  virtual void DropInput() = 0;
  // What is left of it, and what it holds; bytes.
  virtual std::size_t waiting_input_bytes() const = 0;
  virtual std::size_t held_input_bytes() const = 0;
  // Takes the next thing out of it. False: it has to wait for a call, which
  // will call Pump. Requires: has_input().
  virtual bool TakeNext() = 0;
  // The most that are open at a time.
  virtual std::size_t max_calls() const = 0;
  // Tells the end of a call. `call`: null for one that was never open.
  virtual void SendStatus(std::uint32_t number, NumberedCall* call,
                          const CallEnd& end) = 0;

  // --- What it uses for that ---

  // Takes out of the client's message as long as there is room for responses,
  // and time in this iteration of the event loop.
  void Pump();

  absl::Time now() const { return now_; }  // Of the last tick.
  // Null: no call of that number is open.
  NumberedCall* Find(std::uint32_t number);
  // What the client still sends on that number belongs to a call that is over.
  bool IsBarred(std::uint32_t number) const { return barred_.contains(number); }
  // The client has half-closed on it.
  void EndSending(std::uint32_t number);
  // Half-closes each call that the client has not half-closed.
  void HalfCloseAll();
  std::size_t open_calls() const { return calls_.size(); }
  std::vector<std::uint32_t> OpenNumbers() const;
  // Opens a call. It may have ended already, then null.
  NumberedCall* Open(std::unique_ptr<NumberedCall> call);
  // Refuses to open one. `is_barred`: more on that number is on its way.
  void Refuse(std::uint32_t number, absl::Status status, bool is_barred);

  // Puts a message for the client.
  void Send(std::string message);

  void TickCalls(absl::Time now) override;
  // Messages of the client's and of the calls', bytes.
  std::size_t held_by_messages() const;

 private:
  void OnTurn() final;
  // Takes `most` things at most.
  void Take(std::size_t most);

  void Begin(absl::Time now) final { now_ = now; }
  Outlook outlook() const final;
  void EncodeEnding(const Ending& ending, Outgoing& out) final;
  bool has_calls() const final { return !calls_.empty(); }
  void EndCalls(const absl::Status& status) final;
  void DropWaiting() final { DropInput(); }
  std::size_t waiting_bytes() const final;
  std::size_t held_by_calls() const final;

  // Of a call: a response, and its status, after which the call is gone.
  void Respond(NumberedCall& call, std::string message);
  void EndCall(std::uint32_t number, const CallEnd& end);
  // The same of a call that the gateway ends in the midst of the client's
  // stream: what is still on its way would open a new call, so the number takes
  // nothing until the client's half-close.
  void BreakOff(std::uint32_t number, const CallEnd& end);
  void Bar(std::uint32_t number);

  void ResumeReads();

  const Reuse reuse_;
  absl::Time now_;

  absl::flat_hash_map<std::uint32_t, std::unique_ptr<NumberedCall>> calls_;
  // Calls whose next response was not asked for, in the order in which they
  // will be; empty unless the queue of responses is full. A number may be that
  // of a call that is gone; it is not used again while the queue is full, as
  // nothing is taken.
  std::vector<std::uint32_t> withheld_;
  // Open calls that the client has not half-closed.
  absl::flat_hash_set<std::uint32_t> sending_;
  // Numbers of streams that are over before the client knows, and their order.
  absl::flat_hash_set<std::uint32_t> barred_;
  std::deque<std::uint32_t> barred_order_;

  // Calls that what the client sent has ended since the last tick, and whether
  // some of it is being taken. Each of them costs a stream that is opened and
  // reset at once, for a few bytes.
  std::size_t cut_short_ = 0;
  bool taking_ = false;
  // A call, since the last tick. The first is opened at once: a client that
  // needs one does not wait for clients that open many.
  bool has_opened_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_MULTIPLEX_SESSION_H_
