#ifndef GATEWAY_HUB_CLUSTER_REQUESTS_H_
#define GATEWAY_HUB_CLUSTER_REQUESTS_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "gateway/hub/engine.h"
#include "gateway/hub/presence.h"
#include "gateway/hub/requests.h"

namespace headgate {

// The requests of headgate.v1.HubService, carried out on the hubs of all
// gateways that share them; hub_service.proto says what each does.
//
// Pure. Thread: the hub thread, on which each `done` is called once. Requests
// need not outlive the call; the engine must outlive what waits for it.
class ClusterRequests {
 public:
  template <typename Response>
  using Done = std::function<void(const absl::StatusOr<Response>&)>;

  // `local`: those of this process.
  ClusterRequests(HubRequests local, HubEngine& engine, Presence& presence)
      : local_(local), engine_(engine), presence_(presence) {}

  void Publish(const v1::PublishRequest& request,
               Done<v1::PublishResponse> done);
  void Send(const v1::SendRequest& request, Done<v1::SendResponse> done);
  void Close(const v1::CloseRequest& request, Done<v1::CloseResponse> done);
  void Update(const v1::UpdateRequest& request, Done<v1::UpdateResponse> done);
  void Join(const v1::MembershipRequest& request,
            Done<v1::MembershipResponse> done);
  void Leave(const v1::MembershipRequest& request,
             Done<v1::MembershipResponse> done);
  void GetSession(const v1::GetSessionRequest& request,
                  Done<v1::SessionInfo> done);
  void ListSessions(const v1::ListSessionsRequest& request,
                    Done<v1::ListSessionsResponse> done);
  void CountSessions(const v1::CountSessionsRequest& request,
                     Done<v1::CountSessionsResponse> done);
  void GetHistory(const v1::GetHistoryRequest& request,
                  Done<v1::GetHistoryResponse> done);
  // OK: `watcher` is told until it is over.
  absl::Status Watch(const v1::WatchRequest& request,
                     std::shared_ptr<PresenceWatcher> watcher);

  // Ends a session that was resumed, here or on another gateway. Those of other
  // gateways together, in one question at a time.
  void EndResumed(const std::string& session);

  // What another gateway asks this one to do alone.
  void Carry(const v1::EngineQuestion& question,
             std::function<void(v1::EngineReply)> done);
  // Another gateway's publication.
  void Deliver(const v1::EnginePublication& publication) {
    local_.Deliver(publication);
  }
  // To the clients of this gateway: see Hub::OnGap.
  void ReportGap(const std::string& group, std::uint64_t after,
                 std::uint64_t before) {
    local_.ReportGap(group, after, before);
  }

 private:
  // For a group with history.
  void Store(const v1::PublishRequest& request,
             const v1::EnginePublication& publication,
             Done<v1::PublishResponse> done);

  void AskToEndResumed();

  HubRequests local_;
  HubEngine& engine_;
  Presence& presence_;
  v1::EndResumed resumed_;  // To be asked for.
  bool asks_to_end_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_CLUSTER_REQUESTS_H_
