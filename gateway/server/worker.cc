#include "gateway/server/worker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gateway/base/log.h"

namespace headgate {
namespace {

absl::string_view CauseName(TransportEnd::Cause cause) {
  switch (cause) {
    case TransportEnd::Cause::kClosedByClient:
      return "closed-by-client";
    case TransportEnd::Cause::kClosedByGateway:
      return "closed-by-gateway";
    case TransportEnd::Cause::kBrokenByClient:
      return "protocol-violation";
    case TransportEnd::Cause::kLost:
      return "connection-lost";
    case TransportEnd::Cause::kSendTimeout:
      return "send-timeout";
    case TransportEnd::Cause::kAborted:
      return "aborted";
  }
  return "unknown";
}

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

// What a route is called in the log: by what it matches.
std::string RouteName(const Route& route) {
  for (const std::string* name :
       {&route.path, &route.path_template, &route.prefix}) {
    if (!name->empty()) return *name;
  }
  return "/";
}

}  // namespace

Worker::Worker(std::shared_ptr<const Configuration> configuration,
               WorkerUpstream::Voice voice, ServerState& state)
    : configuration_(std::move(configuration)),
      voice_(voice),
      state_(state),
      work_(io_context_.get_executor()),
      timer_(io_context_) {
  MakeUpstreams();
}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  boost::asio::post(io_context_, [this] { StartTicking(); });
  thread_ = std::thread([this] { io_context_.run(); });
}

void Worker::Serve(TcpSocket socket, std::size_t listener) {
  boost::asio::post(io_context_,
                    [this, listener, socket = std::move(socket)]() mutable {
                      ServeConnection(std::move(socket), listener, *this);
                    });
}

void Worker::Reload(std::shared_ptr<const Configuration> configuration) {
  boost::asio::post(io_context_,
                    [this, configuration = std::move(configuration)]() mutable {
                      if (stopping_) return;
                      configuration_ = std::move(configuration);
                      MakeUpstreams();
                    });
}

void Worker::MakeUpstreams() {
  const Settings& settings = configuration_->settings;
  absl::flat_hash_map<std::string, UpstreamEntry> upstreams;
  for (const UpstreamSettings& wanted : settings.upstreams) {
    const auto known = upstreams_.find(wanted.name);
    std::shared_ptr<WorkerUpstream> upstream =
        known != upstreams_.end() &&
                known->second.upstream->IsMadeOf(wanted, settings)
            ? known->second.upstream
            : std::make_shared<WorkerUpstream>(wanted, settings, voice_,
                                               io_context_);
    auto context = upstream->MakeContext(configuration_->limits);
    upstreams.emplace(wanted.name,
                      UpstreamEntry{std::move(upstream), std::move(context)});
  }
  upstreams_ = std::move(upstreams);
}

void Worker::Drain(std::function<void()> on_idle) {
  boost::asio::post(io_context_, [this, on_idle = std::move(on_idle)] {
    on_idle_ = on_idle;
    ForEachConnection([](Connection& connection) { connection.Drain(); });
    CheckIdle();
  });
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(io_context_, [this] {
    stopping_ = true;
    on_idle_ = nullptr;
    ForEachConnection([](Connection& connection) { connection.Abort(); });
    timer_.cancel();
    upstreams_.clear();  // Cancels fetches.
    work_.reset();       // run() returns when gRPC has let go of every call.
  });
  thread_.join();
}

void Worker::Add(std::shared_ptr<Connection> connection) {
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void Worker::Remove(Connection& connection) {
  connections_.erase(&connection);
  CheckIdle();
}

void Worker::CheckIdle() {
  if (on_idle_ == nullptr || !connections_.empty()) return;
  std::exchange(on_idle_, nullptr)();
}

Capacity Worker::Admit() {
  if (state_.draining) return Capacity::kDraining;
  if (state_.sessions.fetch_add(1) >=
      configuration_->settings.limits.max_sessions) {
    Leave();
    return Capacity::kFull;
  }
  return Capacity::kFree;
}

void Worker::Leave() { state_.sessions.fetch_sub(1); }

std::string Worker::NewSessionId() {
  return absl::StrFormat("%016x%016x", absl::Uniform<std::uint64_t>(random_),
                         absl::Uniform<std::uint64_t>(random_));
}

std::unique_ptr<Session> Worker::OpenSession(SessionRequest request,
                                             Transport& transport) {
  if (LogEnabled(LogLevel::kDebug)) {
    Log(LogLevel::kDebug, "session opened",
        {{"id", request.id},
         {"peer", request.peer},
         {"method", request.method}});
  }
  const auto found = upstreams_.find(request.route->upstream);
  if (found == upstreams_.end()) return nullptr;
  const UpstreamEntry& entry = found->second;
  request.timeout =
      std::min(request.timeout, entry.upstream->settings().deadline);
  return MakeSession(std::move(request), entry.context, transport);
}

std::shared_ptr<const ConnectionSettings> Worker::SettingsOf(
    std::size_t listener) {
  return configuration_->listeners[listener];
}

std::unique_ptr<SchemaSource::Ticket> Worker::FindHttpRules(
    const Route& route, SchemaSource::SnapshotCallback callback) {
  const auto found = upstreams_.find(route.upstream);
  if (found == upstreams_.end()) {
    callback(absl::UnavailableError("the configuration has changed"));
    return nullptr;
  }
  const std::shared_ptr<WorkerUpstream>& upstream = found->second.upstream;
  std::unique_ptr<SchemaSource::Ticket> ticket =
      upstream->schemas().Get(now(), std::move(callback));
  if (ticket == nullptr) return nullptr;
  return std::make_unique<KeepingTicket>(std::move(ticket), upstream,
                                         io_context_);
}

void Worker::SessionEnded(const Session& session) {
  if (absl::IsUnavailable(session.report().status)) {
    const auto found = upstreams_.find(session.request().route->upstream);
    if (found != upstreams_.end()) found->second.upstream->OnUnavailable();
  }
  if (!LogEnabled(LogLevel::kInfo)) return;
  const SessionRequest& request = session.request();
  const SessionReport& report = session.report();
  Log(LogLevel::kInfo, "session ended",
      {{"id", request.id},
       {"peer", request.peer},
       {"route", RouteName(*request.route)},
       {"method", request.method},
       {"codec", std::string(report.codec ? CodecName(*report.codec) : "none")},
       {"status", absl::StatusCodeToString(report.status.code())},
       {"reason", MessageForLog(report.status)},
       {"close", absl::StrCat(static_cast<int>(report.close))},
       {"cause", std::string(CauseName(report.cause))},
       {"messages_in", absl::StrCat(report.messages_in)},
       {"bytes_in", absl::StrCat(report.bytes_in)},
       {"messages_out", absl::StrCat(report.messages_out)},
       {"bytes_out", absl::StrCat(report.bytes_out)},
       {"duration", absl::FormatDuration(absl::Trunc(
                        now() - session.opened_at(), absl::Milliseconds(1)))}});
}

void Worker::HandshakeRefused(const Refusal& refusal, const std::string& peer) {
  if (!LogEnabled(LogLevel::kInfo)) return;
  Log(LogLevel::kInfo, "handshake refused",
      {{"peer", peer},
       {"http", absl::StrCat(refusal.http_status)},
       {"status", absl::StatusCodeToString(refusal.status.code())},
       {"reason", MessageForLog(refusal.status)}});
}

void Worker::StartTicking() {
  timer_.expires_after(absl::ToChronoNanoseconds(configuration_->tick));
  timer_.async_wait([this](boost::system::error_code error) {
    if (error || stopping_) return;
    OnTick();
    StartTicking();
  });
}

void Worker::OnTick() {
  const absl::Time time = now();
  for (const auto& [name, entry] : upstreams_) entry.upstream->OnTick(time);
  ForEachConnection(
      [time](Connection& connection) { connection.OnTick(time); });
}

void Worker::ForEachConnection(const std::function<void(Connection&)>& act) {
  // A connection may remove itself, and another, while it is at work.
  std::vector<std::shared_ptr<Connection>> connections;
  connections.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) {
    connections.push_back(connection);
  }
  for (const auto& connection : connections) act(*connection);
}

}  // namespace headgate
