#ifndef GATEWAY_SESSION_CALL_SESSION_H_
#define GATEWAY_SESSION_CALL_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/codec.h"
#include "gateway/session/call.h"
#include "gateway/session/session.h"
#include "gateway/session/transport.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// A session with one call.
//
//   kResolving --(method known)--> kOpen --(status, fault, drain)--> kEnding
//       \------------------------------------------------------------/  |
//                                   (last answer written, Close sent)   v
//   any state --OnClosed--> kClosed                                  kClosing
//
// Flow control: the session asks the transport for a message only when the
// call is not backlogged, and the call for one only when the answers waiting
// for the client are few. docs/architecture.md follows a message.
class CallSession final : public Session, private CallObserver {
 public:
  // `transport` must outlive the session.
  CallSession(SessionRequest request,
              std::shared_ptr<const SessionContext> context,
              Transport& transport);
  ~CallSession() override;

  void Start(absl::Time now) override;
  void OnTick(absl::Time now) override;
  bool is_at_rest() const override;
  void Drain(const DrainOrder& order) override;
  void CloseByOperator() override;
  void CloseForMemory() override;
  Buffered buffered() const override;
  std::size_t held_bytes() const override;
  std::optional<std::uint64_t> unfinished_message() const override;

  void OnMessage(WireMessage message) override;
  void OnMessageTooBig(const AnswerWait& wait) override;
  void OnViolation(const Ending& ending, const AnswerWait& wait) override;
  void OnControlFrames(std::size_t count) override;
  void OnWireBytes(std::size_t bytes) override;
  void OnMessageStuck(absl::Duration patience) override;
  void OnWritten() override;
  void OnClosed(const TransportEnd& end) override;

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
  bool ChooseCodec(const Dialect& dialect);
  void PumpRequests();
  void ReadTransport();
  void Deliver(std::string answer);
  void ReadCall();
  void FlushAnswers();
  void EndWith(Ending ending);
  // The same where the call has ended another way than the session will.
  void EndWith(Ending ending, const absl::Status& call_status);
  // Because a limit was hit, if one was.
  void EndWith(std::optional<SessionGuard::Violation> violation);
  // Ends it once what the client has sent before is answered.
  void Part(Ending ending, const AnswerWait& wait);
  // Of a session that is parting: whether it is time.
  bool HasParted(absl::Time now);
  // Of a session that is told to drain: whether it is time.
  bool IsDrained(absl::Time now);
  void EndCall(const absl::Status& status);

  void OnCallHeaders(Metadata headers) override;
  void OnCallMessage(std::string payload) override;
  void OnCallWritable() override;
  void OnCallDone(CallEnd end) override;

  Transport& transport_;

  State state_ = State::kResolving;
  absl::Time began_;  // As of Clock.
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  ResolvedMethod resolved_;
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<Call> call_;

  // The client's first message, while the method is still being asked for.
  std::optional<WireMessage> early_message_;
  // The backend's first answer, while the client has not chosen a codec yet.
  std::optional<std::string> early_answer_;

  std::uint64_t requests_ = 0;  // That have been decoded.
  bool reading_ = false;        // transport_.Read is pending.
  bool writing_ = false;        // transport_.Write is pending.
  bool call_read_withheld_ = false;
  WatermarkQueue<WireMessage> answers_;
  Ending ending_;

  // Since when the requests wait for the backend, and how many it had taken.
  StallWatch stall_;

  std::optional<DrainOrder> drain_;
  // Since when the backend has had nothing to say, while draining.
  absl::Time silent_since_;
  bool answered_ = false;  // Since the last tick.
  // The backend has said nothing since it was sent something.
  bool answer_is_due_ = false;
  std::optional<Parting> parting_;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_CALL_SESSION_H_
