#ifndef GATEWAY_ADMIN_STATS_H_
#define GATEWAY_ADMIN_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "absl/container/btree_map.h"
#include "gateway/base/histogram.h"
#include "gateway/hub/counts.h"

namespace headgate {

// What has been counted since the start, by one worker or, merged, by all. The
// names in it, which become labels, come from the configuration, from
// descriptors and from enumerations of the gateway's own, never from a client.
//
// Plain data. Thread: one at a time.
struct Stats {
  Stats();

  struct PerRoute {
    PerRoute();
    std::uint64_t open = 0;  // Sessions, now.
    std::uint64_t opened = 0;
    Histogram
        first_message;   // From the session's start to its first answer, s.
    Histogram duration;  // Of sessions that have ended, s.
  };
  struct PerListener {
    PerListener();
    std::uint64_t open = 0;  // Connections, now.
    std::uint64_t accepted = 0;
    std::uint64_t tls_failed = 0;
    // TLS handshakes that succeeded: full ones, and resumed sessions.
    std::array<std::uint64_t, 2> tls_12 = {};
    std::array<std::uint64_t, 2> tls_13 = {};
    std::uint64_t tls_delayed = 0;   // TLS handshakes that had to wait.
    Histogram tls_duration;          // From the client's first byte, s.
    std::uint64_t proxy_failed = 0;  // PROXY headers that were none.
    std::uint64_t http2 = 0;         // Connections that spoke HTTP/2.
    // Those that ended because the client broke HTTP/2, by reason.
    absl::btree_map<std::string, std::uint64_t> http2_failed;
    // The end of the certificate in use, Unix seconds; 0: no TLS.
    std::int64_t certificate_expiry = 0;
  };
  struct PerUpstream {
    bool known = false;  // Whether it is reachable has been found out.
    bool reachable = false;
    std::uint64_t connections = 0;  // Channels, now.
  };
  struct PerHub {
    std::uint64_t sessions = 0;  // Now, and so the three below.
    std::uint64_t groups = 0;
    bool is_up = false;  // Its streams are.
    absl::btree_map<absl::string_view, std::uint64_t> streams;  // By state.
    std::uint64_t queued_bytes = 0;
    HubCounts counts;

    // Adds those of another hub of the same route.
    void Add(const PerHub& other);
  };
  // Of the hubs' way to other gateways.
  struct PerEngine {
    PerEngine();
    bool is_up = false;
    std::uint64_t reconnects = 0;
    std::uint64_t replicas = 0;  // That are there, with this one.
    std::uint64_t dropped = 0;   // Records of others.
    std::uint64_t gaps = 0;      // In histories of groups.
    Histogram publish;           // From a publication until NATS has it, s.
  };
  struct PerWorker {
    PerWorker();
    Histogram lag;  // How late its event loop ran timers, s.
    // For how long its event loop has not run, as the control thread sees it.
    double silence = 0;
  };
  struct PerCall {
    PerCall();
    Histogram duration;  // From the client's request to the status, s.
  };
  struct Traffic {
    std::uint64_t messages = 0;  // WebSocket messages, or lines over HTTP.
    std::uint64_t bytes = 0;     // Their payload, decompressed.
  };

  using CallKey = std::tuple<std::string, std::string, std::string>;
  using CloseKey = std::tuple<std::string, int, std::string>;
  using TrafficKey = std::tuple<std::string, std::string>;

  absl::btree_map<std::string, PerRoute> routes;        // By Route's name.
  absl::btree_map<std::string, PerListener> listeners;  // By address.
  absl::btree_map<std::string, PerUpstream> upstreams;  // By name.
  // By Route's name; set once, not merged.
  absl::btree_map<std::string, PerHub> hubs;
  // (method, gRPC code's name): requests of the hub API; set once, not merged.
  absl::btree_map<TrafficKey, std::uint64_t> hub_api_requests;
  // Absent: no other gateways share the hubs. Set once, not merged.
  std::optional<PerEngine> hub_engine;
  // (upstream, method, gRPC code's name): calls that have ended.
  absl::btree_map<CallKey, std::uint64_t> calls;
  // The same keys, a limited number of them (CallSeries).
  absl::btree_map<CallKey, PerCall> call_durations;
  // (route, close code, cause): sessions that have ended.
  absl::btree_map<CloseKey, std::uint64_t> closes;
  absl::btree_map<std::size_t, PerWorker> workers;  // By index.
  // (codec, "in" or "out").
  absl::btree_map<TrafficKey, Traffic> traffic;
  absl::btree_map<std::string, std::uint64_t> refused;  // By reason.
  absl::btree_map<std::string, std::uint64_t> limits;   // By limit.
  // What waits in sessions now: for the backend, for the client.
  std::uint64_t buffered_in = 0;
  std::uint64_t buffered_out = 0;
  std::uint64_t hub_pinned_bytes = 0;  // PinnedFrames::bytes
  Histogram ping_rtt;                  // s.
  std::uint64_t accept_errors = 0;
  std::uint64_t tls_floods = 0;  // TlsBuffers::floods
  // Connections for which there was no room, by reason.
  absl::btree_map<std::string, std::uint64_t> connections_refused;
  std::uint64_t idle_connections_closed = 0;
  std::uint64_t connection_limit = 0;  // Of all; set once, not merged.
  // Of the process, bytes; 0: no limit. Set once, not merged.
  std::uint64_t memory_used = 0;
  std::uint64_t memory_limit = 0;
  // Spans, by what became of them; set once, not merged.
  std::uint64_t spans_exported = 0;
  std::uint64_t spans_failed = 0;        // The collector did not take them.
  std::uint64_t spans_dropped = 0;       // The queue was full.
  std::uint64_t taps = 0;                // Readers of /tap.
  std::uint64_t tap_events_dropped = 0;  // Of all readers so far.
  std::uint64_t reloads_ok = 0;
  std::uint64_t reloads_failed = 0;
  bool last_reload_ok = true;

  void Merge(const Stats& other);
};

}  // namespace headgate

#endif  // GATEWAY_ADMIN_STATS_H_
