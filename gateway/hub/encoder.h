#ifndef GATEWAY_HUB_ENCODER_H_
#define GATEWAY_HUB_ENCODER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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
// `form.message`; null: unknown. `group`: that it is for, where the codec says
// so; "": none. `offset`: in its history; 0: it has none.
absl::StatusOr<HubFrame> EncodePayload(const v1::Payload& payload,
                                       HubCodec codec, const HubForm& form,
                                       const Schema* schema,
                                       absl::string_view group = "",
                                       std::uint64_t offset = 0);

// One payload for clients of all codecs: encodes it for each kind of receiver
// when the first one is found. Kinds are codecs; clients that know of groups
// are a kind for each group. `payload`, `form` and `groups` must outlive it.
class PayloadFrames {
 public:
  using Groups = google::protobuf::RepeatedPtrField<std::string>;

  // `groups`: that it is for; null: none. `offset`: in the history of the one.
  PayloadFrames(const v1::Payload& payload, const HubForm& form,
                const Schema* schema, const Groups* groups = nullptr,
                std::uint64_t offset = 0);

  // From 0. `group`: an index of `groups`; 0 where there are none.
  static std::size_t KindOf(HubCodec codec, std::size_t group = 0);
  static bool IsForHubClients(std::size_t kind) {
    return kind >= static_cast<std::size_t>(HubCodec::kHubJson);
  }
  std::size_t kinds() const { return frames_.size(); }

  const absl::StatusOr<HubFrame>& For(std::size_t kind);
  const absl::StatusOr<HubFrame>& For(HubCodec codec) {
    return For(KindOf(codec));
  }
  // How often it has encoded.
  std::uint64_t encoded() const { return encoded_; }

 private:
  absl::StatusOr<HubFrame> Encode(HubCodec codec, absl::string_view group);

  const v1::Payload& payload_;
  const HubForm& form_;
  const Schema* const schema_;
  const Groups* const groups_;
  const std::uint64_t offset_;
  std::vector<std::optional<absl::StatusOr<HubFrame>>> frames_;
  // For json clients; what others get of it is not converted again.
  std::optional<absl::StatusOr<HubFrame>> json_;
  std::uint64_t encoded_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_ENCODER_H_
