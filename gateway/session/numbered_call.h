#ifndef GATEWAY_SESSION_NUMBERED_CALL_H_
#define GATEWAY_SESSION_NUMBERED_CALL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/codec.h"
#include "gateway/session/call.h"
#include "gateway/session/multiplex_session.h"
#include "gateway/session/stall_watch.h"
#include "gateway/session/type_pause.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// One call of a multiplexed session, from what opens it to its status.
//
// It reports its end to the session, which destroys it: nothing is touched
// afterwards.
class MultiplexSession::NumberedCall : private CallObserver {
 public:
  struct Options {
    CallRequest request;
    std::size_t window_bytes = 64 * 1024;
    // It cannot begin without the method's descriptor.
    bool needs_descriptor = false;
  };
  NumberedCall(MultiplexSession& session, std::uint32_t number,
               Options options);
  virtual ~NumberedCall() = default;

  std::uint32_t number() const { return number_; }
  const std::string& method() const { return method_; }
  // For the statistics: empty unless a descriptor or the configuration names
  // it.
  virtual absl::string_view known_method() const { return method_; }
  absl::Time began() const { return began_; }
  std::size_t pending_bytes() const {
    return waiting_bytes() + (call_ == nullptr ? 0 : call_->pending_bytes());
  }
  virtual std::size_t held_bytes() const {
    return waiting_bytes() + (call_ == nullptr ? 0 : call_->held_bytes()) +
           (waiting_response_ ? waiting_response_->size() : 0);
  }
  // Of what the call was opened with.
  std::size_t metadata_bytes() const { return metadata_bytes_; }
  // The window is full: another message would end the call.
  bool is_full() const { return pending_bytes() > options_.window_bytes; }

  // May end the call.
  void Start();
  // One message of the client's. May end the call.
  void Send(std::string content);
  // May end the call.
  void HalfClose();
  // A fault of the client's that concerns this call alone. Ends it.
  void Fail(const CallEnd& end) { BreakOff(end); }
  bool is_half_closed() const { return client_ != Client::kSending; }
  // Asks for the next response.
  void Read() { call_->Read(); }
  // May end the call.
  void OnTick(absl::Time now);

  // Whether more of the client's messages may be on their way.
  bool may_send_more() const;
  // Whether the backend may still respond to what the client has sent so far.
  bool may_answer() const;
  // And has not begun to since it was sent the last of it.
  bool answer_is_due() const;
  // A response waits for the type of an Any, and the call's next one for it.
  bool withholds_response() const { return waiting_response_.has_value(); }

  // A response as a message for the client; or AwaitsType, and `response` is
  // as it was.
  virtual absl::StatusOr<std::string> Encode(std::string&& response) = 0;
  // Gives the response to the session again once `type` is known, or known not
  // to be there. May end the call.
  void AwaitType(const std::string& type, std::string response);

 protected:
  const ResolvedMethod& resolved() const { return resolved_; }

 private:
  enum class Client {
    kSending,
    kHalfCloseWaits,  // Behind messages that the call does not have yet.
    kHalfClosed,
  };

  // What the client has sent: a RequestMessage, an Ending, or NeedType, and
  // `content` is as it was.
  virtual Decoded Decode(std::string& content) {
    return RequestMessage{std::move(content)};
  }
  // The backend's metadata, where the call was started with its delivery.
  virtual void OnHeaders(Metadata /*headers*/) {}

  void OnResolved(const ResolvedMethod& resolved);
  std::size_t waiting_bytes() const {
    return waiting_.bytes() + (untyped_ ? untyped_->size() : 0);
  }
  // Whether what the client sends goes to the call at once.
  bool is_forwarding() const {
    return call_ != nullptr && waiting_.empty() && !untyped_;
  }
  // Gives the call what has been waiting, as far as its window allows, and a
  // half-close behind that. May end it.
  void ForwardWaiting();
  // Gives a message to the call, which must be there; or keeps it in untyped_.
  // May end the call.
  void Forward(std::string content);
  void ForwardHalfClose();
  void Overrun();
  void End(const CallEnd& end) { session_.EndCall(number_, end); }
  void BreakOff(const CallEnd& end) { session_.BreakOff(number_, end); }

  void OnCallHeaders(Metadata headers) final { OnHeaders(std::move(headers)); }
  void OnCallMessage(std::string payload) final;
  void OnCallWritable() final;
  void OnCallDone(CallEnd end) final;

  MultiplexSession& session_;
  const std::uint32_t number_;
  const std::string method_;
  Options options_;
  const std::size_t metadata_bytes_;
  const absl::Time began_;  // As of Session::Clock.
  Client client_ = Client::kSending;
  // The backend has sent nothing since the client has.
  bool answer_is_due_ = false;

  // What the client has sent while the method is being looked up, or behind a
  // message that waits for the type of an Any: that one is untyped_.
  WatermarkQueue<std::string> waiting_{Watermarks{}};
  std::optional<std::string> untyped_;
  std::optional<std::string> waiting_response_;  // The same of a response.
  // While the server is asked for such a type.
  TypePause request_pause_, response_pause_;

  ResolvedMethod resolved_;
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  std::unique_ptr<Call> call_;  // Null until the method is resolved.
  StallWatch stall_;
  // Expires with the call, for functions that may have destroyed it.
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_NUMBERED_CALL_H_
