#ifndef GATEWAY_SESSION_CALL_SESSION_H_
#define GATEWAY_SESSION_CALL_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/dialect.h"
#include "gateway/session/call.h"
#include "gateway/session/session_core.h"
#include "gateway/session/stall_watch.h"
#include "gateway/session/type_pause.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// A session with one call, which begins once the method's descriptor is known,
// or is known not to exist, and the client has sent the headers that its
// dialect has in-band. Until the former the client's first message waits.
//
// Flow control: the session asks the transport for a message only when the
// call is not backlogged, and the call for one only when the responses waiting
// for the client are few. docs/architecture.md follows a message.
class CallSession final : public SessionCore, private CallObserver {
 public:
  // `transport` must outlive the session.
  CallSession(SessionRequest request,
              std::shared_ptr<const SessionContext> context,
              Transport& transport);
  ~CallSession() override;

  bool is_at_rest() const override;
  void Shrink() override;
  std::optional<std::uint64_t> unfinished_message() const override;

  void OnMessage(WireMessage message) override;
  void OnWritten() override;

 private:
  void Begin(absl::Time now) override;
  Outlook outlook() const override;
  void TickCalls(absl::Time now) override;
  void EncodeEnding(const Ending& ending, Outgoing& out) override;
  bool has_calls() const override { return true; }
  void EndCalls(const absl::Status& status) override;
  void DropWaiting() override;
  std::size_t waiting_bytes() const override;
  std::size_t held_by_calls() const override;

  enum class Stage {
    kResolving,     // The method is being looked up.
    kAwaitingHead,  // The dialect has the call's headers in its first message.
    kCalling,       // The call has been started.
  };

  void OnResolved(const ResolvedMethod& resolved);
  // The headers that came in-band: starts the call, or ends the session.
  void OnHead(const InBandHead& head);
  void StartCall(Metadata metadata, absl::Duration timeout);
  CodecInputs codec_inputs() const;
  // Whether the codec, chosen or not, may have a place for the backend's
  // metadata.
  MetadataDelivery metadata_delivery() const;
  // Sets the codec; false when the session has to end instead.
  bool ChooseCodec(const Dialect& dialect);
  // Decodes a message. Requires: not kResolving.
  void Decode(WireMessage message);
  void PumpRequests();
  void Deliver(std::string response);
  // Sends it, or keeps it until the type of an Any is known.
  void Encode(std::string response);
  // Asks the call for a response, if there is room for it.
  void ReadCall();
  // Whether the call's end, which is kept then, waits for a detail's type.
  bool AwaitDetails(CallEnd& end);
  void FinishCall(CallEnd end);

  void OnCallHeaders(Metadata headers) override;
  void OnCallMessage(std::string payload) override;
  void OnCallWritable() override;
  void OnCallDone(CallEnd end) override;

  absl::Time began_;  // As of Clock.
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  ResolvedMethod resolved_;
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<Call> call_;  // From kCalling on.
  Stage stage_ = Stage::kResolving;

  // What few sessions have, and none for long, is not part of the session.

  // The client's first message, until the method is known.
  std::unique_ptr<WireMessage> early_message_;
  // The backend's metadata and first response, until the client has chosen a
  // codec.
  std::unique_ptr<const Metadata> early_headers_;
  std::unique_ptr<std::string> early_response_;

  // While the server is asked for the type of an Any: in a request, which the
  // codec keeps; in a response or the call's end, which are kept here.
  TypePause request_pause_, response_pause_;
  std::unique_ptr<std::string> waiting_response_;
  std::unique_ptr<CallEnd> waiting_end_;

  std::uint64_t requests_ = 0;  // That have been decoded.
  bool call_read_withheld_ = false;
  // The backend has sent nothing since it was sent something.
  bool response_is_due_ = false;
  StallWatch stall_;
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_CALL_SESSION_H_
