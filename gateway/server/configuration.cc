#include "gateway/server/configuration.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/algorithm/container.h"
#include "gateway/config/address.h"
#include "gateway/console/console.h"
#include "gateway/route/route.h"
#include "gateway/upstream/pooled_upstream.h"

namespace headgate {
namespace {

SessionLimits LimitsFrom(const Settings& settings) {
  SessionLimits limits;
  const std::size_t high = settings.limits.max_buffered_bytes;
  limits.answers = limits.requests = Watermarks{high / 4, high};
  limits.stall_timeout = settings.timeouts.stall;
  return limits;
}

// Timeouts are looked at four times in the shortest of them, but no more often
// than every 10 ms and no more seldom than every 250 ms.
absl::Duration TickFor(const Settings& settings) {
  const TimeoutSettings& timeouts = settings.timeouts;
  absl::Duration shortest =
      std::min({timeouts.handshake, timeouts.send, timeouts.stall,
                timeouts.close, timeouts.message, timeouts.keep_alive,
                settings.keepalive.interval, settings.keepalive.timeout});
  for (const Route& route : settings.routes) {
    shortest = std::min({shortest, route.idle_timeout, route.max_age});
  }
  return std::clamp(shortest / 4, absl::Milliseconds(10),
                    absl::Milliseconds(250));
}

// Of a connection at rest, silence and age are all that is timed. It is looked
// at sixteen times in the shortest of these, but no more often than the others
// and no more seldom than every 2 s.
absl::Duration RestFor(const Settings& settings) {
  absl::Duration shortest = settings.keepalive.interval;
  for (const Route& route : settings.routes) {
    shortest = std::min({shortest, route.idle_timeout, route.max_age});
  }
  return std::clamp(shortest / 16, TickFor(settings), absl::Seconds(2));
}

ConnectionSettings ConnectionSettingsFor(
    const Settings& settings, const ListenerSettings& listener,
    const std::shared_ptr<const TlsContext>& tls, SocketReach reach,
    const std::shared_ptr<const Router>& router,
    const std::shared_ptr<const ConsoleIndex>& console) {
  ConnectionSettings connection;
  connection.policy.router = router;
  connection.policy.allowed_origins = listener.allowed_origins;
  for (const std::string& proxy : listener.trusted_proxies) {
    connection.policy.trusted_proxies.push_back(*Network::Parse(proxy));
  }
  connection.policy.allowed_hosts = listener.allowed_hosts;
  // No page can make a browser send a PROXY header.
  connection.policy.is_loopback =
      reach == SocketReach::kLoopback && !listener.proxy_protocol;
  connection.policy.is_behind_proxy =
      reach == SocketReach::kFile || listener.proxy_protocol;
  connection.policy.refusals = listener.refusals;
  if (settings.limits.max_sessions_per_identity > 0) {
    connection.policy.identity = {settings.limits.identity_claim,
                                  settings.limits.identity_header};
  }
  if (listener.console) connection.policy.console = console;
  connection.max_header_bytes = settings.limits.max_header_bytes;
  connection.handshake_timeout = settings.timeouts.handshake;
  connection.send_timeout = settings.timeouts.send;
  connection.close_timeout = settings.timeouts.close;
  connection.message_timeout = settings.timeouts.message;
  connection.keep_alive_timeout = settings.timeouts.keep_alive;
  connection.keepalive = settings.keepalive;
  connection.compression = listener.compression;
  connection.proxy_protocol = listener.proxy_protocol;
  connection.tls = tls;
  connection.http2.enabled = listener.http2;
  connection.http2.max_streams =
      static_cast<std::uint32_t>(listener.http2_max_streams);
  return connection;
}

std::vector<Route> RoutesOf(const Settings& settings) {
  std::vector<Route> routes = settings.routes;
  for (Route& route : routes) {
    route.max_metadata_bytes = settings.limits.max_metadata_bytes;
    for (const UpstreamSettings& upstream : settings.upstreams) {
      if (upstream.name != route.upstream) continue;
      route.own_metadata_bytes = OwnHeaderListBytes(upstream);
    }
  }
  return routes;
}

std::vector<std::shared_ptr<const ConnectionSettings>> ListenersOf(
    const Settings& settings, const Configuration::Tls& tls,
    const Configuration::Reaches& reaches) {
  const auto router = std::make_shared<const Router>(RoutesOf(settings));
  const bool has_console = absl::c_any_of(
      settings.listeners,
      [](const ListenerSettings& listener) { return listener.console; });
  const auto console = has_console ? MakeConsoleIndex(settings) : nullptr;
  std::vector<std::shared_ptr<const ConnectionSettings>> listeners;
  for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
    listeners.push_back(std::make_shared<const ConnectionSettings>(
        ConnectionSettingsFor(settings, settings.listeners[i], tls[i],
                              reaches[i], router, console)));
  }
  return listeners;
}

SchemaSourceOptions SchemaOptionsFrom(const UpstreamSettings& upstream,
                                      const TimeoutSettings& timeouts) {
  SchemaSourceOptions options;
  options.reflection = upstream.descriptors.reflection;
  options.files = upstream.descriptors.files;
  options.http_rules_files = upstream.http_rules_files;
  options.refresh_after = upstream.descriptors.refresh;
  options.fetch_timeout = timeouts.reflection;
  return options;
}

std::vector<std::shared_ptr<SharedUpstream>> UpstreamsOf(
    const Settings& settings, const Configuration* before,
    SchemaStore::Executor builder) {
  if (builder == nullptr) {
    builder = [](const std::function<void()>& task) { task(); };
  }
  std::vector<std::shared_ptr<SharedUpstream>> upstreams;
  for (const UpstreamSettings& wanted : settings.upstreams) {
    upstreams.push_back(nullptr);
    for (std::size_t i = 0;
         before != nullptr &&
         before->settings.timeouts.reflection == settings.timeouts.reflection &&
         i < before->settings.upstreams.size();
         ++i) {
      if (before->settings.upstreams[i] == wanted) {
        upstreams.back() = before->upstreams[i];
      }
    }
    if (upstreams.back() == nullptr) {
      upstreams.back() = std::make_shared<SharedUpstream>(SchemaStore::Make(
          SchemaOptionsFrom(wanted, settings.timeouts), builder));
    }
  }
  return upstreams;
}

absl::flat_hash_map<std::uint64_t, HubSpec> HubsOf(
    const Settings& settings,
    const std::vector<std::shared_ptr<SharedUpstream>>& upstreams) {
  absl::flat_hash_map<std::uint64_t, HubSpec> hubs;
  for (const Route& route : settings.routes) {
    if (!std::holds_alternative<HubTarget>(route.target)) continue;
    HubSpec spec = HubSpecOf(settings, route);
    for (std::size_t i = 0; i < settings.upstreams.size(); ++i) {
      if (settings.upstreams[i].name == route.upstream) {
        spec.shared = upstreams[i];
      }
    }
    hubs.emplace(route.hub_id, std::move(spec));
  }
  return hubs;
}

}  // namespace

Configuration::Configuration(Settings from, const Tls& tls,
                             const Reaches& reaches,
                             const ConnectionLimit& connections,
                             const Configuration* before,
                             SchemaStore::Executor builder)
    : settings(std::move(from)),
      limits(LimitsFrom(settings)),
      connections(connections),
      tick(TickFor(settings)),
      rest(RestFor(settings)),
      listeners(ListenersOf(settings, tls, reaches)),
      upstreams(UpstreamsOf(settings, before, std::move(builder))),
      hubs(HubsOf(settings, upstreams)) {}

HubSpec HubSpecOf(const Settings& settings, const Route& route) {
  HubSpec spec;
  spec.route = RouteName(route);
  spec.target = std::get<HubTarget>(route.target);
  spec.form = {route.packet, route.json.json, route.max_message_bytes,
               spec.target.packet_type, spec.target.message};
  for (const UpstreamSettings& upstream : settings.upstreams) {
    if (upstream.name == route.upstream) spec.upstream = upstream;
  }
  spec.max_answer_bytes = settings.limits.max_answer_bytes;
  spec.read_ahead_bytes = settings.limits.max_buffered_bytes;
  return spec;
}

}  // namespace headgate
