#ifndef GATEWAY_SERVER_WORKER_H_
#define GATEWAY_SERVER_WORKER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "gateway/config/settings.h"
#include "gateway/net/connection.h"
#include "gateway/upstream/grpc_upstream.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// What the workers of a server share. Touched when sessions come and go, never
// per message.
struct ServerState {
  std::atomic<int> sessions = 0;
  std::atomic<bool> draining = false;
};

// One thread with one io_context, one channel to the upstream, and the
// connections that were given to it. A connection stays with its worker for
// life, so that everything of a session runs on one thread.
//
// Thread: the public functions are for the thread that owns the server.
class Worker final : private ConnectionHost {
 public:
  // All references must outlive the worker. `index`: 0 for the one that also
  // speaks for the server, such as about the upstream.
  Worker(int index, const Settings& settings, ServerState& state);
  ~Worker();

  // Starts the thread.
  void Start();

  // Where the sockets for Serve must come from.
  boost::asio::io_context& io_context() { return io_context_; }

  // Takes a socket that was accepted on io_context(). `settings` must outlive
  // the worker.
  void Serve(TcpSocket socket, const ConnectionSettings& settings);

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
  std::unique_ptr<Session> OpenSession(SessionRequest request,
                                       Transport& transport) override;
  void SessionEnded(const Session& session) override;
  void HandshakeRefused(const Refusal& refusal,
                        const std::string& peer) override;
  absl::Time now() const override { return absl::Now(); }

  void StartTicking();
  void OnTick();
  // Asks for the schema until it is there; says how it goes.
  void WatchUpstream();
  void OnSchemaFetched(const absl::Status& status, const Schema* schema,
                       const std::vector<std::string>& warnings);
  void ForEachConnection(const std::function<void(Connection&)>& act);
  void CheckIdle();

  const int index_;
  const Settings& settings_;
  ServerState& state_;
  const SessionLimits limits_;
  const absl::Duration tick_;

  boost::asio::io_context io_context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      work_;
  boost::asio::steady_timer timer_;
  absl::BitGen random_;

  GrpcUpstream upstream_;
  std::unique_ptr<SchemaSource> schemas_;
  std::unique_ptr<SchemaSource::Ticket> watch_;
  absl::Time next_watch_ = absl::InfinitePast();
  enum class UpstreamState { kUnknown, kReachable, kUnreachable };
  UpstreamState upstream_state_ = UpstreamState::kUnknown;

  absl::flat_hash_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::function<void()> on_idle_;
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_WORKER_H_
