#include "gateway/server/worker.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gateway/base/log.h"
#include "gateway/http/header_rules.h"
#include "gateway/net/peer_address.h"
#include "gateway/session/hub_session.h"

namespace headgate {
namespace {

// Connections of one worker that may wait for their refusal to be read.
constexpr int kMostRefusing = 16;

// At a time, of one worker.
constexpr std::ptrdiff_t kMostHolders = 10'000;

// The label of headgate_http2_connections_failed_total.
absl::string_view ReasonOf(h2::Flood flood) {
  switch (flood) {
    case h2::Flood::kNone:
      break;
    case h2::Flood::kResets:
      return "resets";
    case h2::Flood::kPings:
      return "pings";
    case h2::Flood::kSettings:
      return "settings";
    case h2::Flood::kEmptyData:
      return "empty_data";
    case h2::Flood::kBytes:
      return "bytes";
  }
  return "protocol";
}

// Responses with a schema, some MiB each, that one worker sends at a time: a
// slow client keeps its copy for as long as it likes.
constexpr int kMostConsoleResponses = 4;
constexpr absl::string_view kIdleGivesWay =
    "an idle connection is closed to make room for another";
// In a tick, while memory is short.
constexpr int kMostIdleClosed = 256;

class CountedPlace final : public Place {
 public:
  explicit CountedPlace(int& count) : count_(count) { ++count_; }
  ~CountedPlace() override { --count_; }

 private:
  int& count_;
};

// By what asks for sessions: some ten microseconds.
constexpr std::size_t kScannedPerIteration = 256;

// Keeps the upstream, which a reload may take away, until it has answered.
class KeepingTicket final : public SchemaSource::Ticket {
 public:
  KeepingTicket(std::unique_ptr<Ticket> ticket,
                std::shared_ptr<WorkerUpstream> upstream,
                boost::asio::io_context& io_context)
      : upstream_(std::move(upstream)),
        io_context_(io_context),
        ticket_(std::move(ticket)) {}
  ~KeepingTicket() override {
    // It may be what is calling.
    boost::asio::post(io_context_, [upstream = std::move(upstream_)] {});
  }

 private:
  std::shared_ptr<WorkerUpstream> upstream_;
  boost::asio::io_context& io_context_;
  const std::unique_ptr<Ticket> ticket_;
};

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

Capacity Worker::AdmitConnection(const std::string& client,
                                 std::unique_ptr<Place>* place) {
  return state_.connections.AdmitAddress(
      client, configuration_->settings.limits.connections_per_address(), place);
}

std::unique_ptr<Place> Worker::ConnectionRefused(std::size_t listener,
                                                 const Refusal& refusal,
                                                 const std::string& peer) {
  const ConnectionLimit& limit = configuration_->connections;
  RefusalReason reason = refusal.reason;
  if (reason == RefusalReason::kMaxConnections && limit.by_descriptors) {
    reason = RefusalReason::kFileDescriptors;
  }
  const std::string label(KindOf(reason).label);
  ++recorder_.stats().connections_refused[label];
  LogRepeated(
      LogLevel::kInfo, "connection refused",
      {{"peer", peer},
       {"listener", configuration_->settings.listeners[listener].address},
       {"reason", label}});
  const bool is_short =
      state_.connections.open() > limit.most + limit.overflow / 2;
  if (is_short || refusing_ >= kMostRefusing) return nullptr;
  return std::make_unique<CountedPlace>(refusing_);
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
        taps_, Tracing());
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

void Worker::AddTap(std::shared_ptr<TapSink> sink,
                    std::function<void(bool)> done) {
  boost::asio::post(io_context_,
                    [this, sink = std::move(sink), done = std::move(done)] {
                      taps_->Add(sink);
                      done(true);
                    });
}

void Worker::RemoveTap(std::shared_ptr<const TapSink> sink) {
  boost::asio::post(io_context_, [this, sink = std::move(sink)] {
    taps_->Remove(sink.get());
  });
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

Capacity Worker::Admit(const Route& route, const std::string& client,
                       std::unique_ptr<Place>* place) {
  if (state_.draining) return Capacity::kDraining;
  if (state_.overloaded) return Capacity::kOverloaded;
  const LimitSettings& limits = configuration_->settings.limits;
  return state_.sessions.Admit(
      client, RouteName(route),
      {limits.max_sessions, limits.max_sessions_per_address,
       route.max_sessions},
      place);
}

Capacity Worker::AdmitIdentity(const std::string& identity,
                               std::unique_ptr<Place>* place) {
  return state_.sessions.AdmitIdentity(
      identity, configuration_->settings.limits.max_sessions_per_identity,
      place);
}

std::string Worker::NewSessionId() {
  return absl::StrFormat("%016x%016x", absl::Uniform<std::uint64_t>(random_),
                         absl::Uniform<std::uint64_t>(random_));
}

// --- Hubs ---

// A session that asks its backend, before it is one.
class Worker::AskingMember final : public AdmissionTicket {
 public:
  AskingMember(std::string session, std::unique_ptr<HubMember> member,
               Worker& worker)
      : session_(std::move(session)),
        member_(std::move(member)),
        worker_(worker) {
    worker_.asking_.emplace(session_, this);
  }
  ~AskingMember() override { worker_.asking_.erase(session_); }

  std::unique_ptr<HubMember> Take() { return std::move(member_); }

 private:
  const std::string session_;
  std::unique_ptr<HubMember> member_;
  Worker& worker_;
};

std::unique_ptr<HubMember> Worker::JoinHub(const SessionRequest& request,
                                           HubMember::Verdict verdict) {
  const std::uint64_t id = request.route->hub_id;
  std::shared_ptr<WorkerHub>& hub = hubs_[id];
  if (hub == nullptr) {
    const auto spec = configuration_->hubs.find(id);
    if (spec == configuration_->hubs.end()) {
      hubs_.erase(id);
      return nullptr;
    }
    hub = std::make_shared<WorkerHub>(id, spec->second, index_,
                                      state_.workers.size(), *state_.hubs,
                                      io_context_, turn_);
  }
  HubArrival arrival;
  arrival.session = request.id;
  arrival.peer = request.peer;
  arrival.codec = HubCodecOf(*request.codec);
  arrival.opened_at = now();
  arrival.metadata = request.metadata;
  arrival.variables = request.variables;
  arrival.asks = verdict != nullptr;
  return hub->Join(std::move(arrival), std::move(verdict));
}

std::unique_ptr<ConnectionHost::AdmissionTicket> Worker::AskAdmission(
    const SessionRequest& request,
    std::function<void(const absl::Status&)> verdict) {
  const auto* target = std::get_if<HubTarget>(&request.route->target);
  if (target == nullptr || target->admission == HubTarget::Admission::kOpen) {
    return nullptr;
  }
  std::unique_ptr<HubMember> member = JoinHub(request, std::move(verdict));
  if (member == nullptr) return nullptr;  // OpenSession will say so.
  return std::make_unique<AskingMember>(request.id, std::move(member), *this);
}

std::unique_ptr<Session> Worker::OpenSession(SessionRequest request,
                                             Transport& transport) {
  const auto found = upstreams_.find(request.route->upstream);
  if (found == upstreams_.end()) return nullptr;
  if (LogEnabled(LogLevel::kDebug)) {
    Log(LogLevel::kDebug, "session opened",
        {{"id", request.id},
         {"peer", request.peer},
         {"method", request.method}});
  }
  const UpstreamEntry& entry = found->second;
  request.timeout =
      std::min(request.timeout, entry.upstream->settings().deadline);
  std::unique_ptr<Session> session;
  if (std::holds_alternative<HubTarget>(request.route->target)) {
    const auto asked = asking_.find(request.id);
    std::unique_ptr<HubMember> member = asked != asking_.end()
                                            ? asked->second->Take()
                                            : JoinHub(request, nullptr);
    if (member == nullptr) return nullptr;
    session = std::make_unique<HubSession>(std::move(request), entry.context,
                                           std::move(member), transport);
  } else {
    session = MakeSession(std::move(request), entry.context, transport);
  }
  recorder_.OnOpened(*session);
  session->TapOpened();
  return session;
}

std::shared_ptr<const ConnectionSettings> Worker::SettingsOf(
    std::size_t listener) {
  return configuration_->listeners[listener];
}

SchemaSource::SnapshotOr Worker::GetSchema(
    const std::string& name, SchemaSource::SnapshotCallback callback) {
  const auto found = upstreams_.find(name);
  if (found == upstreams_.end()) {
    return absl::UnavailableError("the configuration has changed");
  }
  const std::shared_ptr<WorkerUpstream>& upstream = found->second.upstream;
  SchemaSource::SnapshotOr schema =
      upstream->schemas().Get(now(), std::move(callback));
  auto* ticket = std::get_if<std::unique_ptr<SchemaSource::Ticket>>(&schema);
  if (ticket == nullptr) return schema;
  return std::make_unique<KeepingTicket>(std::move(*ticket), upstream,
                                         io_context_);
}

void Worker::SessionEnded(const Session& session) {
  const absl::Time time = now();
  recorder_.OnEnded(session, time);
  session.TapEnded();
  if (!LogEnabled(LogLevel::kInfo)) return;
  const SessionRequest& request = session.request();
  const SessionReport& report = session.report();
  Log(LogLevel::kInfo, "session ended",
      {{"id", request.id},
       {"peer", request.peer},
       {"route", RouteName(*request.route)},
       {"method", request.method},
       {"codec", std::string(report.codec ? report.codec->name : "none")},
       {"status", absl::StatusCodeToString(report.status.code())},
       {"reason", MessageForLog(report.status)},
       {"close", absl::StrCat(static_cast<int>(report.close))},
       {"cause", std::string(CauseName(report.cause))},
       {"messages_in", absl::StrCat(report.messages_in)},
       {"bytes_in", absl::StrCat(report.bytes_in)},
       {"messages_out", absl::StrCat(report.messages_out)},
       {"bytes_out", absl::StrCat(report.bytes_out)},
       {"duration", absl::FormatDuration(absl::Trunc(time - session.opened_at(),
                                                     absl::Milliseconds(1)))},
       {"limit", std::string(report.limit ? LimitName(*report.limit) : "none")},
       {"trace", request.trace_id}});
}

void Worker::HandshakeRefused(const Refusal& refusal, const std::string& peer) {
  recorder_.OnRefused(refusal);
  if (!LogEnabled(LogLevel::kInfo)) return;
  const std::string http = absl::StrCat(refusal.http_status);
  const std::string status = absl::StatusCodeToString(refusal.status.code());
  const std::string reason = MessageForLog(refusal.status);
  if (refusal.setting.empty()) {
    return LogRepeated(LogLevel::kInfo, "handshake refused",
                       {{"peer", peer},
                        {"http", http},
                        {"status", status},
                        {"reason", reason}});
  }
  LogRepeated(LogLevel::kInfo, "handshake refused",
              {{"peer", peer},
               {"http", http},
               {"status", status},
               {"reason", reason},
               {"setting", std::string(refusal.setting)}});
}

void Worker::ArrivalFailed(std::size_t listener, ArrivalStep step,
                           const std::string& peer, const std::string& why) {
  Stats::PerListener& stats = StatsOf(listener);
  ++(step == ArrivalStep::kTls ? stats.tls_failed : stats.proxy_failed);
  LogRepeated(
      LogLevel::kInfo,
      step == ArrivalStep::kTls ? "TLS handshake failed" : "no PROXY header",
      {{"peer", peer},
       {"listener", configuration_->settings.listeners[listener].address},
       {"reason", why}});
}

std::unique_ptr<Place> Worker::TakeConsolePlace() {
  if (console_responses_ >= kMostConsoleResponses) return nullptr;
  return std::make_unique<CountedPlace>(console_responses_);
}

bool Worker::AdmitHandshake(std::size_t listener,
                            std::weak_ptr<HandshakeWaiter> waiter) {
  const std::optional<ListenerTlsSettings>& tls =
      configuration_->settings.listeners[listener].tls;
  const double rate = tls ? static_cast<double>(tls->handshakes_per_second) /
                                static_cast<double>(state_.workers.size())
                          : 0;
  HandshakeGate& gate = handshake_gates_[listener];
  gate.SetRate(rate);
  if (gate.Admit(now(), std::move(waiter))) return true;
  ++StatsOf(listener).tls_delayed;
  return false;
}

void Worker::TlsEstablished(std::size_t listener, const TlsEngine& engine,
                            absl::Duration took) {
  Stats::PerListener& stats = StatsOf(listener);
  stats.tls_duration.Observe(absl::ToDoubleSeconds(took));
  ++(engine.version() == "TLSv1.3" ? stats.tls_13
                                   : stats.tls_12)[engine.is_resumed() ? 1 : 0];
}

void Worker::Http2Begun(std::size_t listener) { ++StatsOf(listener).http2; }

void Worker::Http2Failed(std::size_t listener, h2::Flood flood,
                         const std::string& peer, const std::string& why) {
  ++StatsOf(listener).http2_failed[std::string(ReasonOf(flood))];
  LogRepeated(
      LogLevel::kInfo, "HTTP/2 connection failed",
      {{"peer", peer},
       {"listener", configuration_->settings.listeners[listener].address},
       {"reason", why}});
}

void Worker::FirstAnswer(const Session& session) {
  recorder_.OnFirstAnswer(session, now());
}

void Worker::PingAnswered(absl::Duration round_trip) {
  recorder_.OnPing(round_trip);
}

Stats::PerListener& Worker::StatsOf(std::size_t listener) {
  const ListenerSettings& settings =
      configuration_->settings.listeners[listener];
  return recorder_.stats().listeners[settings.address];
}

void Worker::GetStats(std::function<void(Stats)> callback) {
  struct Sum {
    std::vector<std::uint64_t> open;  // By listener.
    Buffered buffered;
  };
  auto sum = std::make_shared<Sum>();
  auto scan = std::make_shared<Scan>();
  scan->visit = [this, sum](const Connections::Entry& entry) {
    if (sum->open.size() <= entry.listener)
      sum->open.resize(entry.listener + 1);
    if (!entry.connection->is_stream()) ++sum->open[entry.listener];
    if (const Session* session = entry.connection->session()) {
      recorder_.OnVisited(*session);
      const Buffered buffered = session->buffered();
      sum->buffered.in += buffered.in;
      sum->buffered.out += buffered.out;
    }
    return true;
  };
  scan->done = [this, sum, callback = std::move(callback)] {
    Stats stats = recorder_.stats();
    stats.buffered_in = sum->buffered.in;
    stats.buffered_out = sum->buffered.out;
    stats.tls_floods = tls_buffers_.floods;
    for (std::size_t i = 0; i < sum->open.size(); ++i) {
      const std::string& address =
          configuration_->settings.listeners[i].address;
      stats.listeners[address].open += sum->open[i];
    }
    for (const auto& [name, entry] : upstreams_) {
      Stats::PerUpstream& upstream = stats.upstreams[name];
      upstream.connections += entry.upstream->channel_count();
      if (voice_ == WorkerUpstream::Voice::kSilent) continue;
      upstream.known = true;
      upstream.reachable = entry.upstream->reachable().value_or(false);
    }
    callback(std::move(stats));
  };
  Continue(std::move(scan));
}

void Worker::Continue(std::shared_ptr<Scan> scan) {
  boost::asio::post(io_context_, [this, scan = std::move(scan)]() mutable {
    if (stopping_) return;
    bool wanted = true;
    const std::uint64_t last =
        connections_.Visit(scan->after, kScannedPerIteration,
                           [&](const Connections::Entry& entry) {
                             wanted = wanted && scan->visit(entry);
                           });
    if (last == 0 || !wanted) return scan->done();
    scan->after = last;
    Continue(std::move(scan));
  });
}

void Worker::ListSessions(SessionFilter filter, SessionPage page,
                          std::function<void(SessionList)> callback) {
  auto list = std::make_shared<SessionList>();
  auto scan = std::make_shared<Scan>();
  scan->visit = [list, page,
                 filter = std::move(filter)](const Connections::Entry& entry) {
    const Session* session = entry.connection->session();
    if (session == nullptr || !Matches(filter, *session)) return true;
    ++list->matching;
    if (entry.number <= page.after) return true;
    if (list->sessions.size() < page.limit) {
      list->sessions.push_back(InfoOf(*session, entry.number));
    } else {
      list->has_more = true;
    }
    return true;
  };
  scan->done = [list, callback = std::move(callback)] {
    callback(std::move(*list));
  };
  Continue(std::move(scan));
}

void Worker::CloseSession(std::string id,
                          std::function<void(bool found)> callback) {
  auto found = std::make_shared<std::shared_ptr<Connection>>();
  auto scan = std::make_shared<Scan>();
  scan->visit = [found, id = std::move(id)](const Connections::Entry& entry) {
    const Session* session = entry.connection->session();
    const bool is_it = session != nullptr && session->request().id == id;
    if (is_it) *found = entry.connection;
    return !is_it;
  };
  scan->done = [found, callback = std::move(callback)] {
    if (*found != nullptr) (*found)->CloseSession();
    callback(*found != nullptr);
  };
  Continue(std::move(scan));
}

void Worker::FindHolders(std::function<void(std::vector<Holder>)> callback) {
  boost::asio::post(io_context_, [this, callback = std::move(callback)] {
    if (stopping_) return;
    std::vector<Holder> holders;
    connections_.ForEach([&](const Connections::Entry& entry) {
      const std::size_t bytes = entry.connection->held_bytes();
      if (bytes >= kLeastHeldBytes) {
        holders.push_back({bytes, entry.connection});
      }
    });
    if (holders.size() > kMostHolders) {
      std::nth_element(
          holders.begin(), holders.begin() + kMostHolders, holders.end(),
          [](const Holder& a, const Holder& b) { return a.bytes > b.bytes; });
      holders.resize(kMostHolders);
    }
    callback(std::move(holders));
  });
}

void Worker::CloseForMemory(std::vector<std::weak_ptr<Connection>> connections,
                            absl::Duration patience,
                            std::function<void(bool)> done) {
  boost::asio::post(io_context_, [this, connections = std::move(connections),
                                  patience, done = std::move(done)]() mutable {
    if (stopping_) return;
    for (const std::weak_ptr<Connection>& weak : connections) {
      const std::shared_ptr<Connection> connection = weak.lock();
      if (connection != nullptr) connection->CloseForMemory(now(), patience);
    }
    turn_.Run();
    // Behind the handlers of their cancelled operations, which keep them.
    boost::asio::post(io_context_, [done = std::move(done)] { done(true); });
  });
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
