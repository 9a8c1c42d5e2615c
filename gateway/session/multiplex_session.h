#ifndef GATEWAY_SESSION_MULTIPLEX_SESSION_H_
#define GATEWAY_SESSION_MULTIPLEX_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/packet.h"
#include "gateway/session/session.h"
#include "gateway/session/transport.h"

namespace headgate {

// A session with several calls: each packet belongs to the call that its `who`
// numbers, and the first one's `type` chose the method (Route::multiplex,
// docs/protocol.md "Several calls on one socket").
//
// Flow control: nothing is read from the client while the answers wait for it;
// a call is asked for its next answer only when there is room, in the order in
// which the calls came to a halt. The client's messages never wait for a call:
// one that runs over the call's window ends it. What waits for the client is at
// most one answer of each call beyond `SessionLimits::answers`; what waits for
// the backend is, for each call, the window and the message that filled it.
class MultiplexSession final : public Session {
 public:
  // `transport` must outlive the session.
  MultiplexSession(SessionRequest request,
                   std::shared_ptr<const SessionContext> context,
                   Transport& transport);
  ~MultiplexSession() override;

  void Start(absl::Time now) override;
  void OnTick(absl::Time now) override;
  void Drain(const DrainOrder& order) override;
  void CloseByOperator() override;
  void CloseForMemory() override;
  Buffered buffered() const override;
  std::size_t held_bytes() const override;

  void OnMessage(WireMessage message) override;
  void OnMessageTooBig(const AnswerWait& wait) override;
  void OnViolation(const Ending& ending, const AnswerWait& wait) override;
  void OnControlFrames(std::size_t count) override;
  void OnWireBytes(std::size_t bytes) override;
  void OnMessageStuck(absl::Duration patience) override;
  void OnWritten() override;
  void OnClosed(const TransportEnd& end) override;

 private:
  class NumberedCall;
  enum class State { kOpen, kEnding, kClosing, kClosed };

  // Takes packets out of the client's message as long as there is room for
  // what they may be answered with.
  void Pump();
  void Take(const FramedPacket& packet);
  // Half-closes each call that the client has not half-closed.
  void HalfCloseAll();
  void ReadTransport();

  // Of a call: an answer, and its status, after which the call is gone.
  void Answer(NumberedCall& call, std::string message);
  void EndCall(std::uint32_t who, const CallEnd& end);
  // The same of a call that the gateway ends in the midst of the client's
  // stream: what is still on its way would open a new call, so the number takes
  // nothing until the client's end packet.
  void BreakOff(std::uint32_t who, const CallEnd& end);

  void SendPacket(std::uint32_t type, std::uint32_t who,
                  absl::string_view content);
  void Flush();
  void ResumeReads();
  void EndWith(Ending ending);
  // Because a limit was hit, if one was.
  void EndWith(std::optional<SessionGuard::Violation> violation);
  // Ends it once what the client has sent before is answered.
  void Part(Ending ending, const AnswerWait& wait);
  // Of a session that is parting: whether it is time.
  bool HasParted(absl::Time now);
  // Of a session that is told to drain: whether it is time.
  bool IsDrained(absl::Time now);
  void EndWithFault(absl::Status status);  // Of the framing.

  const PacketOptions& packet_options() const { return request_.route->packet; }

  Transport& transport_;
  State state_ = State::kOpen;
  absl::Time now_;

  absl::flat_hash_map<std::uint32_t, std::unique_ptr<NumberedCall>> calls_;
  // Calls whose next answer was not asked for, first come first served; empty
  // unless answers_ is full. A number may stand here of a call that is gone;
  // while answers_ is full it is not used anew, as no packet is taken.
  std::vector<std::uint32_t> withheld_;
  // Open calls that the client has not half-closed.
  absl::flat_hash_set<std::uint32_t> sending_;
  // Numbers of streams that were broken off, and the order in which.
  absl::flat_hash_set<std::uint32_t> barred_;
  std::deque<std::uint32_t> barred_order_;

  std::optional<std::string> incoming_;  // The client's message,
  std::size_t taken_ = 0;                // and what of it is done with.
  WatermarkQueue<std::string> answers_;  // Packets.
  // Calls that packets of the client's have ended since the last tick, and
  // whether a packet is being taken. Each of them costs a stream that is opened
  // and reset at once, for a few bytes.
  std::size_t cut_short_ = 0;
  bool taking_ = false;
  bool reading_ = false;  // transport_.Read is pending.
  bool writing_ = false;  // transport_.Write is pending.
  Ending ending_;

  std::optional<DrainOrder> drain_;
  // Since when the backends have had nothing to say, while draining.
  absl::Time silent_since_;
  bool answered_ = false;  // Since the last tick.
  std::optional<Parting> parting_;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_MULTIPLEX_SESSION_H_
