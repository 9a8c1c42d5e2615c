#ifndef GATEWAY_SERVER_WORKER_H_
#define GATEWAY_SERVER_WORKER_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "gateway/net/connection.h"
#include "gateway/server/configuration.h"
#include "gateway/server/worker_upstream.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// What the workers of a server share. Touched when sessions come and go, never
// per message.
struct ServerState {
  std::atomic<int> sessions = 0;
  std::atomic<bool> draining = false;
};

// One thread with one io_context, channels of its own to the upstreams, and the
// connections that were given to it. A connection stays with its worker for
// life, so that everything of a session runs on one thread.
//
// Thread: the public functions are for the thread that owns the server.
class Worker final : private ConnectionHost {
 public:
  // `state` must outlive the worker. `voice`: whether it is the one that says
  // in the log how the upstreams are.
  Worker(std::shared_ptr<const Configuration> configuration,
         WorkerUpstream::Voice voice, ServerState& state);
  ~Worker();

  // Starts the thread.
  void Start();

  // Where the sockets for Serve must come from.
  boost::asio::io_context& io_context() { return io_context_; }

  // Takes a socket that was accepted on io_context() for the listener of that
  // index.
  void Serve(TcpSocket socket, std::size_t listener);

  // Goes by `configuration` for every request from now on. Upstreams that are
  // the same in both keep their channels and descriptors.
  void Reload(std::shared_ptr<const Configuration> configuration);

  // Ends all sessions with Close 1001. `on_idle` is called, on the worker's
  // thread, once there is no connection left.
  void Drain(std::function<void()> on_idle);

  // Cuts off what is left, waits for the thread.
  void Stop();

 private:
  void Add(std::shared_ptr<Connection> connection) override;
  void Remove(Connection& connection) override;
  Capacity Admit() override;
  void Leave() override;
  std::string NewSessionId() override;
  std::shared_ptr<const ConnectionSettings> SettingsOf(
      std::size_t listener) override;
  std::unique_ptr<SchemaSource::Ticket> FindHttpRules(
      const Route& route, SchemaSource::SnapshotCallback callback) override;
  std::unique_ptr<Session> OpenSession(SessionRequest request,
                                       Transport& transport) override;
  void SessionEnded(const Session& session) override;
  void HandshakeRefused(const Refusal& refusal,
                        const std::string& peer) override;
  absl::Time now() const override { return absl::Now(); }

  void StartTicking();
  void OnTick();
  void MakeUpstreams();
  void ForEachConnection(const std::function<void(Connection&)>& act);
  void CheckIdle();

  // An upstream, and what sessions get of it.
  struct UpstreamEntry {
    std::shared_ptr<WorkerUpstream> upstream;
    std::shared_ptr<const SessionContext> context;
  };

  std::shared_ptr<const Configuration> configuration_;
  const WorkerUpstream::Voice voice_;
  ServerState& state_;

  boost::asio::io_context io_context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      work_;
  boost::asio::steady_timer timer_;
  absl::BitGen random_;

  absl::flat_hash_map<std::string, UpstreamEntry> upstreams_;  // By name.
  absl::flat_hash_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::function<void()> on_idle_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_WORKER_H_
