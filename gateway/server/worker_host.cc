// What connections ask of their worker: admission, sessions, and what is
// counted and logged of them.

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gateway/base/log.h"
#include "gateway/server/worker.h"
#include "gateway/session/hub_session.h"

namespace headgate {
namespace {

// Connections of one worker that may wait for their refusal to be read.
constexpr int kMostRefusing = 16;

// Responses with a schema, some MiB each, that one worker sends at a time: a
// slow client keeps its copy for as long as it likes.
constexpr int kMostConsoleResponses = 4;

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

class CountedPlace final : public Place {
 public:
  explicit CountedPlace(int& count) : count_(count) { ++count_; }
  ~CountedPlace() override { --count_; }

 private:
  int& count_;
};

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
    const std::size_t workers = state_.workers.size();
    if (pinned_ == nullptr) {
      const HubSettings& settings = configuration_->settings.hub;
      pinned_ = std::make_shared<PinnedFrames>(
          settings.limits.max_pinned_bytes / workers);
    }
    hub =
        std::make_shared<WorkerHub>(id, spec->second, index_, workers,
                                    *state_.hubs, io_context_, turn_, pinned_);
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

}  // namespace headgate
