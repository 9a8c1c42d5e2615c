#ifndef GATEWAY_HUB_AUDIENCE_H_
#define GATEWAY_HUB_AUDIENCE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "gateway/hub/roster.h"
#include "headgate/v1/hub.pb.h"

namespace headgate {

// The sessions that `audience` is for, each once, of those that are kIn.
// INVALID_ARGUMENT for a filter that is not one. The cost is
// proportional to the smallest list that the audience names, such as the
// sessions or the members of the groups.
absl::StatusOr<std::vector<HubRecord*>> FindAudience(
    const v1::Audience& audience, HubRoster& roster);

// Whether a session that is admitted is among them.
bool IsMeant(const v1::Audience& audience, HubRecord& record,
             HubRoster& roster);

// INVALID_ARGUMENT unless it can be that of a publication to a group with
// history: such a group is named alone, for it has one place in one order.
absl::Status CheckStored(const v1::Audience& audience);

}  // namespace headgate

#endif  // GATEWAY_HUB_AUDIENCE_H_
