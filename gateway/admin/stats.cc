#include "gateway/admin/stats.h"

#include <algorithm>

namespace headgate {
namespace {

constexpr double kFirstMessageBounds[] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};
constexpr double kDurationBounds[] = {0.1, 1,    10,   60,    300,
                                      900, 3600, 7200, 21600, 86400};
constexpr double kCallBounds[] = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                  0.5,   1,     2.5,  5,     10,   60,  300};
constexpr double kShortBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                   0.1,   0.25,   0.5,   1,    2.5,   5};
constexpr double kLagBounds[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5};
constexpr double kPingBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                  0.25,  0.5,    1,     2.5,  5,     10};

template <typename Key>
void Add(const absl::btree_map<Key, std::uint64_t>& from,
         absl::btree_map<Key, std::uint64_t>& to) {
  for (const auto& [key, count] : from) to[key] += count;
}

}  // namespace

Stats::PerRoute::PerRoute()
    : first_message(kFirstMessageBounds), duration(kDurationBounds) {}

Stats::PerListener::PerListener() : tls_duration(kShortBounds) {}

Stats::PerWorker::PerWorker() : lag(kLagBounds) {}

Stats::PerEngine::PerEngine() : publish(kShortBounds) {}

Stats::PerCall::PerCall() : duration(kCallBounds) {}

Stats::Stats() : ping_rtt(kPingBounds) {}

void Stats::PerHub::Add(const PerHub& other) {
  is_up = is_up || other.is_up;
  sessions += other.sessions;
  groups += other.groups;
  for (const auto& [state, count] : other.streams) streams[state] += count;
  queued_bytes += other.queued_bytes;
  counts.Add(other.counts);
}

void Stats::Merge(const Stats& other) {
  for (const auto& [name, from] : other.routes) {
    PerRoute& to = routes[name];
    to.open += from.open;
    to.opened += from.opened;
    to.first_message.Merge(from.first_message);
    to.duration.Merge(from.duration);
  }
  for (const auto& [name, from] : other.listeners) {
    PerListener& to = listeners[name];
    to.open += from.open;
    to.accepted += from.accepted;
    to.tls_failed += from.tls_failed;
    for (std::size_t i = 0; i < to.tls_12.size(); ++i) {
      to.tls_12[i] += from.tls_12[i];
      to.tls_13[i] += from.tls_13[i];
    }
    to.tls_delayed += from.tls_delayed;
    to.tls_duration.Merge(from.tls_duration);
    to.proxy_failed += from.proxy_failed;
    to.http2 += from.http2;
    for (const auto& [reason, count] : from.http2_failed) {
      to.http2_failed[reason] += count;
    }
    to.certificate_expiry =
        std::max(to.certificate_expiry, from.certificate_expiry);
  }
  for (const auto& [name, from] : other.upstreams) {
    PerUpstream& to = upstreams[name];
    to.known |= from.known;
    to.reachable |= from.reachable;
    to.connections += from.connections;
  }
  for (const auto& [key, from] : other.traffic) {
    Traffic& to = traffic[key];
    to.messages += from.messages;
    to.bytes += from.bytes;
  }
  for (const auto& [key, from] : other.call_durations) {
    call_durations[key].duration.Merge(from.duration);
  }
  for (const auto& [index, from] : other.workers) {
    PerWorker& to = workers[index];
    to.lag.Merge(from.lag);
    to.silence = std::max(to.silence, from.silence);
  }
  Add(other.calls, calls);
  Add(other.closes, closes);
  Add(other.refused, refused);
  Add(other.limits, limits);
  buffered_in += other.buffered_in;
  buffered_out += other.buffered_out;
  hub_pinned_bytes += other.hub_pinned_bytes;
  ping_rtt.Merge(other.ping_rtt);
  accept_errors += other.accept_errors;
  tls_floods += other.tls_floods;
  Add(other.connections_refused, connections_refused);
  idle_connections_closed += other.idle_connections_closed;
  reloads_ok += other.reloads_ok;
  reloads_failed += other.reloads_failed;
  last_reload_ok &= other.last_reload_ok;
}

}  // namespace headgate
