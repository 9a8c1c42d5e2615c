#ifndef GATEWAY_SESSION_HUB_SESSION_H_
#define GATEWAY_SESSION_HUB_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "gateway/base/clock.h"
#include "gateway/hub/decoder.h"
#include "gateway/hub/member_queue.h"
#include "gateway/hub/pinned_frames.h"
#include "gateway/hub/port.h"
#include "gateway/session/session_core.h"
#include "gateway/session/type_pause.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// A session of a hub: it has no call of its own. What its client sends becomes
// events of the hub's stream, and what the backend sends to it, or to a group
// that it is in, waits in a queue of its own.
//
// Flow control: the client is read while the hub has room for its events, and
// no type of an Any in them is being asked for; the
// queue towards the client is bounded by the route's slow-client policy, and
// never holds up the hub. The queue holds references to frames that other
// sessions send as well, and what waits in it leaves in slices.
class HubSession final : public SessionCore,
                         private HubMemberObserver,
                         private PinnedFrames::Holder,
                         private SlicedTask {
 public:
  // `transport` must outlive the session.
  HubSession(SessionRequest request,
             std::shared_ptr<const SessionContext> context,
             std::unique_ptr<HubMember> member, Transport& transport);
  ~HubSession() override;

  bool is_at_rest() const override;
  std::optional<std::uint64_t> unfinished_message() const override;

  void OnMessage(WireMessage message) override;
  void OnPong(absl::Duration round_trip) override;
  void OnWritten() override;

 private:
  void Begin(absl::Time now) override;
  Outlook outlook() const override;
  void TickCalls(absl::Time now) override;
  void EncodeEnding(const Ending& ending, Outgoing& out) override;
  bool has_calls() const override { return false; }
  void EndCalls(const absl::Status& status) override;
  void OnGone(const TransportEnd& end) override;
  void DropWaiting() override;
  std::size_t waiting_bytes() const override { return 0; }
  std::size_t held_by_calls() const override;

  void OnHubFrame(ws::SharedFrame& frame, const HubDeliver& deliver) override;
  void OnHubAnswer(ws::SharedFrame& frame) override { QueueOwn(frame); }
  void OnHubGreeting(ws::SharedFrame& frame) override { QueueOwn(frame); }
  void OnHubExpiry(absl::Time at) override;
  void OnHubClose(const HubClose& close, ws::SharedFrame* farewell) override;
  void OnHubWritable() override { PumpEvents(); }
  void OnSlice() override;

  std::size_t pinned_bytes() const override { return queue_.bytes(); }
  void SendPinned() override { OnSlice(); }
  void EndPinned() override {
    if (is_open()) EndSlow();
  }
  // To be called when queue_ has changed.
  void OnQueueChanged();

  void Queue(ws::SharedFrame& frame, MemberQueue::Policy policy,
             const std::string& key = "", HubReport report = {});
  // The same for a frame of the gateway's own, which no policy drops.
  void QueueOwn(ws::SharedFrame& frame);
  void QueueOwn(const v1::HubServerFrame& frame);
  ws::SharedFrame FrameOf(const v1::HubServerFrame& frame);
  // Tells the backend what the client's connection has taken since.
  void ReportSent();
  void OnSchema(const absl::StatusOr<SchemaSnapshot>& snapshot);
  // Takes events out of the client's message while the hub has room for them.
  void PumpEvents();
  // Sends what waits, as far as the client takes it.
  void PumpQueue();
  // The same among the sessions of the worker that have something to send.
  void PumpInSlice();
  // Counts what the policy has dropped.
  void CountDropped();
  // Tells the backend of a queue that has become long, or short again.
  void ReportBacklog();
  HubDeparture::Cause CauseOfEnding() const;
  void DropQueue();
  void EndSlow();
  // Tells the backend, once.
  void Depart(const TransportEnd& end);

  Transport& transport_;
  const std::unique_ptr<HubMember> member_;
  const ws::FrameForm form_;             // Of frames for this client.
  std::unique_ptr<HubDecoder> decoder_;  // Null until the schema is known.
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  std::optional<WireMessage> early_message_;  // Until there is a decoder.
  // While the server is asked for the type of an Any in the client's message.
  TypePause type_pause_;
  MemberQueue queue_;
  // Messages that the transport has, and whose sending is to be reported.
  struct Reported {
    std::uint64_t end;  // Where it ends in written_.
    HubReport report;
  };
  std::deque<Reported> reported_;
  std::uint64_t written_ = 0;  // Bytes of all frames that the transport got.
  std::uint64_t unsent_ = 0;   // Messages that were dropped at the end.
  std::uint64_t dropped_told_ = 0;  // Of queue_.dropped(), to the backend.
  std::uint64_t dropped_counted_ = 0;
  ws::FrameRef farewell_;
  // Set when it is not the client or its connection that ends it.
  std::optional<HubDeparture::Cause> cause_;
  bool writing_ = false;  // transport_.WriteFrames is pending.
  bool holds_stream_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_HUB_SESSION_H_
