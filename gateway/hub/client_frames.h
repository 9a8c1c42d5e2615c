#ifndef GATEWAY_HUB_CLIENT_FRAMES_H_
#define GATEWAY_HUB_CLIENT_FRAMES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/codec/wire_message.h"
#include "gateway/hub/batch.h"
#include "gateway/schema/schema.h"
#include "headgate/v1/hub_client.pb.h"

namespace headgate {

// The frames of clients whose codec is one of hubs (IsHubClient), between bytes
// and headgate/v1/hub_client.proto. Pure; safe for any thread.

// A client's frame in protobuf. INVALID_ARGUMENT: `bytes` are not one, or it
// carries a packet with packets in it. UNIMPLEMENTED: it has unknown fields.
absl::StatusOr<v1::HubClientFrame> ParseClientFrame(absl::string_view bytes);

// Whether a frame in protobuf, the client's or the gateway's, may have a token
// in it, such as HubClientFrame.token: those are credentials.
bool MayHoldCredential(absl::string_view frame, bool is_from_client);

// A client's frame in JSON.
struct JsonClientFrame {
  v1::HubClientFrame frame;  // Without its payload.
  // The payload, a part of the parsed text; empty: there is none.
  absl::string_view payload;
};
// Fails as Schema::JsonToProto does; `error` says where.
// Requires: `json` is one well-formed JSON value.
absl::StatusOr<JsonClientFrame> ParseJsonClientFrame(absl::string_view json,
                                                     const JsonOptions& options,
                                                     JsonError& error);

// The message that carries `frame`. Requires: IsHubClient(codec).
WireMessage EncodeServerFrame(const v1::HubServerFrame& frame, HubCodec codec);

// A Delivery of a payload that is not in `frame`: `payload` is its JSON, or the
// serialized headgate.v1.Payload. `offset`: in the group's history; 0: none.
// The same for all who get it.
WireMessage EncodeDelivery(absl::string_view payload, absl::string_view group,
                           std::uint64_t offset, HubCodec codec);

// `expires_in`: of the session; infinite: it does not expire.
v1::HubServerFrame WelcomeFrame(const std::string& session,
                                absl::Duration expires_in);
v1::HubServerFrame ExpiryFrame(absl::Duration expires_in);
v1::HubServerFrame EndFrame(const absl::Status& status);
// The response to the client's frame `id`, which failed with `status`, or was
// carried out.
v1::HubServerFrame FailureFrame(std::uint32_t id, const absl::Status& status);
v1::HubServerFrame OkFrame(std::uint32_t id);

}  // namespace headgate

#endif  // GATEWAY_HUB_CLIENT_FRAMES_H_
