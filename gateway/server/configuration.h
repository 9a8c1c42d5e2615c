#ifndef GATEWAY_SERVER_CONFIGURATION_H_
#define GATEWAY_SERVER_CONFIGURATION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gateway/config/settings.h"
#include "gateway/net/connection.h"
#include "gateway/net/listening_socket.h"
#include "gateway/server/connection_limit.h"
#include "gateway/server/hub_thread.h"
#include "gateway/server/shared_upstream.h"
#include "gateway/session/session.h"
#include "gateway/tls/context.h"

namespace headgate {

// What all workers of a server go by; a reload makes a new one. Immutable, so
// safe for any thread.
struct Configuration {
  // The TLS of each of settings.listeners; null: plain.
  using Tls = std::vector<std::shared_ptr<const TlsContext>>;
  // Of each of settings.listeners.
  using Reaches = std::vector<SocketReach>;
  // Upstreams that are the same in `before` are shared with it; null: none are.
  // `builder` runs what would hold up a worker; null: it is done at once.
  // Routes that are hubs have their `hub_id`.
  Configuration(Settings settings, const Tls& tls, const Reaches& reaches,
                const ConnectionLimit& connections = {},
                const Configuration* before = nullptr,
                SchemaStore::Executor builder = nullptr);

  const Settings settings;
  const SessionLimits limits;
  const ConnectionLimit connections;
  // How often the workers look at their timeouts.
  const absl::Duration tick;
  // How often they look at a connection that is at rest.
  const absl::Duration rest;
  // One for each of settings.listeners.
  const std::vector<std::shared_ptr<const ConnectionSettings>> listeners;
  // One for each of settings.upstreams.
  const std::vector<std::shared_ptr<SharedUpstream>> upstreams;
  // By Route::hub_id.
  const absl::flat_hash_map<std::uint64_t, HubSpec> hubs;
};

// What the hub of `route` is made of. Requires: the route is a hub's.
HubSpec HubSpecOf(const Settings& settings, const Route& route);

}  // namespace headgate

#endif  // GATEWAY_SERVER_CONFIGURATION_H_
