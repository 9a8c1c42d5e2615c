#ifndef GATEWAY_SESSION_PACKET_SESSION_H_
#define GATEWAY_SESSION_PACKET_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "gateway/codec/packet.h"
#include "gateway/route/route.h"
#include "gateway/session/multiplex_session.h"

namespace headgate {

// A session with several calls in packets: each packet belongs to the call that
// its `who` numbers, and the first one's `type` chose the method (MethodTable,
// docs/protocol.md "Several calls on one socket").
//
// The client's messages never wait for a call: one that runs over the call's
// window ends it.
class PacketSession final : public MultiplexSession {
 public:
  // `transport` must outlive the session.
  PacketSession(SessionRequest request,
                std::shared_ptr<const SessionContext> context,
                Transport& transport);

 private:
  class PacketCall;

  void TakeIn(WireMessage message) override;
  bool has_input() const override { return incoming_.has_value(); }
  void DropInput() override { incoming_.reset(); }
  std::size_t waiting_input_bytes() const override {
    return incoming_ ? incoming_->size() - taken_ : 0;
  }
  std::size_t held_input_bytes() const override {
    return incoming_ ? incoming_->size() : 0;
  }
  bool TakeNext() override;
  std::size_t max_calls() const override {
    return static_cast<std::size_t>(table().max_calls);
  }
  void SendStatus(std::uint32_t number, NumberedCall* call,
                  const CallEnd& end) override;

  void Take(const FramedPacket& packet);
  void EndWithFault(absl::Status status);  // Of the framing.

  const PacketOptions& packet_options() const { return request_.route->packet; }
  const MethodTable& table() const {
    return std::get<MethodTable>(request_.route->target);
  }

  std::optional<std::string> incoming_;  // The client's message,
  std::size_t taken_ = 0;                // and what of it is done with.
};

}  // namespace headgate

#endif  // GATEWAY_SESSION_PACKET_SESSION_H_
