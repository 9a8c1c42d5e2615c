#include "gateway/config/convert.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/check.h"

namespace headgate {
namespace {

namespace pb = config::v1;

ListenerTlsSettings TlsFrom(const pb::ListenerTls& from,
                            const Section& section) {
  using Settings = ListenerTlsSettings;
  Settings to;
  section.Read(TableOf<Settings>(), to);
  for (const std::string& path : from.session_ticket_keys()) {
    to.session_ticket_keys.push_back(section.Resolve(path));
  }
  for (const pb::TlsCertificate& certificate : from.certificates()) {
    const std::string key =
        absl::StrCat("certificates[", to.certificates.size(), "]");
    section.Below(key, certificate)
        .Read(TableOf<TlsCertificateSettings>(),
              to.certificates.emplace_back());
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
    section.AddFault("min_version", absl::StrCat("must be 1.2 or 1.3, is \"",
                                                 from.min_version(), "\""));
  }
  return to;
}

ListenerSettings ListenerFrom(const pb::Listener& from,
                              const Section& section) {
  ListenerSettings to;
  section.Read(TableOf<ListenerSettings>(), to);
  section.Read(TableOf<SocketFileSettings>(), to.file);
  section.Below("compression", from.compression())
      .Read(TableOf<CompressionSettings>(), to.compression);
  if (from.has_tls()) {
    to.tls = TlsFrom(from.tls(), section.Below("tls", from.tls()));
    to.tls->http2 = to.http2;
  }
  to.allowed_origins.assign(from.allowed_origins().begin(),
                            from.allowed_origins().end());
  for (const std::string& host : from.allowed_hosts()) {
    to.allowed_hosts.push_back(absl::AsciiStrToLower(host));
  }
  to.trusted_proxies.assign(from.trusted_proxies().begin(),
                            from.trusted_proxies().end());
  to.refusals = RefusalsFrom(from.refusals(), to.refusals);
  return to;
}

AdminSettings AdminFrom(const pb::Admin& from, const Section& section) {
  AdminSettings to;
  section.Read(TableOf<AdminSettings>(), to);
  if (!from.serve().empty()) to.serve.clear();
  for (const int part : from.serve()) {
    AdminPart serves = AdminPart::kHealth;
    Choose(static_cast<pb::Admin::Part>(part),
           {{pb::Admin::PART_HEALTH, AdminPart::kHealth},
            {pb::Admin::PART_METRICS, AdminPart::kMetrics},
            {pb::Admin::PART_ROUTES, AdminPart::kRoutes},
            {pb::Admin::PART_SESSIONS, AdminPart::kSessions},
            {pb::Admin::PART_LOG_LEVEL, AdminPart::kLogLevel},
            {pb::Admin::PART_TAP, AdminPart::kTap},
            {pb::Admin::PART_TAP_PAYLOADS, AdminPart::kTapPayloads}},
           serves);
    to.serve.insert(serves);
  }
  return to;
}

HubSettings HubSettingsFrom(const pb::Hubs& from, const Section& section) {
  HubSettings to;
  section.Read(TableOf<HubSettings>(), to);
  Choose(from.engine(),
         {{pb::Hubs::ENGINE_MEMORY, HubSettings::Engine::kMemory},
          {pb::Hubs::ENGINE_NATS, HubSettings::Engine::kNats}},
         to.engine);
  section.Below("limits", from.limits())
      .Read(TableOf<HubLimitSettings>(), to.limits);
  for (const pb::HubGroups& groups : from.groups()) {
    const Section below =
        section.Below(absl::StrCat("groups[", to.groups.size(), "]"), groups);
    HubGroupSettings& group = to.groups.emplace_back();
    below.Read(TableOf<HubGroupSettings>(), group);
    if (groups.has_slow()) {
      group.slow = SlowPolicyFrom(groups.slow());
    }
  }
  if (from.has_resume()) {
    const Section below = section.Below("resume", from.resume());
    HubResumeSettings& resume = to.resume.emplace();
    below.Read(TableOf<HubResumeSettings>(), resume);
    for (const std::string& path : from.resume().key_files()) {
      resume.key_files.push_back(below.Resolve(path));
    }
  }
  if (!from.has_nats()) return to;
  const Section below = section.Below("nats", from.nats());
  NatsSettings& nats = to.nats.emplace();
  below.Read(TableOf<NatsSettings>(), nats);
  Choose(from.nats().history(),
         {{pb::Nats::HISTORY_NONE, NatsSettings::History::kNone},
          {pb::Nats::HISTORY_JETSTREAM, NatsSettings::History::kJetStream}},
         nats.history);
  Choose(from.nats().storage(),
         {{pb::Nats::STORAGE_FILE, NatsSettings::Storage::kFile},
          {pb::Nats::STORAGE_MEMORY, NatsSettings::Storage::kMemory}},
         nats.storage);
  nats.servers.assign(from.nats().servers().begin(),
                      from.nats().servers().end());
  if (from.nats().has_tls()) {
    below.Below("tls", from.nats().tls())
        .Read(TableOf<NatsTlsSettings>(), nats.tls.emplace());
  }
  return to;
}

HubApiSettings HubApiFrom(const pb::HubApi& from, const Section& section) {
  HubApiSettings to;
  section.Read(TableOf<HubApiSettings>(), to);
  if (from.has_tls()) {
    section.Below("tls", from.tls())
        .Read(TableOf<HubApiTlsSettings>(), to.tls.emplace());
  }
  for (const pb::HubGrant& grant : from.grants()) {
    HubGrantSettings granted;
    section.Below(absl::StrCat("grants[", to.grants.size(), "]"), grant)
        .Read(TableOf<HubGrantSettings>(), granted);
    granted.methods.assign(grant.methods().begin(), grant.methods().end());
    granted.groups.assign(grant.groups().begin(), grant.groups().end());
    to.grants.push_back(std::move(granted));
  }
  return to;
}

TracingSettings TracingFrom(const pb::Tracing& from, const Section& section) {
  TracingSettings to;
  section.Read(TableOf<TracingSettings>(), to);
  if (from.has_sample_ratio() &&
      !absl::SimpleAtod(from.sample_ratio(), &to.sample_ratio)) {
    section.AddFault("sample_ratio", "must be a number from 0 to 1");
  }
  return to;
}

UpstreamSettings UpstreamFrom(const pb::Upstream& from,
                              const Section& section) {
  using Settings = UpstreamSettings;
  Settings to;
  section.Read(TableOf<Settings>(), to);
  section.Below("descriptors", from.descriptors())
      .Read(TableOf<DescriptorSettings>(), to.descriptors);
  for (const std::string& file : from.descriptors().files()) {
    to.descriptors.files.push_back(section.Resolve(file));
  }
  for (const std::string& file : from.http_rules_files()) {
    to.http_rules_files.push_back(section.Resolve(file));
  }
  if (from.has_tls()) {
    section.Below("tls", from.tls())
        .Read(TableOf<UpstreamTlsSettings>(), to.tls.emplace());
  }
  static constexpr Binding<Settings> kKeepalive[] = {
      {"interval", &Settings::keepalive_interval, ReadAs::kNoneIfZero},
      {"timeout", &Settings::keepalive_timeout},
  };
  section.Below("keepalive", from.keepalive()).Read<Settings>(kKeepalive, to);
  // "" is the server as a whole.
  if (from.has_health_check()) to.health_check = from.health_check();
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
  return to;
}

// `route`: what every route has that says nothing else.
void LimitsFrom(const pb::Limits& from, const Section& section,
                LimitSettings& to, Route& route) {
  section.Read(TableOf<LimitSettings>(), to);
  // Of the routes, where a fault would be reported once for each.
  static constexpr Binding<Route> kOfRoutes[] = {
      {"max_message_bytes", &Route::max_message_bytes},
  };
  Route limited;
  section.Read<Route>(kOfRoutes, limited);
  const std::size_t bytes = limited.max_message_bytes;
  if (bytes >= 1 && bytes <= kMostMessageBytes) route.max_message_bytes = bytes;
  section.faults().Range<std::size_t>("limits.max_message_bytes", bytes, 1,
                                      kMostMessageBytes);
  RatesFrom(from, section, route);
}

void TimeoutsFrom(const Section& section, TimeoutSettings& to, Route& route) {
  section.Read(TableOf<TimeoutSettings>(), to);
  static constexpr Binding<Route> kOfRoutes[] = {
      {"idle", &Route::idle_timeout, ReadAs::kNoneIfZero},
      {"max_age", &Route::max_age, ReadAs::kNoneIfZero},
  };
  section.Read<Route>(kOfRoutes, route);
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

Refusals RefusalsFrom(pb::Refusals from, Refusals otherwise) {
  Choose(from,
         {{pb::REFUSALS_HTTP, Refusals::kHttp},
          {pb::REFUSALS_CLOSE, Refusals::kClose}},
         otherwise);
  return otherwise;
}

Settings ConvertConfig(const pb::Config& config, const std::string& directory,
                       Faults& faults) {
  const Section section(config, "", directory, faults);
  Settings to;
  if (!config.listeners().empty()) to.listeners.clear();
  for (const pb::Listener& listener : config.listeners()) {
    to.listeners.push_back(ListenerFrom(
        listener,
        section.Below(absl::StrCat("listeners[", to.listeners.size(), "]"),
                      listener)));
  }
  if (!config.upstreams().empty()) to.upstreams.clear();
  for (const pb::Upstream& upstream : config.upstreams()) {
    to.upstreams.push_back(UpstreamFrom(
        upstream,
        section.Below(absl::StrCat("upstreams[", to.upstreams.size(), "]"),
                      upstream)));
  }

  Route base;
  base.refusals = to.listeners[0].refusals;
  base.upstream = DefaultUpstream(to.upstreams);
  LimitsFrom(config.limits(), section.Below("limits", config.limits()),
             to.limits, base);
  TimeoutsFrom(section.Below("timeouts", config.timeouts()), to.timeouts, base);
  to.routes.clear();
  for (const pb::Route& route : config.routes()) {
    to.routes.push_back(RouteFrom(
        route,
        section.Below(absl::StrCat("routes[", to.routes.size(), "]"), route),
        base));
  }
  if (to.routes.empty()) {
    const pb::Route all;
    to.routes.push_back(RouteFrom(all, section.Below("routes[0]", all), base));
  }
  section.Below("keepalive", config.keepalive())
      .Read(TableOf<KeepaliveSettings>(), to.keepalive);
  if (!config.admin().empty()) to.admin.clear();
  for (const pb::Admin& admin : config.admin()) {
    // The file has one of them, or a list.
    to.admin.push_back(AdminFrom(
        admin, section.Below(config.admin_size() == 1
                                 ? "admin"
                                 : absl::StrCat("admin[", to.admin.size(), "]"),
                             admin)));
  }
  to.hub = HubSettingsFrom(config.hub(), section.Below("hub", config.hub()));
  if (config.hub().has_api()) {
    to.hub_api = HubApiFrom(
        config.hub().api(),
        section.Below("hub", config.hub()).Below("api", config.hub().api()));
  }
  if (config.has_tracing()) {
    to.tracing = TracingFrom(config.tracing(),
                             section.Below("tracing", config.tracing()));
  }
  static constexpr Binding<Settings> kTable[] = {
      {"threads", &Settings::threads},
  };
  section.Read<Settings>(kTable, to);
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
