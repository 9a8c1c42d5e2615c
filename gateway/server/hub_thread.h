#ifndef GATEWAY_SERVER_HUB_THREAD_H_
#define GATEWAY_SERVER_HUB_THREAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "gateway/admin/gateway.h"
#include "gateway/admin/stats.h"
#include "gateway/api/hub_api.h"
#include "gateway/base/lanes.h"
#include "gateway/base/turn.h"
#include "gateway/config/settings.h"
#include "gateway/hub/cluster_requests.h"
#include "gateway/hub/engine.h"
#include "gateway/hub/hub.h"
#include "gateway/hub/port.h"
#include "gateway/hub/presence.h"
#include "gateway/server/hub_engine.h"
#include "gateway/server/resume_key_files.h"
#include "gateway/server/shared_upstream.h"
#include "gateway/upstream/loop_turn.h"

namespace headgate {

class HubThread;

// What a hub is made of; of routes that are the same in it, a reload keeps the
// hub.
struct HubSpec {
  std::string route;  // Its name.
  HubTarget target;
  HubForm form;
  UpstreamSettings upstream;
  // Of the process.
  std::size_t max_answer_bytes = 0;
  std::size_t read_ahead_bytes = 0;
  // The upstream's descriptors, for `target.message`.
  std::shared_ptr<SharedUpstream> shared;

  bool IsSameHub(const HubSpec& other) const;
};

// A hub as one worker has it: the port, and the way to the hub's thread.
//
// Thread: its worker's. Lifetime: shared by the worker, its members, the hub
// and the batches that are under way to it.
class WorkerHub final : public TurnTask,
                        public std::enable_shared_from_this<WorkerHub> {
 public:
  // `hubs`, `io_context` and `turn` must outlive it. `pinned`: the worker's.
  WorkerHub(std::uint64_t id, const HubSpec& spec, std::size_t worker,
            std::size_t workers, HubThread& hubs,
            boost::asio::io_context& io_context, Turn& turn,
            std::shared_ptr<PinnedFrames> pinned);

  std::unique_ptr<HubMember> Join(HubArrival arrival,
                                  HubMember::Verdict verdict);
  std::size_t worker() const { return worker_; }

  // Safe for any thread: a batch of the hub's.
  void Post(HubCommands commands);

 private:
  void OnTurn() override;
  // Carries commands out, a slice in each event loop iteration.
  void ApplySlices();

  const std::uint64_t id_;
  const std::size_t worker_;
  HubThread& hubs_;
  boost::asio::io_context& io_context_;
  Turn& turn_;
  SlicedQueue slices_;
  HubPort port_;
  bool is_applying_ = false;  // Another ApplySlices is posted.
};

// The thread that runs all hubs of a server, each with connections of its own
// to its upstream.
//
// Thread: the public functions may be called from any, Start and Stop from the
// server's. Lifetime: longer than the workers' use of it; Stop comes before the
// workers' event loops are destroyed.
class HubThread final : public HubApiHost, private PresenceHost {
 public:
  explicit HubThread(std::size_t workers, const HubSettings& settings = {});
  ~HubThread();
  // Starts the thread unless it runs.
  void Start();

  // The thread starts with the first hub.
  void Add(std::uint64_t id, HubSpec spec);
  // No session will join it any more; it ends when the last has gone.
  void Retire(std::uint64_t id);
  void Deliver(std::uint64_t id, std::shared_ptr<WorkerHub> worker,
               HubEvents events);
  // Tells the backends; the workers close the sessions.
  void Drain(absl::Time deadline);
  // Has the last events leave first, for a moment.
  void Stop();

  // The API is served: its methods, whose names stay, are among the counts.
  void ServeApi(absl::Span<const absl::string_view> methods);
  // Requests of the API, by method and code.
  using ApiCounts =
      std::map<std::pair<absl::string_view, absl::StatusCode>, std::uint64_t>;
  ApiCounts api_counts() const;

  void RunOnHubs(std::size_t bytes, Work work) override;
  // The same for another gateway, in turn with those of the API; see
  // NatsEngine::Run. Thread: the hub thread, or any before Start.
  bool RunForEngine(std::size_t bytes,
                    std::function<void(ClusterRequests&)> work);
  void OnApiRequest(absl::string_view method,
                    const absl::Status& status) override;

  // Absent: this gateway is alone. Safe for any thread.
  std::optional<Stats::PerEngine> GetEngineStats() const;
  // By the route's name. Safe for any thread.
  absl::btree_map<std::string, Stats::PerHub> GetStats() const;

  // For operators; `done` is called on the hub thread, or never when it stops.
  void List(std::function<void(std::vector<HubInfo>)> done);
  void ListGroups(HubGroupPage page, std::function<void(HubGroupList)> done);

 private:
  class HostedHub;

  void Finish(absl::Time deadline);
  void End();

  void StartTicking();
  void OnTick();
  void PublishStats();
  void Post(std::function<void()> task);

  // Runs the requests that wait, while the hubs have room.
  void RunRequests();
  // The same after the event loop has looked at sockets. One at a time: it
  // looks once for all tasks that are posted, and each would have a slice of
  // its own.
  void RunRequestsSoon();

  struct Request {
    std::size_t bytes;
    std::atomic<std::size_t>* waiting;  // What it counts among.
    std::function<void(ClusterRequests&)> work;
  };
  HubEngine& Engine();

  std::size_t MembersOf(const std::string& group) override;
  void AnnounceWatched(const std::vector<std::string>& groups) override {
    Engine().AnnounceWatched(groups);
  }
  bool Tell(const std::string& instance,
            const v1::EngineMemberships& memberships) override {
    return Engine().Tell(instance, memberships);
  }
  PresenceHost& Host() { return *this; }

  const std::size_t workers_;
  const std::string instance_;  // Unique, for its hubs' incarnations.
  const std::string name_;      // What backends know the process by.
  const GroupPatterns patterns_;
  boost::asio::io_context io_context_{1};
  LoopTurn turn_{io_context_};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      work_;
  boost::asio::steady_timer timer_;
  Presence presence_{Host()};
  MemoryEngine alone_;
  std::unique_ptr<NatsEngine> nats_;  // Null: `alone_` is the engine.
  ClusterRequests service_;
  std::optional<ResumeKeyFiles> resume_keys_;  // Absent: there are no tokens.
  absl::Duration resume_ttl_;
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<HostedHub>> hubs_;
  // What hubs that are over have counted, for routes that still have one.
  absl::btree_map<std::string, Stats::PerHub> ended_;
  // Lanes of `requests_`: neither keeps the other waiting.
  static constexpr std::size_t kApiLane = 0;
  static constexpr std::size_t kEngineLane = 1;
  Lanes<Request, 2> requests_;
  bool is_running_requests_ = false;  // RunRequestsSoon is due.
  // Of those that wait here or on the way here.
  std::atomic<std::size_t> request_bytes_ = 0;
  std::atomic<std::size_t> engine_bytes_ = 0;
  bool stopping_ = false;
  // The standard's, for ThreadSanitizer sees its locks and not those in the
  // distribution's abseil.
  mutable std::mutex counts_mutex_;
  ApiCounts api_counts_;                               // Under counts_mutex_.
  absl::btree_map<std::string, Stats::PerHub> stats_;  // Under counts_mutex_.
  std::optional<Stats::PerEngine> engine_stats_;       // Under counts_mutex_.
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_HUB_THREAD_H_
