#ifndef GATEWAY_HUB_KNOWN_FIELDS_H_
#define GATEWAY_HUB_KNOWN_FIELDS_H_

#include "absl/status/status.h"
#include "headgate/v1/hub_backend.pb.h"
#include "headgate/v1/hub_client.pb.h"
#include "headgate/v1/hub_service.pb.h"

namespace headgate {

// UNIMPLEMENTED if the command, or what it says of receivers and payload, has a
// field that this gateway does not know: carried out without that field it
// could do something else than was asked for.
absl::Status CheckKnown(const v1::Command& command);

// The same for a client's frame.
absl::Status CheckKnown(const v1::HubClientFrame& frame);

// The same for requests of HubService.
absl::Status CheckKnown(const v1::PublishRequest& request);
absl::Status CheckKnown(const v1::SendRequest& request);
absl::Status CheckKnown(const v1::CloseRequest& request);
absl::Status CheckKnown(const v1::UpdateRequest& request);
absl::Status CheckKnown(const v1::MembershipRequest& request);
absl::Status CheckKnown(const v1::GetSessionRequest& request);
absl::Status CheckKnown(const v1::ListSessionsRequest& request);
absl::Status CheckKnown(const v1::CountSessionsRequest& request);
absl::Status CheckKnown(const v1::GetHistoryRequest& request);
absl::Status CheckKnown(const v1::WatchRequest& request);

}  // namespace headgate

#endif  // GATEWAY_HUB_KNOWN_FIELDS_H_
