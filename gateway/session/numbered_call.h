#ifndef GATEWAY_SESSION_NUMBERED_CALL_H_
#define GATEWAY_SESSION_NUMBERED_CALL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/session/call.h"
#include "gateway/session/multiplex_session.h"
#include "gateway/session/stall_watch.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// One call of a multiplexed session, from its first packet to its status.
//
// It reports its end to the session, which destroys it: nothing is touched
// afterwards.
class MultiplexSession::NumberedCall final : private CallObserver {
 public:
  // `method`: the route's, which outlives the call.
  NumberedCall(MultiplexSession& session, std::uint32_t type, std::uint32_t who,
               const std::string& method);

  std::uint32_t type() const { return type_; }
  std::uint32_t who() const { return who_; }
  const std::string& method() const { return method_; }
  absl::Time began() const { return began_; }
  std::size_t pending_bytes() const {
    return call_ == nullptr ? early_bytes_ : call_->pending_bytes();
  }
  std::size_t held_bytes() const {
    return call_ == nullptr ? early_bytes_ : call_->held_bytes();
  }

  // May end the call.
  void Start();
  // One message of the client's. May end the call.
  void Send(absl::string_view content);
  // The client's end packet. May end the call.
  void HalfClose();
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

  // `message` as the content of a packet.
  absl::StatusOr<std::string> Encode(std::string message) const;

 private:
  const MethodTable& multiplex() const {
    return std::get<MethodTable>(session_.request_.route->target);
  }
  std::size_t window() const { return multiplex().call_window_bytes; }

  void OnResolved(const ResolvedMethod& resolved);
  // Gives a message to the call, which must be there. May end it.
  void Forward(absl::string_view content);
  void Overrun();
  void End(const CallEnd& end) { session_.EndCall(who_, end); }
  void BreakOff(const CallEnd& end) { session_.BreakOff(who_, end); }

  void OnCallMessage(std::string payload) override;
  void OnCallWritable() override {}
  void OnCallDone(CallEnd end) override;

  MultiplexSession& session_;
  const std::uint32_t type_;
  const std::uint32_t who_;
  const std::string& method_;
  const absl::Time began_;  // As of Session::Clock.
  bool client_ended_ = false;
  // The backend has sent nothing since the client has.
  bool answer_is_due_ = false;

  // What the client has sent while the method is being looked up.
  std::vector<std::string> early_;
  std::size_t early_bytes_ = 0;

  ResolvedMethod resolved_;
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  std::unique_ptr<Call> call_;  // Null until the method is resolved.
  StallWatch stall_;
  // Expires with the call, for functions that may have destroyed it.
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_NUMBERED_CALL_H_
