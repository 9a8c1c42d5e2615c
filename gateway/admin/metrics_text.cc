#include "gateway/admin/metrics_text.h"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gateway/base/version.h"
#include "gateway/http/refusal.h"

namespace headgate {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Each reason and limit has a line from the start, so that a rate has something
// to begin with.

// The labels of the refusals that a metric counts.
std::vector<const char*> RefusalLabels(RefusalKind::Metric metric) {
  std::vector<const char*> labels;
  for (const RefusalKind& kind : RefusalKinds()) {
    if (kind.metric == metric) labels.push_back(kind.label.data());
  }
  return labels;
}

constexpr const char* kLimits[] = {
    "max_message_bytes", "messages_per_second",
    "bytes_per_second",  "idle_timeout",
    "max_age",           "send_timeout",
    "stall_timeout",     "keepalive_timeout",
    "message_timeout",   "max_memory",
    "token_expiry",      "max_sessions_per_identity"};

class Families {
 public:
  // Begins a family; what follows is of it.
  Families& Begin(MetricType type, std::string name, std::string help) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return *this;
  }
  Families& Counter(std::string name, std::string help) {
    return Begin(MetricType::Counter, std::move(name), std::move(help));
  }
  Families& Gauge(std::string name, std::string help) {
    return Begin(MetricType::Gauge, std::move(name), std::move(help));
  }

  Families& Add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }
  Families& Add(const Histogram& histogram, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
      count += histogram.counts()[i];
      metric.histogram.bucket.push_back(
          {count, i < histogram.bounds().size()
                      ? histogram.bounds()[i]
                      : std::numeric_limits<double>::infinity()});
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = histogram.sum();
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }

  // A sample for each of `counts`, and for each of `known` that has none.
  Families& AddAll(const char* label, absl::Span<const char* const> known,
                   absl::btree_map<std::string, std::uint64_t> counts) {
    for (const char* name : known) counts[name];
    for (const auto& [name, count] : counts) {
      Add(static_cast<double>(count), {{label, name}});
    }
    return *this;
  }

  const std::vector<MetricFamily>& list() const { return families_; }

 private:
  std::vector<MetricFamily> families_;
};

// Of one number for each hub.
void AddHubs(const Stats& stats, std::uint64_t HubCounts::*member,
             Families& families, const Labels& labels = {}) {
  for (const auto& [route, hub] : stats.hubs) {
    Labels all = {{"route", route}};
    all.insert(all.end(), labels.begin(), labels.end());
    families.Add(static_cast<double>(hub.counts.*member), std::move(all));
  }
}

void AddHubStates(const Stats& stats, Families& families) {
  using Hub = Stats::PerHub;
  const auto add = [&](std::uint64_t Hub::*member) {
    for (const auto& [route, hub] : stats.hubs) {
      families.Add(static_cast<double>(hub.*member), {{"route", route}});
    }
  };
  families.Gauge("headgate_hub_sessions", "Sessions of hubs.");
  add(&Hub::sessions);
  families.Gauge("headgate_hub_groups", "Groups with members.");
  add(&Hub::groups);
  families.Gauge("headgate_hub_stream_up",
                 "Whether the hub's streams to its backend are open, those "
                 "that sessions need.");
  for (const auto& [route, hub] : stats.hubs) {
    families.Add(hub.is_up ? 1 : 0, {{"route", route}});
  }
  families.Gauge("headgate_hub_streams", "The hub's streams, by state.");
  for (const auto& [route, hub] : stats.hubs) {
    for (const absl::string_view state :
         {"none", "opening", "replaying", "live", "lost"}) {
      const auto found = hub.streams.find(state);
      const std::uint64_t count =
          found == hub.streams.end() ? 0 : found->second;
      families.Add(static_cast<double>(count),
                   {{"route", route}, {"state", std::string(state)}});
    }
  }
  families.Gauge("headgate_hub_event_queue_bytes",
                 "Events that wait for the stream.");
  add(&Hub::queued_bytes);
  families.Gauge(
      "headgate_hub_pinned_bytes",
      "Bytes of hubs' messages that clients have not taken; one that "
      "waits for many counts once for a worker.");
  families.Add(static_cast<double>(stats.hub_pinned_bytes), {});
}

void AddHubStreams(const Stats& stats, Families& families) {
  const auto add = [&](std::uint64_t HubCounts::*member, Labels labels = {}) {
    AddHubs(stats, member, families, labels);
  };
  families.Counter("headgate_hub_streams_opened_total",
                   "Streams that were opened.");
  add(&HubCounts::streams_opened);
  families.Counter("headgate_hub_streams_lost_total",
                   "Streams that have ended, or could not be opened.");
  add(&HubCounts::streams_lost);
  families.Counter("headgate_hub_events_total",
                   "Events for the backend, by kind.");
  add(&HubCounts::joined, {{"kind", "joined"}});
  add(&HubCounts::messages, {{"kind", "message"}});
  add(&HubCounts::left, {{"kind", "left"}});
  families.Counter("headgate_hub_commands_total",
                   "Commands of the backend, by kind, and whether they could "
                   "be carried out.");
  for (const auto& [route, hub] : stats.hubs) {
    for (std::size_t kind = 0; kind < HubCounts::kCommands.size(); ++kind) {
      const absl::string_view name = HubCounts::kCommands[kind];
      for (std::size_t i = 0; !name.empty() && i < HubCounts::kOutcomes.size();
           ++i) {
        families.Add(static_cast<double>(hub.counts.commands[kind][i]),
                     {{"route", route},
                      {"kind", std::string(name)},
                      {"outcome", std::string(HubCounts::kOutcomes[i])}});
      }
    }
  }
  families.Counter("headgate_hub_sessions_abandoned_total",
                   "Sessions that were closed because the backend was lost.");
  add(&HubCounts::abandoned);
}

void AddHubMessages(const Stats& stats, Families& families) {
  const auto add = [&](std::uint64_t HubCounts::*member, Labels labels = {}) {
    AddHubs(stats, member, families, labels);
  };
  families.Counter("headgate_hub_publications_total",
                   "Messages for audiences: broadcasts of the backend, what "
                   "clients publish, and requests of the API and of other "
                   "gateways that have found receivers.");
  add(&HubCounts::published_by_stream, {{"source", "stream"}});
  add(&HubCounts::published_by_api, {{"source", "api"}});
  add(&HubCounts::published_by_clients, {{"source", "client"}});
  add(&HubCounts::published_elsewhere, {{"source", "gateway"}});
  families.Counter("headgate_hub_recoveries_total",
                   "Joins of clients to groups with history that asked for "
                   "what they have missed.");
  add(&HubCounts::recoveries, {{"outcome", "recovered"}});
  add(&HubCounts::recoveries_lost, {{"outcome", "lost"}});
  add(&HubCounts::recoveries_failed, {{"outcome", "failed"}});
  families.Counter("headgate_hub_resumes_total",
                   "Clients that came back with a resume token.");
  add(&HubCounts::resumes, {{"outcome", "resumed"}});
  add(&HubCounts::resumes_refused, {{"outcome", "refused"}});
  families.Counter("headgate_hub_gaps_total",
                   "Times that a client was told that publications to a group "
                   "may be missing.");
  add(&HubCounts::gaps);
  families.Counter("headgate_hub_deliveries_total",
                   "Messages of the backend, once for each receiver.");
  add(&HubCounts::deliveries);
  families.Counter("headgate_hub_encodings_total",
                   "Messages of the backend, once for each codec among their "
                   "receivers.");
  add(&HubCounts::encodings);
  families.Counter("headgate_hub_sends_total",
                   "Times that clients' connections were given messages, "
                   "several at once where several waited.");
  add(&HubCounts::sends);
  families.Begin(MetricType::Histogram, "headgate_hub_fanout_seconds",
                 "From a publication until a worker has given it to its "
                 "connections.");
  for (const auto& [route, hub] : stats.hubs) {
    families.Add(hub.counts.fanout, {{"route", route}});
  }
  families.Counter("headgate_hub_dropped_total",
                   "Messages for clients that the slow-client policy dropped.");
  add(&HubCounts::dropped);
  families.Counter("headgate_hub_slow_disconnects_total",
                   "Sessions that were closed for being slow.");
  add(&HubCounts::slow);
}

void AddHubApi(const Stats& stats, Families& families) {
  if (stats.hub_api_requests.empty()) return;
  families.Counter("headgate_hub_api_requests_total",
                   "Requests of the hub API, by method and gRPC code.");
  absl::btree_map<std::string, std::uint64_t> denied;
  for (const auto& [key, count] : stats.hub_api_requests) {
    const auto& [method, code] = key;
    families.Add(static_cast<double>(count),
                 {{"method", method}, {"code", code}});
    const bool is_denied =
        code == "PERMISSION_DENIED" || code == "UNAUTHENTICATED";
    denied[method] += is_denied ? count : 0;
  }
  families
      .Counter("headgate_hub_api_denied_total",
               "Requests of the hub API without a token, certificate or "
               "grant that allows them.")
      .AddAll("method", {}, std::move(denied));
}

void AddHubEngine(const Stats& stats, Families& families) {
  if (!stats.hub_engine) return;
  const Stats::PerEngine& engine = *stats.hub_engine;
  families.Gauge("headgate_hub_engine_up",
                 "Whether the hubs' engine is connected to NATS.");
  families.Add(engine.is_up ? 1 : 0, {});
  families.Counter("headgate_hub_engine_reconnects_total",
                   "Connections to NATS after the first.");
  families.Add(static_cast<double>(engine.reconnects), {});
  families.Counter("headgate_hub_engine_dropped_total",
                   "Records of other gateways that were dropped, as too many "
                   "waited or as they were malformed.");
  families.Add(static_cast<double>(engine.dropped), {});
  families.Counter("headgate_hub_engine_gaps_total",
                   "Times that publications to a group with history may be "
                   "missing.");
  families.Add(static_cast<double>(engine.gaps), {});
  families.Begin(MetricType::Histogram, "headgate_hub_engine_publish_seconds",
                 "From a publication of the API or a client, or one to a "
                 "group with history, until NATS has it.");
  families.Add(engine.publish, {});
  families.Gauge("headgate_hub_replicas",
                 "Gateways that share the hubs and are there, with this one.");
  families.Add(static_cast<double>(engine.replicas), {});
}

void AddSessions(const Stats& stats, Families& families) {
  families.Gauge("headgate_sessions", "Sessions that are open.");
  for (const auto& [route, of] : stats.routes) {
    families.Add(static_cast<double>(of.open), {{"route", route}});
  }
  families.Counter("headgate_sessions_opened_total",
                   "Sessions that were opened.");
  for (const auto& [route, of] : stats.routes) {
    families.Add(static_cast<double>(of.opened), {{"route", route}});
  }
  families.Counter("headgate_sessions_closed_total",
                   "Sessions that have ended, by the Close frame's code "
                   "(3000: one of the client's own) and who ended them.");
  for (const auto& [key, count] : stats.closes) {
    const auto& [route, code, cause] = key;
    families.Add(static_cast<double>(count),
                 {{"route", route},
                  {"close_code", absl::StrCat(code)},
                  {"cause", cause}});
  }
  families.Begin(MetricType::Histogram, "headgate_session_duration_seconds",
                 "How long sessions that have ended were open.");
  for (const auto& [route, of] : stats.routes) {
    families.Add(of.duration, {{"route", route}});
  }
  families.Begin(MetricType::Histogram, "headgate_first_message_seconds",
                 "From a session's start to its first answer.");
  for (const auto& [route, of] : stats.routes) {
    families.Add(of.first_message, {{"route", route}});
  }
  families
      .Counter("headgate_handshakes_refused_total",
               "Requests that did not become a session.")
      .AddAll("reason", RefusalLabels(RefusalKind::Metric::kHandshakes),
              stats.refused);
  families
      .Counter("headgate_limits_hit_total",
               "Sessions that a limit has ended, and calls whose in-band "
               "credentials it has refused.")
      .AddAll("limit", kLimits, stats.limits);
}

void AddTraffic(const Stats& stats, Families& families) {
  families.Counter("headgate_calls_total",
                   "gRPC calls that have ended, by their status.");
  for (const auto& [key, count] : stats.calls) {
    const auto& [upstream, method, code] = key;
    families.Add(static_cast<double>(count),
                 {{"upstream", upstream}, {"method", method}, {"code", code}});
  }
  families.Begin(MetricType::Histogram, "headgate_call_duration_seconds",
                 "From the client's request for a call to its status; 1000 "
                 "combinations of labels, the others are of method other.");
  for (const auto& [key, call] : stats.call_durations) {
    const auto& [upstream, method, code] = key;
    families.Add(call.duration,
                 {{"upstream", upstream}, {"method", method}, {"code", code}});
  }
  families.Counter("headgate_messages_total",
                   "Messages of clients (in) and to them (out).");
  for (const auto& [key, traffic] : stats.traffic) {
    const auto& [dialect, direction] = key;
    families.Add(
        static_cast<double>(traffic.messages),
        {{"codec", dialect}, {"dialect", dialect}, {"direction", direction}});
  }
  families.Counter("headgate_message_bytes_total",
                   "Their payload, decompressed.");
  for (const auto& [key, traffic] : stats.traffic) {
    const auto& [dialect, direction] = key;
    families.Add(
        static_cast<double>(traffic.bytes),
        {{"codec", dialect}, {"dialect", dialect}, {"direction", direction}});
  }
  families
      .Gauge("headgate_buffered_bytes",
             "What waits in sessions for backends (in) and clients (out).")
      .Add(static_cast<double>(stats.buffered_in), {{"direction", "in"}})
      .Add(static_cast<double>(stats.buffered_out), {{"direction", "out"}});
  families
      .Begin(MetricType::Histogram, "headgate_ping_seconds",
             "Round trip of keepalive pings to clients.")
      .Add(stats.ping_rtt);
}

void AddListeners(const Stats& stats, Families& families) {
  const auto each = [&](const auto& value_of) {
    for (const auto& [address, listener] : stats.listeners) {
      families.Add(static_cast<double>(value_of(listener)),
                   {{"listener", address}});
    }
  };
  families.Gauge("headgate_connections", "Connections that are open.");
  each([](const Stats::PerListener& of) { return of.open; });
  families.Counter("headgate_connections_accepted_total",
                   "Connections that were accepted.");
  each([](const Stats::PerListener& of) { return of.accepted; });
  families.Counter("headgate_tls_handshakes_total",
                   "TLS handshakes that succeeded.");
  for (const auto& [address, listener] : stats.listeners) {
    if (listener.certificate_expiry == 0) continue;
    for (const auto& [version, counts] :
         {std::pair("1.2", &listener.tls_12), {"1.3", &listener.tls_13}}) {
      for (const bool resumed : {false, true}) {
        families.Add(static_cast<double>((*counts)[resumed ? 1 : 0]),
                     {{"listener", address},
                      {"resumed", resumed ? "true" : "false"},
                      {"version", version}});
      }
    }
  }
  families.Begin(MetricType::Histogram, "headgate_tls_handshake_seconds",
                 "From a client's first byte to the end of its TLS handshake.");
  for (const auto& [address, listener] : stats.listeners) {
    if (listener.certificate_expiry == 0) continue;
    families.Add(listener.tls_duration, {{"listener", address}});
  }
  families.Counter("headgate_tls_handshakes_delayed_total",
                   "TLS handshakes that had to wait, because of "
                   "handshakes_per_second.");
  each([](const Stats::PerListener& of) { return of.tls_delayed; });
  families.Counter("headgate_tls_handshakes_failed_total",
                   "Connections whose TLS handshake failed.");
  each([](const Stats::PerListener& of) { return of.tls_failed; });
  families
      .Counter("headgate_tls_floods_total",
               "TLS connections that were ended because the client kept asking "
               "for new keys or renegotiation, or took no responses.")
      .Add(static_cast<double>(stats.tls_floods));
  families.Counter("headgate_proxy_headers_failed_total",
                   "Connections without a valid PROXY header.");
  each([](const Stats::PerListener& of) { return of.proxy_failed; });
  families.Counter("headgate_http2_connections_total",
                   "Connections whose client spoke HTTP/2.");
  each([](const Stats::PerListener& of) { return of.http2; });
  families.Counter("headgate_http2_connections_failed_total",
                   "HTTP/2 connections that ended because the client broke the "
                   "protocol (`protocol`) or sent too much that serves no "
                   "stream.");
  for (const auto& [address, listener] : stats.listeners) {
    for (const absl::string_view reason :
         {"protocol", "resets", "pings", "settings", "empty_data", "bytes"}) {
      const auto count = listener.http2_failed.find(reason);
      families.Add(count == listener.http2_failed.end()
                       ? 0
                       : static_cast<double>(count->second),
                   {{"listener", address}, {"reason", std::string(reason)}});
    }
  }
  families
      .Gauge("headgate_connections_limit",
             "Maximum number of connections: max_connections, or fewer where "
             "file descriptors are few.")
      .Add(static_cast<double>(stats.connection_limit));
  families
      .Counter("headgate_connections_refused_total",
               "Connections for which there was no room.")
      .AddAll("reason", RefusalLabels(RefusalKind::Metric::kConnections),
              stats.connections_refused);
  families
      .Counter("headgate_idle_connections_closed_total",
               "Connections that were closed while they waited for a request, "
               "to make room for others or because memory is short.")
      .Add(static_cast<double>(stats.idle_connections_closed));
  families
      .Counter("headgate_accept_errors_total",
               "Failures to accept a connection, such as a lack of file "
               "descriptors.")
      .Add(static_cast<double>(stats.accept_errors));
  families.Gauge("headgate_certificate_expiry_timestamp_seconds",
                 "When the listener's certificate ends, Unix time.");
  for (const auto& [address, listener] : stats.listeners) {
    if (listener.certificate_expiry == 0) continue;
    families.Add(static_cast<double>(listener.certificate_expiry),
                 {{"listener", address}});
  }
}

void AddUpstreams(const Stats& stats, Families& families) {
  families.Gauge("headgate_upstream_reachable",
                 "Whether calls are likely to reach the upstream.");
  for (const auto& [name, upstream] : stats.upstreams) {
    if (!upstream.known) continue;
    families.Add(upstream.reachable ? 1 : 0, {{"upstream", name}});
  }
  families.Gauge("headgate_upstream_connections",
                 "gRPC channels to the upstream, of all workers.");
  for (const auto& [name, upstream] : stats.upstreams) {
    families.Add(static_cast<double>(upstream.connections),
                 {{"upstream", name}});
  }
}

void AddProcess(const MetricsSource& source, Families& families) {
  const Stats& stats = source.stats;
  families.Gauge("headgate_build_info", "1; the version is the label.")
      .Add(1, {{"version", kVersion}});
  families.Gauge("headgate_ready", "Whether /readyz says so.")
      .Add(source.readiness.ready ? 1 : 0);
  families.Gauge("headgate_draining", "Whether the gateway is shutting down.")
      .Add(source.draining ? 1 : 0);
  families.Begin(MetricType::Histogram, "headgate_worker_lag_seconds",
                 "How late a worker's event loop ran its timers.");
  for (const auto& [index, worker] : stats.workers) {
    families.Add(worker.lag, {{"worker", absl::StrCat(index)}});
  }
  families.Gauge("headgate_worker_silence_seconds",
                 "For how long a worker's event loop has not run; /healthz "
                 "fails from 5 on.");
  for (const auto& [index, worker] : stats.workers) {
    families.Add(worker.silence, {{"worker", absl::StrCat(index)}});
  }
  families
      .Counter("headgate_log_lines_dropped_total",
               "Log lines that stderr did not take.")
      .Add(static_cast<double>(source.log_lines_dropped));
  families
      .Counter("headgate_config_reloads_total",
               "Times that the configuration was read again.")
      .Add(static_cast<double>(stats.reloads_ok), {{"result", "ok"}})
      .Add(static_cast<double>(stats.reloads_failed), {{"result", "failed"}});
  families
      .Gauge("headgate_config_last_reload_successful",
             "Whether the last time went well; 1 before the first.")
      .Add(stats.last_reload_ok ? 1 : 0);
  families
      .Gauge("headgate_memory_used_bytes",
             "What max_memory counts: resident memory that no file is behind.")
      .Add(static_cast<double>(stats.memory_used));
  families
      .Gauge("headgate_memory_limit_bytes",
             "What max_memory comes to; 0: no limit.")
      .Add(static_cast<double>(stats.memory_limit));
  families
      .Counter("headgate_spans_total",
               "Spans of sampled calls: taken by the collector (`exported`), "
               "not taken (`failed`), or dropped because too many waited "
               "(`dropped`).")
      .Add(static_cast<double>(stats.spans_exported), {{"outcome", "exported"}})
      .Add(static_cast<double>(stats.spans_failed), {{"outcome", "failed"}})
      .Add(static_cast<double>(stats.spans_dropped), {{"outcome", "dropped"}});
  families.Gauge("headgate_taps", "Readers of /tap.")
      .Add(static_cast<double>(stats.taps));
  families
      .Counter("headgate_tap_events_dropped_total",
               "Events that a reader of /tap missed, for each that did.")
      .Add(static_cast<double>(stats.tap_events_dropped));
  const ProcessMetrics& process = source.process;
  families
      .Counter("process_cpu_seconds_total", "Processor time, user and system.")
      .Add(process.cpu_seconds);
  families.Gauge("process_resident_memory_bytes", "Resident memory.")
      .Add(static_cast<double>(process.resident_bytes));
  families.Gauge("process_virtual_memory_bytes", "Virtual memory.")
      .Add(static_cast<double>(process.virtual_bytes));
  families.Gauge("process_open_fds", "File descriptors in use.")
      .Add(static_cast<double>(process.open_fds));
  families.Gauge("process_max_fds", "File descriptors that there may be.")
      .Add(static_cast<double>(process.max_fds));
  families.Gauge("process_start_time_seconds", "Start, Unix time.")
      .Add(process.start_time);
}

}  // namespace

std::string MetricsText(const MetricsSource& source) {
  Families families;
  AddSessions(source.stats, families);
  if (!source.stats.hubs.empty()) {
    AddHubStates(source.stats, families);
    AddHubStreams(source.stats, families);
    AddHubMessages(source.stats, families);
  }
  AddHubApi(source.stats, families);
  AddHubEngine(source.stats, families);
  AddTraffic(source.stats, families);
  AddListeners(source.stats, families);
  AddUpstreams(source.stats, families);
  AddProcess(source, families);
  return prometheus::TextSerializer().Serialize(families.list());
}

}  // namespace headgate
