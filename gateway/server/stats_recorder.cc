#include "gateway/server/stats_recorder.h"

#include <optional>
#include <tuple>
#include <utility>

#include "gateway/route/route.h"

namespace headgate {
namespace {

std::string CodecOf(const SessionReport& report) {
  return std::string(report.codec ? report.codec->name : "none");
}

void Count(std::uint64_t now, std::uint64_t& counted, std::uint64_t& sum) {
  sum += now - counted;
  counted = now;
}

// What the session has carried since it was counted last.
void AddTraffic(const Session& session, Stats& stats) {
  const SessionReport& report = session.report();
  Session::Counted& counted = session.counted();
  const std::string codec = CodecOf(report);
  Stats::Traffic& in = stats.traffic[{codec, "in"}];
  Count(report.messages_in, counted.messages_in, in.messages);
  Count(report.bytes_in, counted.bytes_in, in.bytes);
  Stats::Traffic& out = stats.traffic[{codec, "out"}];
  Count(report.messages_out, counted.messages_out, out.messages);
  Count(report.bytes_out, counted.bytes_out, out.bytes);
}

}  // namespace

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
    case TransportEnd::Cause::kKeepaliveTimeout:
      return "keepalive-timeout";
    case TransportEnd::Cause::kAborted:
      break;
  }
  return "aborted";
}

bool Matches(const SessionFilter& filter, const Session& session) {
  const SessionRequest& request = session.request();
  const Dialect* const codec = session.report().codec;
  return filter.Matches({request.id, request.peer, request.route->upstream,
                         request.method, codec ? codec->name : "none",
                         [&] { return RouteName(*request.route); }});
}

SessionInfo InfoOf(const Session& session, std::uint64_t number) {
  const SessionRequest& request = session.request();
  const SessionReport& report = session.report();
  const Buffered buffered = session.buffered();
  SessionInfo info;
  info.number = number;
  info.id = request.id;
  info.peer = request.peer;
  info.route = RouteName(*request.route);
  info.upstream = request.route->upstream;
  info.method = request.method;
  info.codec = CodecOf(report);
  info.opened_at = session.opened_at();
  info.messages_in = report.messages_in;
  info.bytes_in = report.bytes_in;
  info.messages_out = report.messages_out;
  info.bytes_out = report.bytes_out;
  info.buffered_in = buffered.in;
  info.buffered_out = buffered.out;
  return info;
}

void StatsRecorder::OnOpened(const Session& session) {
  Stats::PerRoute& route = stats_.routes[RouteName(*session.request().route)];
  ++route.opened;
  ++route.open;
}

void StatsRecorder::OnFirstAnswer(const Session& session, absl::Time now) {
  stats_.routes[RouteName(*session.request().route)].first_message.Observe(
      absl::ToDoubleSeconds(now - session.opened_at()));
}

void StatsRecorder::OnEnded(const Session& session, absl::Time now) {
  const SessionReport& report = session.report();
  const std::string route = RouteName(*session.request().route);
  Stats::PerRoute& of_route = stats_.routes[route];
  --of_route.open;
  of_route.duration.Observe(absl::ToDoubleSeconds(now - session.opened_at()));
  // What a client may put into its Close frame is no label.
  const int code = static_cast<int>(report.close);
  const bool is_own = code < 3000 || (code >= 4000 && code <= 4016);
  ++stats_.closes[{route, is_own ? code : 3000,
                   std::string(CauseName(report.cause))}];
  if (report.limit) ++stats_.limits[std::string(LimitName(*report.limit))];
  AddTraffic(session, stats_);
}

void StatsRecorder::OnCallEnded(const std::string& upstream,
                                absl::string_view method, absl::StatusCode code,
                                absl::Duration duration) {
  Stats::CallKey key(upstream, method.empty() ? "unknown" : method,
                     absl::StatusCodeToString(code));
  ++stats_.calls[key];
  auto series = stats_.call_durations.find(key);
  if (series == stats_.call_durations.end()) {
    if (!series_.Admit(key)) std::get<1>(key) = "other";
    series = stats_.call_durations.try_emplace(std::move(key)).first;
  }
  series->second.duration.Observe(absl::ToDoubleSeconds(duration));
}

void StatsRecorder::OnRefused(const Refusal& refusal) {
  ++stats_.refused[std::string(KindOf(refusal.reason).label)];
}

void StatsRecorder::OnPing(absl::Duration round_trip) {
  stats_.ping_rtt.Observe(absl::ToDoubleSeconds(round_trip));
}

void StatsRecorder::OnLag(absl::Duration lag) {
  stats_.workers[worker_].lag.Observe(absl::ToDoubleSeconds(lag));
}

void StatsRecorder::OnVisited(const Session& session) {
  const SessionReport& report = session.report();
  const Session::Counted& counted = session.counted();
  // Messages out before it is known are none, and those in have its label soon.
  if (!report.codec) return;
  if (report.messages_in == counted.messages_in &&
      report.messages_out == counted.messages_out) {
    return;  // Most are idle.
  }
  AddTraffic(session, stats_);
}

bool CallSeries::Admit(const Stats::CallKey& key) {
  const std::lock_guard lock(mutex_);
  if (admitted_.contains(key)) return true;
  if (admitted_.size() >= kMost) return false;
  admitted_.insert(key);
  return true;
}

}  // namespace headgate
