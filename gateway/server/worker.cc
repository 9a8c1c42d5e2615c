#include "gateway/server/worker.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/log.h"
#include "gateway/net/peer_address.h"

namespace headgate {
namespace {

constexpr absl::string_view kIdleGivesWay =
    "an idle connection is closed to make room for another";
// In a tick, while memory is short.
constexpr int kMostIdleClosed = 256;

}  // namespace

Worker::Worker(std::shared_ptr<const Configuration> configuration,
               std::size_t index, ServerState& state)
    : configuration_(std::move(configuration)),
      index_(index),
      voice_(index == 0 ? WorkerUpstream::Voice::kSpeaks
                        : WorkerUpstream::Voice::kSilent),
      state_(state),
      work_(io_context_.get_executor()),
      timer_(io_context_),
      recorder_(index, state.call_series) {
  MakeUpstreams();
}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  boost::asio::post(io_context_, [this] { StartTicking(); });
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), absl::StrCat("worker-", index_).c_str());
    io_context_.run();
  });
}

void Worker::Serve(StreamSocket socket, std::size_t listener,
                   std::unique_ptr<Place> place) {
  AcceptedConnection accepted{std::move(socket), listener, "", std::move(place),
                              nullptr};
  boost::asio::post(io_context_,
                    [this, accepted = std::move(accepted)]() mutable {
                      if (stopping_) return;
                      ++StatsOf(accepted.listener).accepted;
                      TakeOn(std::move(accepted));
                    });
}

void Worker::TakeOn(AcceptedConnection accepted) {
  std::optional<std::string> address = PeerAddress(accepted.socket);
  if (!address) return;  // Gone before it was served.
  accepted.address = *std::move(address);
  const std::shared_ptr<const ConnectionSettings> settings =
      SettingsOf(accepted.listener);
  // First, so that an address with too many does not take the room of others.
  if (!settings->proxy_protocol) {
    const Capacity capacity = AdmitConnection(
        CountedAddress(accepted.address, settings->policy.trusted_proxies),
        &accepted.address_place);
    if (capacity != Capacity::kFree) {
      return RefuseConnection(std::move(accepted), capacity, *this);
    }
  }
  if (state_.connections.open() <= configuration_->connections.most) {
    return ServeConnection(std::move(accepted), *this);
  }
  WaitingForRoom waiting = {std::move(accepted), {}};
  std::vector<std::pair<std::int64_t, Worker*>> idle;
  for (Worker* worker : state_.workers) {
    const std::int64_t since = worker->idle_since_;
    if (since != kNoneIdle) idle.emplace_back(since, worker);
  }
  std::sort(idle.rbegin(), idle.rend());
  for (const auto& [since, worker] : idle) waiting.to_ask.push_back(worker);
  const std::uint64_t ticket = next_ticket_++;
  waiting_for_room_.emplace(ticket, std::move(waiting));
  MakeRoom(ticket);
}

void Worker::MakeRoom(std::uint64_t ticket) {
  std::vector<Worker*>& to_ask = waiting_for_room_.at(ticket).to_ask;
  while (!to_ask.empty()) {
    Worker& worker = *to_ask.back();
    to_ask.pop_back();
    if (&worker != this) {
      boost::asio::post(worker.io_context_, [this, &worker, ticket] {
        const bool made = !worker.stopping_ && worker.CloseIdle(kIdleGivesWay);
        boost::asio::post(io_context_, [this, ticket, made] {
          if (stopping_) return;
          made ? EndWaiting(ticket, true) : MakeRoom(ticket);
        });
      });
      return;
    }
    if (CloseIdle(kIdleGivesWay)) return EndWaiting(ticket, true);
  }
  EndWaiting(ticket, false);
}

void Worker::EndWaiting(std::uint64_t ticket, bool has_room) {
  const auto waiting = waiting_for_room_.find(ticket);
  AcceptedConnection accepted = std::move(waiting->second.accepted);
  waiting_for_room_.erase(waiting);
  if (has_room) return ServeConnection(std::move(accepted), *this);
  RefuseConnection(std::move(accepted), Capacity::kFull, *this);
}

bool Worker::CloseIdle(absl::string_view what) {
  const std::shared_ptr<Connection> idle = connections_.FindIdle(now());
  if (idle == nullptr) return false;
  ++recorder_.stats().idle_connections_closed;
  LogRepeated(LogLevel::kWarning, what,
              {{"connections", absl::StrCat(state_.connections.open())}});
  idle->Abort();
  return true;
}

void Worker::CloseIdleForMemory() {
  for (int left = kMostIdleClosed; left > 0; --left) {
    if (!CloseIdle("memory is short, idle connections are closed")) return;
  }
}

void Worker::SetIdle(Connection& connection, bool idle) {
  connections_.SetIdle(connection, idle, now());
  PublishIdle();
}

void Worker::PublishIdle() {
  const absl::Time since = connections_.idle_since();
  idle_since_.store(
      since == absl::InfiniteFuture() ? kNoneIdle : absl::ToUnixNanos(since),
      std::memory_order_relaxed);
}

void Worker::FreeDescriptor() {
  boost::asio::post(io_context_, [this] {
    if (!stopping_) CloseIdle(kIdleGivesWay);
  });
}

void Worker::Reload(std::shared_ptr<const Configuration> configuration) {
  boost::asio::post(io_context_,
                    [this, configuration = std::move(configuration)]() mutable {
                      if (stopping_) return;
                      configuration_ = std::move(configuration);
                      MakeUpstreams();
                      absl::erase_if(hubs_, [this](const auto& hub) {
                        return !configuration_->hubs.contains(hub.first);
                      });
                    });
}

void Worker::MakeUpstreams() {
  const Settings& settings = configuration_->settings;
  absl::flat_hash_map<std::string, UpstreamEntry> upstreams;
  for (std::size_t i = 0; i < settings.upstreams.size(); ++i) {
    const UpstreamSettings& wanted = settings.upstreams[i];
    const std::shared_ptr<SharedUpstream>& shared =
        configuration_->upstreams[i];
    const auto known = upstreams_.find(wanted.name);
    std::shared_ptr<WorkerUpstream> upstream =
        known != upstreams_.end() &&
                known->second.upstream->IsMadeOf(wanted, settings)
            ? known->second.upstream
            : std::make_shared<WorkerUpstream>(
                  wanted, settings,
                  configuration_->connections.upstream_connections, shared,
                  voice_, io_context_, turn_);
    auto context = upstream->MakeContext(
        configuration_->limits,
        [this, name = wanted.name, shared](absl::string_view method,
                                           absl::StatusCode code,
                                           absl::Duration duration) {
          recorder_.OnCallEnded(name, method, code, duration);
          shared->OnCallEnded(code);
        },
        taps_, Tracing(), CountClients());
    upstreams.emplace(wanted.name,
                      UpstreamEntry{std::move(upstream), std::move(context)});
  }
  upstreams_ = std::move(upstreams);
}

std::optional<CallTracing> Worker::Tracing() {
  const std::optional<TracingSettings>& tracing =
      configuration_->settings.tracing;
  if (!tracing) return std::nullopt;
  return CallTracing{tracing->sample_ratio, state_.spans, Now, absl::BitGen()};
}

WorkerUpstream::ClientCount Worker::CountClients() {
  const LimitSettings& limits = configuration_->settings.limits;
  if (limits.max_sessions_per_identity <= 0) return {};
  return {limits.identity_claim,
          [this, most = limits.max_sessions_per_identity](
              const std::string& identity) -> std::shared_ptr<void> {
            std::unique_ptr<Place> place;
            if (state_.sessions.AdmitIdentity(identity, most, &place) !=
                Capacity::kFree) {
              ++recorder_.stats().limits["max_sessions_per_identity"];
              return nullptr;
            }
            return place;
          }};
}

void Worker::Drain(const DrainPlan& plan, std::function<void()> on_idle) {
  boost::asio::post(io_context_, [this, plan, on_idle = std::move(on_idle)] {
    if (stopping_) return;
    const absl::Time time = now();
    on_idle_ = on_idle;
    draining_.emplace(Draining{time, plan, {}, 0});
    connections_.ForEach([this](const Connections::Entry& entry) {
      draining_->waiting.push_back(entry.connection);
    });
    // Those without a session have no reason to wait.
    std::shuffle(draining_->waiting.begin(), draining_->waiting.end(), random_);
    std::stable_partition(draining_->waiting.begin(), draining_->waiting.end(),
                          [](const std::weak_ptr<Connection>& connection) {
                            return connection.lock()->session() != nullptr;
                          });
    draining_->in_all = static_cast<std::size_t>(
        std::count_if(draining_->waiting.begin(), draining_->waiting.end(),
                      [](const std::weak_ptr<Connection>& connection) {
                        return connection.lock()->session() != nullptr;
                      }));
    DrainSome(time);
    CheckIdle();
    timer_.cancel();
    StartTicking();
  });
}

DrainOrder Worker::MakeDrainOrder(absl::Time now) {
  // Another replica takes clients at once; one that comes back needs a moment.
  const int seconds = absl::Uniform(absl::IntervalClosed, random_, 1, 5);
  return DrainOrder{
      now, draining_->began + draining_->plan.patience,
      absl::StrCat("the gateway is shutting down; retry-after=", seconds, "s")};
}

void Worker::DrainSome(absl::Time now) {
  Draining& draining = *draining_;
  const double elapsed = absl::ToDoubleSeconds(now - draining.began);
  const double spread = absl::ToDoubleSeconds(draining.plan.spread);
  const double share = spread > 0 ? std::min(1.0, elapsed / spread) : 1;
  // Of n sessions the first is told at once, the last when the time is up.
  const std::size_t told =
      draining.in_all == 0
          ? 0
          : 1 + static_cast<std::size_t>(
                    share * static_cast<double>(draining.in_all - 1));
  const std::size_t left = draining.in_all - told;
  while (draining.waiting.size() > left) {
    const std::shared_ptr<Connection> connection =
        draining.waiting.back().lock();
    draining.waiting.pop_back();
    if (connection != nullptr) connection->Drain(MakeDrainOrder(now));
  }
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(io_context_, [this] {
    stopping_ = true;
    on_idle_ = nullptr;
    draining_.reset();
    std::vector<std::shared_ptr<Connection>> left;
    connections_.ForEach([&left](const Connections::Entry& entry) {
      left.push_back(entry.connection);
    });
    for (const auto& connection : left) connection->Abort();
    waiting_for_room_.clear();
    timer_.cancel();
    upstreams_.clear();  // Cancels fetches.
    work_.reset();       // run() returns when gRPC has let go of every call.
  });
  thread_.join();
}

void Worker::Add(std::shared_ptr<Connection> connection, std::size_t listener) {
  connections_.Add(connection, listener, state_.next_connection++);
  // What comes in while sessions are told, a socket that was accepted before or
  // a request that has become a session, is told with the next of them.
  if (draining_) draining_->waiting.push_back(connection);
}

void Worker::Remove(Connection& connection) {
  connections_.Remove(connection);
  PublishIdle();
  CheckIdle();
}

void Worker::CheckIdle() {
  if (on_idle_ == nullptr || !connections_.empty()) return;
  std::exchange(on_idle_, nullptr)();
}

absl::Duration Worker::tick() const {
  return draining_ ? std::min(configuration_->tick, absl::Milliseconds(20))
                   : configuration_->tick;
}

void Worker::StartTicking() {
  timer_.expires_after(absl::ToChronoNanoseconds(tick()));
  timer_.async_wait([this](boost::system::error_code error) {
    if (error || stopping_) return;
    iterations_.fetch_add(1, std::memory_order_relaxed);
    recorder_.OnLag(
        absl::FromChrono(std::chrono::steady_clock::now() - timer_.expiry()));
    OnTick();
    StartTicking();
    turn_.Run();
  });
}

void Worker::OnTick() {
  const absl::Time time = now();
  LookAtUpstreams(time);
  if (draining_) DrainSome(time);
  if (state_.overloaded) CloseIdleForMemory();
  for (auto& [listener, gate] : handshake_gates_) gate.OnTick(time);
  const double ticks = absl::FDivDuration(configuration_->rest, tick());
  connections_.OnTick(time, static_cast<std::size_t>(std::max(1.0, ticks)));
}

void Worker::LookAtUpstreams(absl::Time now) {
  bool reachable = false;
  for (const auto& [name, entry] : upstreams_) {
    entry.upstream->OnTick(now);
    reachable |= entry.upstream->reachable().value_or(false);
  }
  if (voice_ == WorkerUpstream::Voice::kSpeaks) {
    state_.upstream_reachable = reachable;
  }
}

}  // namespace headgate
