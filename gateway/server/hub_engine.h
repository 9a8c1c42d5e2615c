#ifndef GATEWAY_SERVER_HUB_ENGINE_H_
#define GATEWAY_SERVER_HUB_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/admin/stats.h"
#include "gateway/config/settings.h"
#include "gateway/hub/cluster.h"
#include "gateway/hub/cluster_requests.h"
#include "gateway/nats/nats_link.h"

namespace headgate {

// The engine `nats`: a cluster on a connection to NATS, and what the log and
// the metrics say of it.
//
// Thread: the hub thread. Lifetime: longer than the hubs that it is the engine
// of.
class NatsEngine final : private NatsObserver, private ClusterHost {
 public:
  // Has `work` run when the hubs have room for what it sends; false: too much
  // waits already.
  using Run = std::function<bool(std::size_t bytes,
                                 std::function<void(ClusterRequests&)> work)>;

  // `name` and `instance`: see Cluster::Options. `post`: see NatsLink.
  // `presence` must outlive it.
  // Requires: `settings.nats` is set.
  NatsEngine(const HubSettings& settings, const std::string& name,
             const std::string& instance, NatsLink::Post post, Run run,
             Presence& presence);
  ~NatsEngine();

  HubEngine& engine() { return cluster_; }
  void OnTick(absl::Time now);
  Stats::PerEngine GetStats() const;

 private:
  void OnUp(const std::string& server, HistoryStore store) override;
  void OnDown(const absl::Status& status) override;
  void OnRecord(absl::string_view bytes) override;
  void OnStored(const std::string& subject, StoredRecord record) override;
  void OnLost() override { cluster_.OnLost(); }
  void OnNobodyThere(absl::string_view subject) override;
  void OnPublished(absl::Duration took) override;

  void Deliver(v1::EnginePublication publication) override;
  void Deliver(const SharedPublication& publication) override;
  bool RunInOrder(std::function<void()> work) override;
  void Carry(v1::EngineQuestion question, ReplyCallback done) override;
  void OnReplica(const std::string& gateway, bool is_there) override;
  void OnSameName(const std::string& gateway) override;
  void OnGap(const std::string& group, std::uint64_t after,
             std::uint64_t before) override;
  void OnWatched(const std::string& instance, std::uint64_t generation,
                 const std::vector<std::string>& groups) override {
    presence_.OnWatched(instance, generation, groups);
  }
  void OnMemberships(const std::string& instance,
                     const v1::EngineMemberships& memberships) override {
    presence_.OnMemberships(instance, memberships);
  }
  void OnCame(const std::string& instance) override {
    presence_.OnCame(instance);
  }
  void OnGone(const std::string& instance) override {
    presence_.OnGone(instance);
  }
  void OnMembershipsLost() override { presence_.OnLost(); }
  void OnCutOff() override { presence_.OnCutOff(); }
  void OnDropped();
  // Tells clients of the gaps that they do not know of.
  void ReportGaps();

  ClusterHost& Host() { return *this; }
  NatsObserver& Observer() { return *this; }

  const Run run_;
  Presence& presence_;
  std::uint64_t ups_ = 0;
  std::uint64_t dropped_ = 0;  // Here.
  std::uint64_t gaps_ = 0;
  // By group, since too much waits: between which offsets.
  absl::btree_map<std::string, std::pair<std::uint64_t, std::uint64_t>>
      unreported_gaps_;
  std::uint64_t seen_dropped_ = 0;  // Of the link's.
  bool is_reported_down_ = false;
  Histogram publish_;
  NatsLink link_;
  Cluster cluster_;  // Last: it says good-bye on the link.
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_HUB_ENGINE_H_
