#ifndef GATEWAY_HUB_ENCODER_H_
#define GATEWAY_HUB_ENCODER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/codec/packet.h"
#include "gateway/hub/batch.h"
#include "gateway/schema/schema.h"
#include "headgate/v1/hub.pb.h"

namespace headgate {

// What the route says about the form of messages.
struct HubForm {
  PacketOptions packet;
  JsonOptions json;
  std::size_t max_message_bytes = 1024 * 1024;  // Of a client's.
  std::uint32_t packet_type = 0;
  std::string message;  // HubTarget::message.
};

// The message of `codec` that carries `payload`. INVALID_ARGUMENT or
// RESOURCE_EXHAUSTED when the payload has no form there. `schema`: of
// `form.message`; null: unknown.
absl::StatusOr<HubFrame> EncodePayload(const v1::Payload& payload,
                                       HubCodec codec, const HubForm& form,
                                       const Schema* schema);

// One payload for clients of all codecs: encodes it for a codec when its first
// receiver is found. `payload` and `form` must outlive it.
class PayloadFrames {
 public:
  PayloadFrames(const v1::Payload& payload, const HubForm& form,
                const Schema* schema)
      : payload_(payload), form_(form), schema_(schema) {}

  const absl::StatusOr<HubFrame>& For(HubCodec codec);
  // How often it has encoded.
  std::uint64_t encoded() const { return encoded_; }

 private:
  const v1::Payload& payload_;
  const HubForm& form_;
  const Schema* const schema_;
  std::array<std::optional<absl::StatusOr<HubFrame>>, kHubCodecs> frames_;
  std::uint64_t encoded_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_ENCODER_H_
