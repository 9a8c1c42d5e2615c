#ifndef GATEWAY_HUB_STREAM_ACK_H_
#define GATEWAY_HUB_STREAM_ACK_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/hub/engine.h"

namespace headgate {

// How JetStream answers a publication that it is to store: JSON (ADR-8 of
// nats-architecture-and-design). The epoch is not in it. FAILED_PRECONDITION:
// the subject's last offset is not the one that was expected; UNAVAILABLE: it
// is not stored, or the response is not one.
absl::StatusOr<HubEngine::Stored> ParseStreamAck(absl::string_view json);

}  // namespace headgate

#endif  // GATEWAY_HUB_STREAM_ACK_H_
