#ifndef GATEWAY_SESSION_GRPC_MULTIPLEX_SESSION_H_
#define GATEWAY_SESSION_GRPC_MULTIPLEX_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gateway/session/multiplex_session.h"

namespace headgate {

// A session of the dialect grpc-websockets-multiplex, in which each message is
// one of grpc-websockets behind the number of its call; the headers that open a
// call name its method (docs/protocol/grpc-websockets.md).
//
// The dialect has no flow control. A message for a call whose window is full
// waits, and all behind it; a backend that takes nothing for `stall_timeout`
// loses its call.
//
// A drain is told first (GOAWAY), so that the client opens a socket elsewhere
// for its next calls. Those that are open may end until shortly before the
// order's deadline.
class GrpcMultiplexSession final : public MultiplexSession {
 public:
  // `transport` must outlive the session.
  GrpcMultiplexSession(SessionRequest request,
                       std::shared_ptr<const SessionContext> context,
                       Transport& transport);
  ~GrpcMultiplexSession() override;

 private:
  class StreamCall;
  // The client's message, without its first four bytes.
  struct Incoming {
    std::uint32_t number;
    bool is_last;  // Of what the client sends for the call.
    WireMessage message;
    bool is_fed = false;  // The codec of the call has it.
  };
  // As a server that goes away has it.
  enum class GoAway {
    kNotSent,
    kSent,
    kAcknowledged,  // The client opens no more calls.
  };

  void TakeIn(WireMessage message) override;
  bool has_input() const override { return incoming_.has_value(); }
  void DropInput() override { incoming_.reset(); }
  std::size_t waiting_input_bytes() const override {
    return held_input_bytes();
  }
  std::size_t held_input_bytes() const override {
    return incoming_ ? incoming_->message.payload.size() : 0;
  }
  bool TakeNext() override;
  std::size_t max_calls() const override;
  void SendStatus(std::uint32_t number, NumberedCall* call,
                  const CallEnd& end) override;
  bool BeginDrain(const DrainOrder& order) override;
  void TickCalls(absl::Time now) override;

  // What the windows of all calls hold, a message that has begun, and one that
  // is being taken.
  std::size_t most_held_bytes() const;
  StreamCall* FindStream(std::uint32_t number);
  // The message that opens a call.
  void OpenStream(const Incoming& incoming);
  // Gives the call what its codec finds in the message, as long as its window
  // allows; false: there is more. May end the call.
  bool Forward(StreamCall& stream);
  void OnAcknowledged();
  void EndWithFault(absl::string_view what);

  std::optional<Incoming> incoming_;
  GoAway go_away_ = GoAway::kNotSent;
  std::unique_ptr<const DrainOrder> drain_;  // Once GOAWAY was sent.
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_GRPC_MULTIPLEX_SESSION_H_
