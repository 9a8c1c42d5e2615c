#include "gateway/server/stats_recorder.h"

#include "gateway/route/route.h"

namespace headgate {
namespace {

std::string CodecOf(const SessionReport& report) {
  return std::string(report.codec ? CodecName(*report.codec) : "none");
}

void AddTraffic(const SessionReport& report, Stats& stats) {
  const std::string codec = CodecOf(report);
  Stats::Traffic& in = stats.traffic[{codec, "in"}];
  in.messages += report.messages_in;
  in.bytes += report.bytes_in;
  Stats::Traffic& out = stats.traffic[{codec, "out"}];
  out.messages += report.messages_out;
  out.bytes += report.bytes_out;
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

SessionInfo InfoOf(const Session& session) {
  const SessionRequest& request = session.request();
  const SessionReport& report = session.report();
  const Buffered buffered = session.buffered();
  SessionInfo info;
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
  ++stats_.routes[RouteName(*session.request().route)].opened;
}

void StatsRecorder::OnFirstAnswer(const Session& session, absl::Time now) {
  stats_.routes[RouteName(*session.request().route)].first_message.Observe(
      absl::ToDoubleSeconds(now - session.opened_at()));
}

void StatsRecorder::OnEnded(const Session& session, absl::Time now) {
  const SessionReport& report = session.report();
  const std::string route = RouteName(*session.request().route);
  stats_.routes[route].duration.Observe(
      absl::ToDoubleSeconds(now - session.opened_at()));
  // What a client may put into its Close frame is no label.
  const int code = static_cast<int>(report.close);
  const bool is_own = code < 3000 || (code >= 4000 && code <= 4016);
  ++stats_.closes[{route, is_own ? code : 3000,
                   std::string(CauseName(report.cause))}];
  if (report.limit) ++stats_.limits[std::string(LimitName(*report.limit))];
  AddTraffic(report, stats_);
}

void StatsRecorder::OnCallEnded(const std::string& upstream,
                                absl::string_view method,
                                absl::StatusCode code) {
  ++stats_.calls[{upstream, std::string(method.empty() ? "unknown" : method),
                  absl::StatusCodeToString(code)}];
}

void StatsRecorder::OnRefused(const Refusal& refusal) {
  ++stats_.refused[std::string(refusal.reason)];
}

void StatsRecorder::OnPing(absl::Duration round_trip) {
  stats_.ping_rtt.Observe(absl::ToDoubleSeconds(round_trip));
}

void StatsRecorder::AddOpen(const Session& session, Stats& stats) {
  ++stats.routes[RouteName(*session.request().route)].open;
  AddTraffic(session.report(), stats);
  const Buffered buffered = session.buffered();
  stats.buffered_in += buffered.in;
  stats.buffered_out += buffered.out;
}

}  // namespace headgate
