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

// Timeouts are looked at four times in the shortest of them, but no more often
// than every 10 ms and no more seldom than every 250 ms.
absl::Duration TickFor(const TimeoutSettings& timeouts) {
  const absl::Duration shortest = std::min(
      {timeouts.handshake, timeouts.send, timeouts.stall, timeouts.close});
  return std::clamp(shortest / 4, absl::Milliseconds(10),
                    absl::Milliseconds(250));
}

SessionLimits LimitsFrom(const Settings& settings) {
  SessionLimits limits;
  const std::size_t high = settings.limits.max_buffered_bytes;
  limits.answers = limits.requests = Watermarks{high / 4, high};
  limits.stall_timeout = settings.timeouts.stall;
  return limits;
}

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

}  // namespace

Worker::Worker(int index, const Settings& settings, ServerState& state)
    : index_(index),
      settings_(settings),
      state_(state),
      limits_(LimitsFrom(settings)),
      tick_(TickFor(settings.timeouts)),
      work_(io_context_.get_executor()),
      timer_(io_context_),
      upstream_(MakeGrpcChannel({settings.upstream.target,
                                 settings.limits.max_answer_bytes,
                                 settings.limits.max_buffered_bytes}),
                io_context_) {
  SchemaSourceOptions options;
  options.fetch_timeout = settings.timeouts.reflection;
  schemas_ = MakeReflectionSource(
      upstream_, options,
      [this](const absl::Status& status, const Schema* schema,
             const std::vector<std::string>& warnings) {
        OnSchemaFetched(status, schema, warnings);
      });
}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  boost::asio::post(io_context_, [this] { StartTicking(); });
  thread_ = std::thread([this] { io_context_.run(); });
}

void Worker::Serve(TcpSocket socket, const ConnectionSettings& settings) {
  boost::asio::post(io_context_,
                    [this, &settings, socket = std::move(socket)]() mutable {
                      ServeConnection(std::move(socket), settings, *this);
                    });
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
    on_idle_ = nullptr;
    ForEachConnection([](Connection& connection) { connection.Abort(); });
    timer_.cancel();
    watch_.reset();
    schemas_.reset();  // Cancels a fetch.
    work_.reset();     // run() returns when gRPC has let go of every call.
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
  if (state_.sessions.fetch_add(1) >= settings_.limits.max_sessions) {
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
  return std::make_unique<Session>(std::move(request), limits_, upstream_,
                                   *schemas_, transport);
}

void Worker::SessionEnded(const Session& session) {
  if (!LogEnabled(LogLevel::kInfo)) return;
  const SessionRequest& request = session.request();
  const SessionReport& report = session.report();
  const std::string& route = request.route->path;
  Log(LogLevel::kInfo, "session ended",
      {{"id", request.id},
       {"peer", request.peer},
       {"route", route.empty() ? "/" : route},
       {"method", request.method},
       {"codec", std::string(report.codec ? CodecName(*report.codec) : "none")},
       {"status", absl::StatusCodeToString(report.status.code())},
       {"reason", std::string(report.status.message())},
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
       {"reason", std::string(refusal.status.message())}});
}

void Worker::StartTicking() {
  timer_.expires_after(absl::ToChronoNanoseconds(tick_));
  timer_.async_wait([this](boost::system::error_code error) {
    if (error || schemas_ == nullptr) return;
    OnTick();
    StartTicking();
  });
  if (index_ == 0) WatchUpstream();
}

void Worker::OnTick() {
  const absl::Time time = now();
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

void Worker::WatchUpstream() {
  const absl::Time time = now();
  if (upstream_state_ == UpstreamState::kReachable || watch_ != nullptr ||
      time < next_watch_) {
    return;
  }
  next_watch_ = time + absl::Seconds(1);
  // The name is of no method: what counts is whether the upstream answers.
  watch_ = schemas_->Resolve("/", time,
                             [this](const ResolvedMethod&) { watch_.reset(); });
}

void Worker::OnSchemaFetched(const absl::Status& status, const Schema* schema,
                             const std::vector<std::string>& warnings) {
  if (index_ != 0) return;
  const UpstreamState before = upstream_state_;
  const bool answered =
      status.ok() || status.code() == absl::StatusCode::kUnimplemented;
  upstream_state_ =
      answered ? UpstreamState::kReachable : UpstreamState::kUnreachable;
  for (const std::string& warning : warnings) {
    Log(LogLevel::kDebug, "descriptor left out",
        {{"upstream", settings_.upstream.target}, {"reason", warning}});
  }
  if (upstream_state_ == before) return;
  if (status.ok()) {
    Log(LogLevel::kInfo, "upstream is reachable",
        {{"upstream", settings_.upstream.target},
         {"methods", absl::StrCat(schema->methods().size())}});
  } else if (answered) {
    Log(LogLevel::kWarning,
        "upstream is reachable but has no server reflection: methods count as "
        "bidirectional, and JSON is not served",
        {{"upstream", settings_.upstream.target}});
  } else {
    Log(LogLevel::kWarning,
        "upstream is not reachable, calls fail with UNAVAILABLE until it is",
        {{"upstream", settings_.upstream.target},
         {"reason", std::string(status.message())}});
  }
}

}  // namespace headgate
