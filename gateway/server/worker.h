#ifndef GATEWAY_SERVER_WORKER_H_
#define GATEWAY_SERVER_WORKER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "gateway/admin/gateway.h"
#include "gateway/base/clock.h"
#include "gateway/net/connection.h"
#include "gateway/net/place.h"
#include "gateway/server/configuration.h"
#include "gateway/server/connection_census.h"
#include "gateway/server/connections.h"
#include "gateway/server/handshake_gate.h"
#include "gateway/server/hub_thread.h"
#include "gateway/server/session_census.h"
#include "gateway/server/stats_recorder.h"
#include "gateway/server/worker_upstream.h"
#include "gateway/trace/span_queue.h"
#include "gateway/upstream/loop_turn.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

class Worker;

// What the workers of a server share. Touched when sessions and connections
// come and go, never per message.
struct ServerState {
  SessionCensus sessions;
  ConnectionCensus connections;
  // All of them; complete before the first one starts.
  std::vector<Worker*> workers;
  // Null where there is no hub.
  HubThread* hubs = nullptr;
  std::atomic<bool> draining = false;
  std::atomic<bool> overloaded = false;  // By memory.
  std::atomic<bool> short_of_memory = false;
  // Whether any upstream is, as the worker that speaks has found.
  std::atomic<bool> upstream_reachable = false;
  // The number of the connection that comes next.
  std::atomic<std::uint64_t> next_connection = 1;
  CallSeries call_series;
  // Of sampled calls, for the exporter.
  const std::shared_ptr<SpanQueue> spans = std::make_shared<SpanQueue>();
};

// How a server stops.
struct DrainPlan {
  // Sessions are told one after the other over this time,
  absl::Duration spread;
  // and have until then, from now, to begin to close.
  absl::Duration patience;
};

// One thread with one io_context, channels of its own to the upstreams, and the
// connections that were given to it. A connection stays with its worker for
// life, so that everything of a session runs on one thread.
//
// Thread: the public functions are for the thread that owns the server.
class Worker final : private ConnectionHost {
 public:
  // `state` must outlive the worker. `index`: its own, among the workers; the
  // first one says in the log how the upstreams are.
  Worker(std::shared_ptr<const Configuration> configuration, std::size_t index,
         ServerState& state);
  ~Worker();

  // Starts the thread.
  void Start();

  // Where the sockets for Serve must come from.
  boost::asio::io_context& io_context() { return io_context_; }

  // Takes a socket that was accepted on io_context() for the listener of that
  // index, with its place among all connections. Where there are too many, an
  // idle one of any worker is closed, or this one refused.
  void Serve(StreamSocket socket, std::size_t listener,
             std::unique_ptr<Place> place);
  // Closes the connection that has waited longest for a request, if there is
  // one, because the process lacks file descriptors.
  void FreeDescriptor();

  // Goes by `configuration` for every request from now on. Upstreams that are
  // the same in both keep their channels and descriptors.
  void Reload(std::shared_ptr<const Configuration> configuration);

  // Ends all sessions with Close 1001, by and by. `on_idle` is called, on the
  // worker's thread, once there is no connection left.
  void Drain(const DrainPlan& plan, std::function<void()> on_idle);

  // For operators. Callbacks come on the worker's thread, after an event loop
  // iteration for each few hundred connections; none after Stop.
  void GetStats(std::function<void(Stats)> callback);
  void ListSessions(SessionFilter filter, SessionPage page,
                    std::function<void(SessionList)> callback);
  void CloseSession(std::string id, std::function<void(bool found)> callback);

  // Its sessions show `sink` what happens from then on; `done` comes on the
  // worker's thread.
  void AddTap(std::shared_ptr<TapSink> sink, std::function<void(bool)> done);
  void RemoveTap(std::shared_ptr<const TapSink> sink);

  // How often its event loop has looked at the time. Safe for any thread.
  std::uint64_t iterations() const {
    return iterations_.load(std::memory_order_relaxed);
  }

  // The sessions that hold much memory, those that hold most at least, in no
  // order. The callback is as those above.
  struct Holder {
    std::size_t bytes;
    std::weak_ptr<Connection> connection;
  };
  void FindHolders(std::function<void(std::vector<Holder>)> callback);
  // Closes those of this worker because memory is short; see Connection.
  // `done`: what they held is free, as far as it is not part of their endings.
  void CloseForMemory(std::vector<std::weak_ptr<Connection>> connections,
                      absl::Duration patience, std::function<void(bool)> done);

  // Cuts off what is left, waits for the thread.
  void Stop();

 private:
  void Add(std::shared_ptr<Connection> connection,
           std::size_t listener) override;
  void Remove(Connection& connection) override;
  void Wake(Connection& connection) override { connections_.Wake(connection); }
  void SetIdle(Connection& connection, bool idle) override;
  Capacity AdmitConnection(const std::string& client,
                           std::unique_ptr<Place>* place) override;
  std::unique_ptr<Place> ConnectionRefused(std::size_t listener,
                                           const Refusal& refusal,
                                           const std::string& peer) override;
  Capacity Admit(const Route& route, const std::string& client,
                 std::unique_ptr<Place>* place) override;
  Capacity AdmitIdentity(const std::string& identity,
                         std::unique_ptr<Place>* place) override;
  std::string NewSessionId() override;
  std::shared_ptr<const ConnectionSettings> SettingsOf(
      std::size_t listener) override;
  SchemaSource::SnapshotOr GetSchema(
      const std::string& upstream,
      SchemaSource::SnapshotCallback callback) override;
  std::unique_ptr<AdmissionTicket> AskAdmission(
      const SessionRequest& request,
      std::function<void(const absl::Status&)> verdict) override;
  std::unique_ptr<Session> OpenSession(SessionRequest request,
                                       Transport& transport) override;
  void SessionEnded(const Session& session) override;
  void HandshakeRefused(const Refusal& refusal,
                        const std::string& peer) override;
  void ArrivalFailed(std::size_t listener, ArrivalStep step,
                     const std::string& peer, const std::string& why) override;
  bool AdmitHandshake(std::size_t listener,
                      std::weak_ptr<HandshakeWaiter> waiter) override;
  void TlsEstablished(std::size_t listener, const TlsEngine& engine,
                      absl::Duration took) override;
  void Http2Begun(std::size_t listener) override;
  void Http2Failed(std::size_t listener, h2::Flood flood,
                   const std::string& peer, const std::string& why) override;
  void FirstAnswer(const Session& session) override;
  void PingAnswered(absl::Duration round_trip) override;
  Moment clock() const override { return Now(); }
  absl::Time now() const override { return SteadyNow(); }
  bool is_short_of_memory() const override {
    return state_.short_of_memory.load(std::memory_order_relaxed);
  }
  Turn& turn() override { return turn_; }
  absl::Span<char> ReadBuffer() override {
    return absl::MakeSpan(read_buffer_);
  }
  TlsBuffers& tls_buffers() override { return tls_buffers_; }
  std::unique_ptr<Place> TakeConsolePlace() override;
  ConsoleSchemaCache& console_cache() override { return console_cache_; }

  void TakeOn(AcceptedConnection accepted);
  // Has the worker whose idle connection has waited longest, if need be the
  // next one, close it in favour of the connection that waits under `ticket`.
  void MakeRoom(std::uint64_t ticket);
  // Serves or refuses it.
  void EndWaiting(std::uint64_t ticket, bool has_room);
  // Closes the connection that has waited longest for a request; whether there
  // was one. `what`: for the log.
  bool CloseIdle(absl::string_view what);
  void CloseIdleForMemory();
  void PublishIdle();

  // Has `visit` look at all connections, a few hundred in an iteration, in the
  // order of their arrival, as long as it returns true; then calls `done`.
  struct Scan {
    std::function<bool(const Connections::Entry&)> visit;
    std::function<void()> done;
    std::uint64_t after = 0;
  };
  void Continue(std::shared_ptr<Scan> scan);

  // How often: while sessions are told to drain more than else.
  absl::Duration tick() const;
  void StartTicking();
  void OnTick();
  void MakeUpstreams();
  // Absent: calls are not traced.
  std::optional<CallTracing> Tracing();
  // Nothing where sessions are not limited by identity.
  WorkerUpstream::ClientCount CountClients();
  void CheckIdle();
  // Tells those of the connections whose turn has come.
  void DrainSome(absl::Time now);
  DrainOrder MakeDrainOrder(absl::Time now);
  void LookAtUpstreams(absl::Time now);
  // What there is to tell about a listener or upstream, by its name.
  Stats::PerListener& StatsOf(std::size_t listener);

  // A session joins the hub of its route; null: the hub is gone or full.
  std::unique_ptr<HubMember> JoinHub(const SessionRequest& request,
                                     HubMember::Verdict verdict);
  class AskingMember;

  // An upstream, and what sessions get of it.
  struct UpstreamEntry {
    std::shared_ptr<WorkerUpstream> upstream;
    std::shared_ptr<const SessionContext> context;
  };

  std::shared_ptr<const Configuration> configuration_;
  const std::size_t index_;
  const WorkerUpstream::Voice voice_;
  ServerState& state_;
  std::atomic<std::uint64_t> iterations_ = 0;

  boost::asio::io_context io_context_{1};
  LoopTurn turn_{io_context_};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      work_;
  boost::asio::steady_timer timer_;
  absl::BitGen random_;

  const std::shared_ptr<SessionTaps> taps_ = std::make_shared<SessionTaps>();
  absl::flat_hash_map<std::string, UpstreamEntry> upstreams_;  // By name.
  absl::flat_hash_map<std::uint64_t, std::shared_ptr<WorkerHub>> hubs_;
  std::shared_ptr<PinnedFrames> pinned_;  // Null until there is a hub.
  // Admitted members, by session, until their sessions are opened.
  absl::flat_hash_map<std::string, AskingMember*> asking_;
  Connections connections_;
  // Until there is room for them, or none is found.
  struct WaitingForRoom {
    AcceptedConnection accepted;
    std::vector<Worker*> to_ask;  // The last is the next.
  };
  absl::flat_hash_map<std::uint64_t, WaitingForRoom> waiting_for_room_;
  std::uint64_t next_ticket_ = 0;
  // Since when its connection that has waited longest has, Unix nanoseconds,
  // for the other workers.
  static constexpr std::int64_t kNoneIdle =
      std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> idle_since_ = kNoneIdle;
  ConsoleSchemaCache console_cache_;
  int console_responses_ = 0;  // Those that are being sent.
  int refusing_ = 0;  // Connections that wait for their refusal to be read.
  StatsRecorder recorder_;
  std::vector<char> read_buffer_ = std::vector<char>(64 * 1024);
  TlsBuffers tls_buffers_;
  // By listener; those of listeners that limit handshakes.
  absl::flat_hash_map<std::size_t, HandshakeGate> handshake_gates_;

  // While draining.
  struct Draining {
    absl::Time began;
    DrainPlan plan;
    std::vector<std::weak_ptr<Connection>> waiting;  // The last is the next.
    std::size_t in_all;
  };
  std::optional<Draining> draining_;
  std::function<void()> on_idle_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_WORKER_H_
