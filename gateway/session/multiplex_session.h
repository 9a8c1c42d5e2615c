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
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/codec/packet.h"
#include "gateway/session/session_core.h"
#include "gateway/session/transport.h"

namespace headgate {

// A session with several calls: each packet belongs to the call that its `who`
// numbers, and the first one's `type` chose the method (Route::multiplex,
// docs/protocol.md "Several calls on one socket").
//
// Flow control: nothing is read from the client while responses wait for it; a
// call is asked for its next response only when there is room, in the order in
// which the calls came to a halt. The client's messages never wait for a call:
// one that runs over the call's window ends it. What waits for the client is at
// most one response of each call beyond `SessionLimits::answers`; what waits
// for the backend is, for each call, the window and the message that filled it.
class MultiplexSession final : public SessionCore {
 public:
  // `transport` must outlive the session.
  MultiplexSession(SessionRequest request,
                   std::shared_ptr<const SessionContext> context,
                   Transport& transport);
  ~MultiplexSession() override;

  void OnMessage(WireMessage message) override;
  void OnWritten() override;

 private:
  class NumberedCall;

  void Begin(absl::Time now) override;
  Outlook outlook() const override;
  void TickCalls(absl::Time now) override;
  void EncodeEnding(const Ending& ending, Outgoing& out) override;
  bool has_calls() const override { return !calls_.empty(); }
  void EndCalls(const absl::Status& status) override;
  void DropWaiting() override { incoming_.reset(); }
  std::size_t waiting_bytes() const override;
  std::size_t held_by_calls() const override;

  // Takes packets out of the client's message as long as there is room for
  // responses to them.
  void Pump();
  void Take(const FramedPacket& packet);
  // Half-closes each call that the client has not half-closed.
  void HalfCloseAll();

  // Of a call: a response, and its status, after which the call is gone.
  void Answer(NumberedCall& call, std::string message);
  void EndCall(std::uint32_t who, const CallEnd& end);
  // The same of a call that the gateway ends in the midst of the client's
  // stream: what is still on its way would open a new call, so the number takes
  // nothing until the client's end packet.
  void BreakOff(std::uint32_t who, const CallEnd& end);

  void SendPacket(std::uint32_t type, std::uint32_t who,
                  absl::string_view content);
  void ResumeReads();
  std::vector<std::uint32_t> OpenNumbers() const;
  void EndWithFault(absl::Status status);  // Of the framing.

  const PacketOptions& packet_options() const { return request_.route->packet; }

  absl::Time now_;  // Of the last tick.

  absl::flat_hash_map<std::uint32_t, std::unique_ptr<NumberedCall>> calls_;
  // Calls whose next response was not asked for, in the order in which they
  // will be; empty unless the queue of responses is full. A number may be that
  // of a call that is gone; it is not used again while the queue is full, as
  // no packet is taken.
  std::vector<std::uint32_t> withheld_;
  // Open calls that the client has not half-closed.
  absl::flat_hash_set<std::uint32_t> sending_;
  // Numbers of streams that were broken off, and their order.
  absl::flat_hash_set<std::uint32_t> barred_;
  std::deque<std::uint32_t> barred_order_;

  std::optional<std::string> incoming_;  // The client's message,
  std::size_t taken_ = 0;                // and what of it is done with.
  // Calls that packets of the client's have ended since the last tick, and
  // whether a packet is being taken. Each of them costs a stream that is opened
  // and reset at once, for a few bytes.
  std::size_t cut_short_ = 0;
  bool taking_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_MULTIPLEX_SESSION_H_
