#ifndef GATEWAY_SESSION_SESSION_H_
#define GATEWAY_SESSION_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/codec.h"
#include "gateway/route/route.h"
#include "gateway/session/call.h"
#include "gateway/session/transport.h"
#include "gateway/upstream/schema_source.h"
#include "gateway/upstream/upstream.h"

namespace headgate {

// What the handshake found out about a session.
struct SessionRequest {
  std::string id;    // Made up by the gateway, printable.
  std::string peer;  // The address of the client.
  std::shared_ptr<const Route> route;
  std::string method;  // "/package.Service/Method"
  // What the subprotocol chose; absent: the route's codec, or by the first
  // message.
  std::optional<CodecKind> codec;
  Metadata metadata;
  // Of each call; the shorter of the client's wish and the route's deadline.
  absl::Duration timeout = absl::InfiniteDuration();
};

struct SessionLimits {
  // Answers waiting for the client, and requests waiting for the backend.
  Watermarks answers;
  Watermarks requests;
  // The longest that the client's messages may wait for a backend that takes
  // none; then RESOURCE_EXHAUSTED.
  absl::Duration stall_timeout = absl::Seconds(30);
};

// What became of a session, for the line in the log.
struct SessionReport {
  std::optional<CodecKind> codec;
  std::uint64_t messages_in = 0;  // WebSocket messages from the client.
  std::uint64_t bytes_in = 0;     // Their payload.
  std::uint64_t messages_out = 0;
  std::uint64_t bytes_out = 0;
  absl::Status status;  // CANCELLED when the client left before the call ended.
  CloseCode close = CloseCode::kAbnormal;
  TransportEnd::Cause cause = TransportEnd::Cause::kLost;
};

// One WebSocket and the call made on its behalf: the protocol as a state
// machine, without thread, socket or clock.
//
//   kResolving --(method known)--> kOpen --(status, fault, drain)--> kEnding
//       \------------------------------------------------------------/  |
//                                   (last answer written, Close sent)   v
//   any state --OnClosed--> kClosed                                  kClosing
//
// Flow control: the session asks the transport for a message only when the
// call is not backlogged, and the call for one only when the answers waiting
// for the client are few. docs/architecture.md follows a message.
//
// Thread:   its worker's. Lifetime: owned by what owns the transport;
// destroying
//           it cancels the call.
class Session final : public TransportObserver, private CallObserver {
 public:
  // All references must outlive the session.
  Session(SessionRequest request, const SessionLimits& limits,
          Upstream& upstream, SchemaSource& schemas, Transport& transport);
  ~Session();

  // Looks the method up and starts the call. `now`: the worker's clock.
  void Start(absl::Time now);

  // To be called now and then (at least four times in the shortest timeout):
  // the session's only sense of time.
  void OnTick(absl::Time now);

  // Ends the session because the gateway stops (Close 1001), after the answers
  // that are already waiting for the client.
  void Drain();

  void OnMessage(WireMessage message) override;
  void OnMessageTooBig() override;
  void OnWritten() override;
  void OnClosed(const TransportEnd& end) override;

  const SessionRequest& request() const { return request_; }
  const SessionReport& report() const { return report_; }
  absl::Time opened_at() const { return opened_at_; }

 private:
  enum class State {
    kResolving,  // The method's kind is being asked for.
    kOpen,       // The call runs.
    kEnding,     // The call is over, answers are still on their way.
    kClosing,    // The Close frame was handed to the transport.
    kClosed,     // The transport is gone.
  };

  void OnResolved(const ResolvedMethod& resolved);
  // Sets the codec; false when the session has to end instead.
  bool ChooseCodec(CodecKind kind);
  void PumpRequests();
  void ReadTransport();
  void Deliver(std::string answer);
  void ReadCall();
  void FlushAnswers();
  void EndWith(Ending ending);

  void OnCallMessage(std::string payload) override;
  void OnCallWritable() override;
  void OnCallDone(CallEnd end) override;

  SessionRequest request_;
  const SessionLimits& limits_;
  Upstream& upstream_;
  SchemaSource& schemas_;
  Transport& transport_;

  State state_ = State::kResolving;
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  ResolvedMethod resolved_;
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<Call> call_;

  // The client's first message, while the method is still being asked for.
  std::optional<WireMessage> early_message_;
  // The backend's first answer, while the client has not chosen a codec yet.
  std::optional<std::string> early_answer_;

  bool reading_ = false;  // transport_.Read is pending.
  bool writing_ = false;  // transport_.Write is pending.
  bool call_read_withheld_ = false;
  WatermarkQueue<WireMessage> answers_;
  Ending ending_;

  // Since when the requests wait for the backend, and how many it had taken.
  std::optional<absl::Time> stalled_since_;
  std::uint64_t taken_when_stalled_ = 0;

  absl::Time opened_at_;
  SessionReport report_;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_SESSION_H_
