#ifndef GATEWAY_HUB_REQUESTS_H_
#define GATEWAY_HUB_REQUESTS_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/hub/hub.h"
#include "headgate/v1/hub_engine.pb.h"
#include "headgate/v1/hub_service.pb.h"

namespace headgate {

// The requests of headgate.v1.HubService, carried out on the hubs of this
// process; hub_service.proto says what each does.
//
// A request that names no route is for all hubs, and fails where it fails in
// one of them, after the others have done it.
//
// Pure. Thread: the hub thread.
class HubRequests {
 public:
  // Called for each request, since hubs come and go.
  using Hubs = std::function<std::vector<Hub*>()>;
  explicit HubRequests(Hubs hubs) : hubs_(std::move(hubs)) {}

  // What the request publishes, checked as far as that needs no sessions.
  absl::StatusOr<v1::EnginePublication> PublicationOf(
      const v1::PublishRequest& request) const;
  absl::StatusOr<v1::PublishResponse> Publish(
      const v1::EnginePublication& publication);
  // The same for another gateway's.
  void Deliver(const v1::EnginePublication& publication);
  // See Hub::OnGap.
  void ReportGap(const std::string& group, std::uint64_t after,
                 std::uint64_t before) const {
    for (Hub* hub : hubs_()) hub->OnGap(group, after, before);
  }
  // See Hub::EndReplaced.
  bool EndReplaced(const std::string& session) const {
    for (Hub* hub : hubs_()) {
      if (hub->EndReplaced(session)) return true;
    }
    return false;
  }
  // Calls `done` once, after `wait_sent` at the latest.
  void Send(const v1::SendRequest& request,
            std::function<void(const absl::StatusOr<v1::SendResponse>&)> done);
  absl::StatusOr<v1::CloseResponse> Close(const v1::CloseRequest& request);
  absl::StatusOr<v1::UpdateResponse> Update(const v1::UpdateRequest& request);
  absl::StatusOr<v1::MembershipResponse> Join(
      const v1::MembershipRequest& request);
  absl::StatusOr<v1::MembershipResponse> Leave(
      const v1::MembershipRequest& request);
  absl::StatusOr<v1::SessionInfo> GetSession(
      const v1::GetSessionRequest& request);
  absl::StatusOr<v1::ListSessionsResponse> ListSessions(
      const v1::ListSessionsRequest& request);
  absl::StatusOr<v1::CountSessionsResponse> CountSessions(
      const v1::CountSessionsRequest& request);
  // How many sessions a page has at most.
  static std::size_t PageSizeOf(const v1::ListSessionsRequest& request);

 private:
  absl::StatusOr<v1::SendResponse> SendNow(const v1::SendRequest& request);
  // `verb`: what `change` does, for an error.
  absl::StatusOr<v1::MembershipResponse> ChangeMembership(
      const v1::MembershipRequest& request, absl::string_view verb,
      HubOutcome (Hub::*change)(const v1::Audience&,
                                const std::vector<std::string>&));
  // The hubs of the route; NOT_FOUND: it has none. "": all.
  absl::StatusOr<std::vector<Hub*>> HubsOf(const std::string& route) const;
  // Calls `act` for each of them, and adds up the sessions.
  template <typename Act>
  absl::StatusOr<std::size_t> ForEach(const std::string& route, Act act) const;

  Hubs hubs_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_REQUESTS_H_
