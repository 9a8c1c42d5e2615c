#include "gateway/config/convert.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/check.h"
#include "gateway/config/units.h"

namespace headgate {
namespace {

namespace pb = config::v1;

std::string Resolve(const std::string& directory, const std::string& file) {
  if (directory.empty() || file.empty() || file[0] == '/') return file;
  return absl::StrCat(directory, "/", file);
}

ListenerTlsSettings TlsFrom(const pb::ListenerTls& from,
                            const std::string& field,
                            const std::string& directory,
                            const FieldConverter& convert) {
  using Settings = ListenerTlsSettings;
  Settings to;
  const auto file = [&](absl::string_view member, bool has,
                        const std::string& name, std::string& path) {
    convert.Text(absl::StrCat(field, member), has, name, path);
    path = Resolve(directory, path);
  };
  file(".certificate", from.has_certificate(), from.certificate(),
       to.certificate);
  file(".key", from.has_key(), from.key(), to.key);
  file(".client_ca", from.has_client_ca(), from.client_ca(), to.client_ca);
  for (const std::string& path : from.session_ticket_keys()) {
    to.session_ticket_keys.push_back(Resolve(directory, path));
  }
  if (from.has_client_ca()) {
    to.client_certificates = Settings::ClientCertificates::kRequired;
  }
  Choose(from.client_certificates(),
         {{pb::ListenerTls::CLIENT_CERTIFICATES_NONE,
           Settings::ClientCertificates::kNone},
          {pb::ListenerTls::CLIENT_CERTIFICATES_OPTIONAL,
           Settings::ClientCertificates::kOptional},
          {pb::ListenerTls::CLIENT_CERTIFICATES_REQUIRED,
           Settings::ClientCertificates::kRequired}},
         to.client_certificates);
  if (from.min_version() == "1.3") {
    to.min_version = Settings::MinVersion::k13;
  } else if (from.has_min_version() && from.min_version() != "1.2") {
    convert.faults().Add(
        field + ".min_version",
        absl::StrCat("must be 1.2 or 1.3, is \"", from.min_version(), "\""));
  }
  return to;
}

void CompressionFrom(const pb::ListenerCompression& from,
                     const std::string& field, const FieldConverter& convert,
                     CompressionSettings& to) {
  if (from.has_enabled()) to.enabled = from.enabled();
  convert.Number(field + ".level", from.has_level(), from.level(), to.level);
  convert.Number(field + ".server_max_window_bits",
                 from.has_server_max_window_bits(),
                 from.server_max_window_bits(), to.server_max_window_bits);
  convert.Number(field + ".client_max_window_bits",
                 from.has_client_max_window_bits(),
                 from.client_max_window_bits(), to.client_max_window_bits);
  to.server_no_context_takeover = from.server_no_context_takeover();
  to.client_no_context_takeover = from.client_no_context_takeover();
  convert.Size(field + ".min_bytes", from.has_min_bytes(), from.min_bytes(),
               to.min_bytes);
}

ListenerSettings ListenerFrom(const pb::Listener& from,
                              const std::string& field,
                              const std::string& directory,
                              const FieldConverter& convert) {
  ListenerSettings to;
  convert.Text(field + ".address", from.has_address(), from.address(),
               to.address);
  to.allowed_origins.assign(from.allowed_origins().begin(),
                            from.allowed_origins().end());
  for (const std::string& host : from.allowed_hosts()) {
    to.allowed_hosts.push_back(absl::AsciiStrToLower(host));
  }
  to.trusted_proxies.assign(from.trusted_proxies().begin(),
                            from.trusted_proxies().end());
  to.refusals = RefusalsFrom(from.refusals(), to.refusals);
  if (from.has_tls()) {
    to.tls = TlsFrom(from.tls(), field + ".tls", directory, convert);
  }
  CompressionFrom(from.compression(), field + ".compression", convert,
                  to.compression);
  convert.Text(field + ".mode", from.has_mode(), from.mode(), to.file.mode);
  convert.Text(field + ".user", from.has_user(), from.user(), to.file.user);
  convert.Text(field + ".group", from.has_group(), from.group(), to.file.group);
  to.proxy_protocol = from.proxy_protocol();
  to.reuse_port = from.reuse_port();
  to.console = from.console();
  return to;
}

AdminSettings AdminFrom(const pb::Admin& from, const std::string& field,
                        const std::string& directory,
                        const FieldConverter& convert) {
  AdminSettings to;
  if (from.has_enabled()) to.enabled = from.enabled();
  convert.Text(field + ".address", from.has_address(), from.address(),
               to.address);
  if (!from.serve().empty()) to.serve.clear();
  for (const int part : from.serve()) {
    AdminPart serves = AdminPart::kHealth;
    Choose(static_cast<pb::Admin::Part>(part),
           {{pb::Admin::PART_HEALTH, AdminPart::kHealth},
            {pb::Admin::PART_METRICS, AdminPart::kMetrics},
            {pb::Admin::PART_ROUTES, AdminPart::kRoutes},
            {pb::Admin::PART_SESSIONS, AdminPart::kSessions},
            {pb::Admin::PART_LOG_LEVEL, AdminPart::kLogLevel}},
           serves);
    to.serve.insert(serves);
  }
  convert.Text(field + ".token_file", from.has_token_file(), from.token_file(),
               to.token_file);
  to.token_file = Resolve(directory, to.token_file);
  return to;
}

void DescriptorsFrom(const pb::Descriptors& from, const std::string& field,
                     const std::string& directory,
                     const FieldConverter& convert, DescriptorSettings& to) {
  if (from.has_reflection()) to.reflection = from.reflection();
  for (const std::string& file : from.files()) {
    to.files.push_back(Resolve(directory, file));
  }
  convert.Duration(field + ".refresh", from.has_refresh(), from.refresh(),
                   to.refresh);
}

UpstreamTlsSettings TlsFrom(const pb::UpstreamTls& from,
                            const std::string& field,
                            const std::string& directory,
                            const FieldConverter& convert) {
  UpstreamTlsSettings to;
  const auto file = [&](absl::string_view member, bool has,
                        const std::string& name, std::string& path) {
    convert.Text(absl::StrCat(field, member), has, name, path);
    path = Resolve(directory, path);
  };
  file(".ca", from.has_ca(), from.ca(), to.ca);
  file(".certificate", from.has_certificate(), from.certificate(),
       to.certificate);
  file(".key", from.has_key(), from.key(), to.key);
  convert.Text(field + ".authority", from.has_authority(), from.authority(),
               to.authority);
  return to;
}

UpstreamSettings UpstreamFrom(const pb::Upstream& from,
                              const std::string& field,
                              const std::string& directory,
                              const FieldConverter& convert) {
  using Settings = UpstreamSettings;
  Settings to;
  convert.Text(field + ".name", from.has_name(), from.name(), to.name);
  convert.Text(field + ".target", from.has_target(), from.target(), to.target);
  DescriptorsFrom(from.descriptors(), field + ".descriptors", directory,
                  convert, to.descriptors);
  if (from.has_tls()) {
    to.tls = TlsFrom(from.tls(), field + ".tls", directory, convert);
  }
  convert.Text(field + ".authority", from.has_authority(), from.authority(),
               to.authority);
  convert.DurationOrNone(field + ".deadline", from.has_deadline(),
                         from.deadline(), to.deadline);
  Choose(from.load_balancing(),
         {{pb::Upstream::LOAD_BALANCING_ROUND_ROBIN,
           Settings::LoadBalancing::kRoundRobin},
          {pb::Upstream::LOAD_BALANCING_PICK_FIRST,
           Settings::LoadBalancing::kPickFirst}},
         to.load_balancing);
  Choose(from.compression(),
         {{pb::Upstream::COMPRESSION_NONE, Settings::Compression::kNone},
          {pb::Upstream::COMPRESSION_GZIP, Settings::Compression::kGzip}},
         to.compression);
  Choose(from.transport(),
         {{pb::Upstream::TRANSPORT_AUTO, Settings::Transport::kAuto},
          {pb::Upstream::TRANSPORT_GRPC, Settings::Transport::kGrpc},
          {pb::Upstream::TRANSPORT_H2, Settings::Transport::kH2}},
         to.transport);
  convert.Number(field + ".max_streams_per_channel",
                 from.has_max_streams_per_channel(),
                 from.max_streams_per_channel(), to.max_streams_per_channel);
  const pb::Keepalive& keepalive = from.keepalive();
  if (keepalive.has_interval()) {
    convert.DurationOrNone(field + ".keepalive.interval", true,
                           keepalive.interval(),
                           to.keepalive_interval.emplace());
  }
  convert.Duration(field + ".keepalive.timeout", keepalive.has_timeout(),
                   keepalive.timeout(), to.keepalive_timeout);
  if (from.has_health_check()) to.health_check = from.health_check();
  for (const std::string& file : from.http_rules_files()) {
    to.http_rules_files.push_back(Resolve(directory, file));
  }
  return to;
}

// `route`: what every route has that says nothing else.
void LimitsFrom(const pb::Limits& from, const FieldConverter& convert,
                LimitSettings& to, Route& route) {
  convert.Number("limits.max_sessions", from.has_max_sessions(),
                 from.max_sessions(), to.max_sessions);
  // Of the routes, where it would be told once for each.
  std::size_t bytes = route.max_message_bytes;
  constexpr absl::string_view kField = "limits.max_message_bytes";
  convert.Size(kField, from.has_max_message_bytes(), from.max_message_bytes(),
               bytes);
  if (bytes >= 1 && bytes <= kMostMessageBytes) route.max_message_bytes = bytes;
  convert.faults().Range<std::size_t>(kField, bytes, 1, kMostMessageBytes);
  convert.Size("limits.max_answer_bytes", from.has_max_answer_bytes(),
               from.max_answer_bytes(), to.max_answer_bytes);
  convert.Size("limits.max_header_bytes", from.has_max_header_bytes(),
               from.max_header_bytes(), to.max_header_bytes);
  convert.Size("limits.max_metadata_bytes", from.has_max_metadata_bytes(),
               from.max_metadata_bytes(), to.max_metadata_bytes);
  convert.Size("limits.max_buffered_bytes", from.has_max_buffered_bytes(),
               from.max_buffered_bytes(), to.max_buffered_bytes);
  convert.Number("limits.max_sessions_per_address",
                 from.has_max_sessions_per_address(),
                 from.max_sessions_per_address(), to.max_sessions_per_address);
  if (from.has_max_memory()) {
    convert.Size("limits.max_memory", true, from.max_memory(),
                 to.max_memory.emplace());
  }
  const auto number = [&](absl::string_view field, bool has,
                          std::uint32_t value, std::optional<int>& setting) {
    if (has) convert.Number(field, has, value, setting.emplace());
  };
  number("limits.max_connections", from.has_max_connections(),
         from.max_connections(), to.max_connections);
  number("limits.max_connections_per_address",
         from.has_max_connections_per_address(),
         from.max_connections_per_address(), to.max_connections_per_address);
  RatesFrom(from, "limits", convert, route);
}

void TimeoutsFrom(const pb::Timeouts& from, const FieldConverter& convert,
                  TimeoutSettings& to, Route& route) {
  convert.Duration("timeouts.handshake", from.has_handshake(), from.handshake(),
                   to.handshake);
  convert.Duration("timeouts.send", from.has_send(), from.send(), to.send);
  convert.Duration("timeouts.stall", from.has_stall(), from.stall(), to.stall);
  convert.DurationOrNone("timeouts.message", from.has_message(), from.message(),
                         to.message);
  convert.Duration("timeouts.close", from.has_close(), from.close(), to.close);
  convert.Duration("timeouts.drain", from.has_drain(), from.drain(), to.drain);
  convert.Duration("timeouts.keep_alive", from.has_keep_alive(),
                   from.keep_alive(), to.keep_alive);
  convert.Duration("timeouts.reflection", from.has_reflection(),
                   from.reflection(), to.reflection);
  convert.DurationOrNone("timeouts.idle", from.has_idle(), from.idle(),
                         route.idle_timeout);
  convert.DurationOrNone("timeouts.max_age", from.has_max_age(), from.max_age(),
                         route.max_age);
  convert.Duration("timeouts.drain_delay", from.has_drain_delay(),
                   from.drain_delay(), to.drain_delay);
}

// The only upstream, or the one named so; "" when there is neither.
std::string DefaultUpstream(const std::vector<UpstreamSettings>& upstreams) {
  if (upstreams.size() == 1) return upstreams[0].name;
  const std::string name = UpstreamSettings().name;
  for (const UpstreamSettings& upstream : upstreams) {
    if (upstream.name == name) return name;
  }
  return "";
}

}  // namespace

void FieldConverter::Text(absl::string_view field, bool has,
                          const std::string& text, std::string& to) const {
  if (!has) return;
  if (text.empty()) return faults_.Add(field, "must not be empty");
  to = text;
}

void FieldConverter::Size(absl::string_view field, bool has,
                          const std::string& text, std::size_t& to) const {
  if (!has) return;
  const absl::StatusOr<std::size_t> size = ParseSize(text);
  if (!size.ok()) return faults_.Add(field, size.status().message());
  to = *size;
}

void FieldConverter::Duration(absl::string_view field, bool has,
                              const std::string& text,
                              absl::Duration& to) const {
  if (!has) return;
  const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
  if (!duration.ok()) return faults_.Add(field, duration.status().message());
  to = *duration;
}

void FieldConverter::DurationOrNone(absl::string_view field, bool has,
                                    const std::string& text,
                                    absl::Duration& to) const {
  Duration(field, has, text, to);
  if (to == absl::ZeroDuration()) to = absl::InfiniteDuration();
}

void FieldConverter::Number(absl::string_view field, bool has,
                            std::uint32_t number, int& to) const {
  if (!has) return;
  constexpr std::uint32_t kMost = std::numeric_limits<int>::max();
  if (number > kMost) return faults_.Range(field, number, 0u, kMost);
  to = static_cast<int>(number);
}

Refusals RefusalsFrom(pb::Refusals from, Refusals otherwise) {
  Choose(from,
         {{pb::REFUSALS_HTTP, Refusals::kHttp},
          {pb::REFUSALS_CLOSE, Refusals::kClose}},
         otherwise);
  return otherwise;
}

Settings ConvertConfig(const pb::Config& config, const std::string& directory,
                       Faults& faults) {
  const FieldConverter convert(faults);
  Settings to;
  if (!config.listeners().empty()) to.listeners.clear();
  for (const pb::Listener& listener : config.listeners()) {
    to.listeners.push_back(ListenerFrom(
        listener, absl::StrCat("listeners[", to.listeners.size(), "]"),
        directory, convert));
  }
  if (!config.upstreams().empty()) to.upstreams.clear();
  for (const pb::Upstream& upstream : config.upstreams()) {
    to.upstreams.push_back(UpstreamFrom(
        upstream, absl::StrCat("upstreams[", to.upstreams.size(), "]"),
        directory, convert));
  }

  Route base;
  base.refusals = to.listeners[0].refusals;
  base.upstream = DefaultUpstream(to.upstreams);
  LimitsFrom(config.limits(), convert, to.limits, base);
  TimeoutsFrom(config.timeouts(), convert, to.timeouts, base);
  to.routes.clear();
  for (const pb::Route& route : config.routes()) {
    to.routes.push_back(RouteFrom(
        route, absl::StrCat("routes[", to.routes.size(), "]"), base, convert));
  }
  if (to.routes.empty()) {
    to.routes.push_back(RouteFrom(pb::Route(), "routes[0]", base, convert));
  }
  const pb::ClientKeepalive& keepalive = config.keepalive();
  convert.DurationOrNone("keepalive.interval", keepalive.has_interval(),
                         keepalive.interval(), to.keepalive.interval);
  convert.Duration("keepalive.timeout", keepalive.has_timeout(),
                   keepalive.timeout(), to.keepalive.timeout);
  if (!config.admin().empty()) to.admin.clear();
  for (const pb::Admin& admin : config.admin()) {
    // The file has one of them, or a list.
    to.admin.push_back(AdminFrom(
        admin,
        config.admin_size() == 1 ? "admin"
                                 : absl::StrCat("admin[", to.admin.size(), "]"),
        directory, convert));
  }
  convert.Number("threads", config.has_threads(), config.threads(), to.threads);
  Choose(config.log_level(),
         {{pb::LOG_LEVEL_DEBUG, LogLevel::kDebug},
          {pb::LOG_LEVEL_INFO, LogLevel::kInfo},
          {pb::LOG_LEVEL_WARNING, LogLevel::kWarning},
          {pb::LOG_LEVEL_ERROR, LogLevel::kError}},
         to.log_level);
  Choose(config.log_format(),
         {{pb::LOG_FORMAT_LOGFMT, LogFormat::kLogfmt},
          {pb::LOG_FORMAT_JSON, LogFormat::kJson}},
         to.log_format);
  return to;
}

}  // namespace headgate
