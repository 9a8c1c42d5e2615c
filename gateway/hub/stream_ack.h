#ifndef GATEWAY_HUB_STREAM_ACK_H_
#define GATEWAY_HUB_STREAM_ACK_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/hub/engine.h"

namespace headgate {

// Parses JetStream's response to a publication that it is to store (JSON; ADR-8
// of nats-architecture-and-design). The result has no epoch.
// FAILED_PRECONDITION: the subject's last offset is not the expected one.
// UNAVAILABLE: the publication is not stored, or `json` is not such a response.
//
// Pure; safe for any thread.
absl::StatusOr<HubEngine::Stored> ParseStreamAck(absl::string_view json);

}  // namespace headgate

#endif  // GATEWAY_HUB_STREAM_ACK_H_
