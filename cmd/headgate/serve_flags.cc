#include "cmd/headgate/serve_flags.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "cmd/headgate/limit_flags.h"
#include "gateway/base/log.h"
#include "gateway/config/load.h"

namespace headgate {
namespace {

PacketOptions& PacketOf(Route& route) { return route.packet; }
JsonCodecOptions& JsonCodecOf(Route& route) { return route.json; }
JsonOptions& JsonOf(Route& route) { return route.json.json; }

void AddListenerFlags(CLI::App& command, SettingsFlags& add,
                      ServeFlags& flags) {
  using Texts = std::vector<std::string>;
  command
      .add_option("--listen", flags.listen,
                  "Where clients come in: HOST:PORT, unix:/path or "
                  "systemd:NAME; repeatable. Host * is every address, port 0 "
                  "a free one")
      ->allow_extra_args(false)
      ->type_name("ADDRESS")
      ->default_str(ListenerSettings().address)
      ->group("Listener");
  const auto on_listeners = [](Texts ListenerSettings::*member) {
    return [member](Settings& settings, const Texts& texts) {
      for (ListenerSettings& listener : settings.listeners) {
        listener.*member = texts;
      }
    };
  };
  add.List<std::string>("--allow-origin",
                        on_listeners(&ListenerSettings::allowed_origins),
                        "Origin whose scripts may connect besides the "
                        "listener's own: https://example.com, "
                        "https://*.example.com, http://localhost:* (any port), "
                        "null (a page from a file) or *; repeatable")
      ->type_name("ORIGIN")
      ->group("Listener");
  add.List<std::string>(
         "--allow-host",
         [](Settings& settings, const Texts& hosts) {
           for (ListenerSettings& listener : settings.listeners) {
             listener.allowed_hosts.clear();
             for (const std::string& host : hosts) {
               listener.allowed_hosts.push_back(absl::AsciiStrToLower(host));
             }
           }
         },
         "Host that requests may name besides localhost and its addresses: "
         "app.example.com, *.example.com or *; repeatable. Without it any, "
         "but none on a loopback address")
      ->type_name("HOST")
      ->group("Listener");
  add.List<std::string>("--trusted-proxy",
                        on_listeners(&ListenerSettings::trusted_proxies),
                        "Network whose X-Forwarded-* headers are believed, "
                        "such as 10.0.0.0/8; repeatable")
      ->type_name("NETWORK")
      ->group("Listener");
  const auto on_file = [&](const std::string& flag, const std::string& type,
                           std::string SocketFileSettings::*member,
                           const std::string& help) {
    add.Value<std::string>(
           flag,
           [member](Settings& settings, const std::string& value) {
             for (ListenerSettings& listener : settings.listeners) {
               if (absl::StartsWith(listener.address, "unix:")) {
                 listener.file.*member = value;
               }
             }
           },
           help)
        ->type_name(type)
        ->group("Listener");
  };
  on_file("--unix-mode", "MODE", &SocketFileSettings::mode,
          "Permissions of socket files, octal: 0660");
  on_file("--unix-user", "USER", &SocketFileSettings::user,
          "Their owner, a name or a number");
  on_file("--unix-group", "GROUP", &SocketFileSettings::group,
          "Their group, a name or a number");
  add.Choice<Refusals>(
         "--refusals", {{"http", Refusals::kHttp}, {"close", Refusals::kClose}},
         [](Settings& settings, Refusals refusals) {
           for (ListenerSettings& listener : settings.listeners) {
             listener.refusals = refusals;
           }
           for (Route& route : settings.routes) route.refusals = refusals;
         },
         "How a refused handshake is told: by HTTP status, or by accepting "
         "and closing with 4000 + code, which a browser's script can read")
      ->group("Listener");
}

void AddConsoleFlag(SettingsFlags& add, bool is_on) {
  const std::pair<std::string, bool> on = {"on", true}, off = {"off", false};
  add.Choice<bool>(
         "--console", is_on ? std::vector{on, off} : std::vector{off, on},
         [](Settings& settings, bool console) {
           for (ListenerSettings& listener : settings.listeners) {
             listener.console = console;
           }
         },
         "A page at /_headgate/ to call methods from a browser; it shows all "
         "services to everyone who can open it")
      ->group("Listener");
}

// The TLS of a listener, made when a flag asks for it.
ListenerTlsSettings& TlsOf(ListenerSettings& listener) {
  if (!listener.tls) listener.tls.emplace();
  return *listener.tls;
}

void AddTlsFlags(SettingsFlags& add) {
  const std::string group = "Listener";
  const auto file =
      [&](const std::string& flag, const std::string& help,
          std::function<void(ListenerTlsSettings&, const std::string&)> set) {
        return add
            .Value<std::string>(
                flag,
                [set = std::move(set)](Settings& settings,
                                       const std::string& path) {
                  for (ListenerSettings& listener : settings.listeners) {
                    set(TlsOf(listener), path);
                  }
                },
                help)
            ->type_name("FILE")
            ->group(group);
      };
  file("--tls-cert", "The listeners' certificate, PEM, its chain behind it",
       [](ListenerTlsSettings& tls, const std::string& path) {
         tls.certificate = path;
       })
      ->envname("HEADGATE_TLS_CERT");
  file(
      "--tls-key", "Its key, PEM",
      [](ListenerTlsSettings& tls, const std::string& path) { tls.key = path; })
      ->envname("HEADGATE_TLS_KEY");
  file("--tls-client-ca",
       "Authorities, PEM, that every client's certificate must come from",
       [](ListenerTlsSettings& tls, const std::string& path) {
         tls.client_ca = path;
         tls.client_certificates =
             ListenerTlsSettings::ClientCertificates::kRequired;
       });
  add.Choice<bool>(
         "--compression", {{"off", false}, {"on", true}},
         [](Settings& settings, bool enabled) {
           for (ListenerSettings& listener : settings.listeners) {
             listener.compression.enabled = enabled;
           }
         },
         "permessage-deflate, for clients that ask for it; it costs some "
         "50 to 190 KiB a socket")
      ->group(group);
  add.Choice<bool>(
         "--proxy-protocol", {{"off", false}, {"on", true}},
         [](Settings& settings, bool enabled) {
           for (ListenerSettings& listener : settings.listeners) {
             listener.proxy_protocol = enabled;
           }
         },
         "Each connection begins with a PROXY header, version 1 or 2")
      ->group(group);
}

void AddAdminFlags(SettingsFlags& add) {
  add.Value<std::string>(
         "--admin",
         [](Settings& settings, const std::string& address) {
           settings.admin.resize(1);
           settings.admin[0].enabled = address != "off";
           if (settings.admin[0].enabled) settings.admin[0].address = address;
         },
         "Where health, metrics and sessions are shown to operators: "
         "HOST:PORT, unix:/path, or off")
      ->type_name("ADDRESS")
      ->default_str(AdminSettings().address)
      ->group("Listener");
}

// Each of them makes TLS of the connections to the upstream.
void AddUpstreamTlsFlags(SettingsFlags& add) {
  const auto text = [&](const std::string& flag, const std::string& type,
                        const std::string& help,
                        std::string UpstreamTlsSettings::*member) {
    add.Value<std::string>(
           flag,
           [member](Settings& settings, const std::string& value) {
             for (UpstreamSettings& upstream : settings.upstreams) {
               if (!upstream.tls) upstream.tls.emplace();
               (*upstream.tls).*member = value;
             }
           },
           help)
        ->type_name(type)
        ->group("Upstream");
  };
  add.Choice<bool>(
         "--upstream-tls", {{"off", false}, {"on", true}},
         [](Settings& settings, bool on) {
           for (UpstreamSettings& upstream : settings.upstreams) {
             if (!on) upstream.tls.reset();
             if (on && !upstream.tls) upstream.tls.emplace();
           }
         },
         "TLS towards the upstream, whose certificate must come from the "
         "system's authorities or --upstream-ca; the next four turn it on, too")
      ->group("Upstream");
  text("--upstream-ca", "FILE",
       "Authorities, PEM, that the upstream's certificate may come from",
       &UpstreamTlsSettings::ca);
  text("--upstream-cert", "FILE",
       "The gateway's own certificate for the upstream, PEM",
       &UpstreamTlsSettings::certificate);
  text("--upstream-key", "FILE", "Its key, PEM", &UpstreamTlsSettings::key);
  text("--upstream-authority", "NAME",
       "The name that the upstream's certificate must be for",
       &UpstreamTlsSettings::authority);
}

void AddUpstreamFlags(SettingsFlags& add) {
  using Transport = UpstreamSettings::Transport;
  add.Choice<Transport>(
         "--transport",
         {{"auto", Transport::kAuto},
          {"grpc", Transport::kGrpc},
          {"h2", Transport::kH2}},
         [](Settings& settings, Transport transport) {
           for (UpstreamSettings& upstream : settings.upstreams) {
             upstream.transport = transport;
           }
         },
         "What carries calls: h2, an HTTP/2 client that costs a fraction, or "
         "grpc, gRPC's own, for xds: as well; auto: h2 where it can")
      ->group("Upstream");
  add.List<std::string>(
         "--descriptors",
         [](Settings& settings, const std::vector<std::string>& files) {
           for (UpstreamSettings& upstream : settings.upstreams) {
             upstream.descriptors.files = files;
           }
         },
         "Descriptor set of the upstream, written by protoc "
         "--descriptor_set_out --include_imports; repeatable. What it defines "
         "wins over server reflection")
      ->type_name("FILE")
      ->group("Upstream");
  add.Choice<bool>(
         "--reflection", {{"on", true}, {"off", false}},
         [](Settings& settings, bool reflection) {
           for (UpstreamSettings& upstream : settings.upstreams) {
             upstream.descriptors.reflection = reflection;
           }
         },
         "Whether the upstream is asked for its descriptors")
      ->group("Upstream");
  AddUpstreamTlsFlags(add);
}

void AddRouteFlags(CLI::App& command, SettingsFlags& add, ServeFlags& flags) {
  const std::string group = "Routes";
  command
      .add_option("--route", flags.routes,
                  "Serves a method at a path of its own; repeatable. Without a "
                  "file /package.Service/Method is always served")
      ->allow_extra_args(false)
      ->type_name("PATH=package.Service/Method")
      ->group(group);
  command
      .add_flag("--http-rules", flags.http_rules,
                "Serves HTTP and JSON at the paths of the methods' "
                "google.api.http annotations, besides the routes there are")
      ->group(group);
  using CodecChoice = const Dialect*;
  std::vector<std::pair<std::string, CodecChoice>> codecs = {{"auto", nullptr}};
  for (const std::string& name : DialectNames()) {
    codecs.emplace_back(name, FindDialect(name));
  }
  add.Choice<CodecChoice>(
         "--codec", codecs,
         OnRoutes<CodecChoice>([](Route& route, const CodecChoice& codec) {
           route.codec = codec;
           // The flag also widens what a file allows.
           std::vector<const Dialect*>& allowed = route.allowed_codecs;
           if (codec != nullptr && !allowed.empty() &&
               !absl::c_linear_search(allowed, codec)) {
             allowed.insert(allowed.begin(), codec);
           }
         }),
         "What clients speak that name no codec as their subprotocol; auto: "
         "as their first message is")
      ->group(group);
  add.Value<std::string>("--token-cookie",
                         OnRoutes(RouteItself, &Route::token_cookie),
                         "Cookie to take a bearer token from")
      ->type_name("NAME")
      ->group(group);
  add.Value<std::string>("--token-query",
                         OnRoutes(RouteItself, &Route::token_query),
                         "Query parameter to take a bearer token from; neither "
                         "the backend nor the log sees it")
      ->type_name("NAME")
      ->group(group);
  using Texts = std::vector<std::string>;
  add.List<std::string>(
         "--forward-header",
         OnRoutes<Texts>([](Route& route, const Texts& names) {
           route.forward_headers.clear();
           for (const std::string& name : names) {
             route.forward_headers.push_back(absl::AsciiStrToLower(name));
           }
         }),
         "Request header that goes to the backend as metadata; repeatable")
      ->type_name("NAME")
      ->group(group);
  add.Duration("--deadline", Route().deadline,
               OnRoutes(RouteItself, &Route::deadline),
               "The longest that a call may take")
      ->group(group);
}

void AddJsonFlags(SettingsFlags& add) {
  const std::string group = "JSON";
  add.Choice<JsonOptions::FieldNames>(
         "--json-field-names",
         {{"json", JsonOptions::FieldNames::kJson},
          {"proto", JsonOptions::FieldNames::kProto}},
         OnRoutes(JsonOf, &JsonOptions::field_names),
         "Names of fields in answers: lowerCamel, or as the .proto file has "
         "them")
      ->group(group);
  add.Choice<JsonOptions::Unpopulated>(
         "--json-unpopulated",
         {{"omit", JsonOptions::Unpopulated::kOmit},
          {"emit", JsonOptions::Unpopulated::kEmit}},
         OnRoutes(JsonOf, &JsonOptions::unpopulated),
         "Fields of answers that have their default value")
      ->group(group);
  add.Choice<JsonOptions::Enums>("--json-enums",
                                 {{"name", JsonOptions::Enums::kName},
                                  {"number", JsonOptions::Enums::kNumber}},
                                 OnRoutes(JsonOf, &JsonOptions::enums),
                                 "Enum values in answers")
      ->group(group);
  add.Choice<JsonOptions::UnknownFields>(
         "--json-unknown-fields",
         {{"reject", JsonOptions::UnknownFields::kReject},
          {"ignore", JsonOptions::UnknownFields::kIgnore}},
         OnRoutes(JsonOf, &JsonOptions::unknown_fields),
         "Fields of requests that the message does not have")
      ->group(group);
  add.Choice<JsonCodecOptions::Envelope>(
         "--json-envelope",
         {{"none", JsonCodecOptions::Envelope::kNone},
          {"result", JsonCodecOptions::Envelope::kResult},
          {"status", JsonCodecOptions::Envelope::kStatus}},
         OnRoutes(JsonCodecOf, &JsonCodecOptions::envelope),
         "Bare responses; {\"result\": ...} and {\"error\": ...} as "
         "grpc-gateway writes them; or bare ones between {\"headers\": ...} "
         "and {\"status\": ...}")
      ->group(group);
  add.Choice<JsonCodecOptions::ErrorShape>(
         "--json-error-shape",
         {{"grpc-gateway-v2", JsonCodecOptions::ErrorShape::kGrpcGatewayV2},
          {"grpc-gateway-v1", JsonCodecOptions::ErrorShape::kGrpcGatewayV1}},
         OnRoutes(JsonCodecOf, &JsonCodecOptions::error_shape),
         "Form of the error that --json-envelope result sends")
      ->group(group);
}

void AddPacketFlags(SettingsFlags& add) {
  const std::string group = "Packets";
  const PacketOptions current;
  add.Choice<PacketOptions::Order>(
         "--packet-order",
         {{"type-length-who", PacketOptions::Order::kTypeLengthWho},
          {"type-who-length", PacketOptions::Order::kTypeWhoLength}},
         OnRoutes(PacketOf, &PacketOptions::order),
         "Order of the header's fields")
      ->group(group);
  add.Choice<PacketOptions::Endian>(
         "--packet-endian",
         {{"big", PacketOptions::Endian::kBig},
          {"little", PacketOptions::Endian::kLittle}},
         OnRoutes(PacketOf, &PacketOptions::endian), "Byte order of the header")
      ->group(group);
  add.Choice<PacketOptions::LengthCounts>(
         "--packet-length-counts",
         {{"content", PacketOptions::LengthCounts::kContent},
          {"packet", PacketOptions::LengthCounts::kPacket}},
         OnRoutes(PacketOf, &PacketOptions::length_counts),
         "What the length counts: the content, or the header as well")
      ->group(group);
  add.Size("--packet-max-bytes", current.max_packet_bytes,
           OnRoutes(PacketOf, &PacketOptions::max_packet_bytes),
           "The longest content of a packet")
      ->group(group);
  add.List<std::uint32_t>("--packet-container-types",
                          OnRoutes(PacketOf, &PacketOptions::container_types),
                          "Types, besides 0xFFFFFFFE, whose content is packets")
      ->delimiter(',')
      ->type_name("TYPE,...")
      ->group(group);
  add.Value<int>("--packet-max-depth",
                 OnRoutes(PacketOf, &PacketOptions::max_depth),
                 "How deep packets may nest")
      ->default_str(absl::StrCat(current.max_depth))
      ->group(group);
  add.Choice<PacketOptions::Coalesce>(
         "--packet-coalesce",
         {{"on", PacketOptions::Coalesce::kOn},
          {"off", PacketOptions::Coalesce::kOff}},
         OnRoutes(PacketOf, &PacketOptions::coalesce),
         "Under load, several answers in one WebSocket message")
      ->group(group);
}

// The route that --route asks for: what every route has, at a path of its own.
absl::StatusOr<Route> ParseRoute(const std::string& text, const Route& base) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--route: must be PATH=package.Service/Method, is \"", text, "\""));
  }
  Route route = base;
  route.path = text.substr(0, equals);
  route.target = FixedMethod{
      absl::StrCat("/", absl::StripPrefix(text.substr(equals + 1), "/"))};
  return route;
}

// Puts the flags' routes before all others, and takes away what they replace.
absl::Status AddRoutes(const std::vector<std::string>& texts, const Route& base,
                       std::vector<Route>& routes) {
  std::vector<Route> added;
  for (const std::string& text : texts) {
    absl::StatusOr<Route> route = ParseRoute(text, base);
    if (!route.ok()) return route.status();
    routes.erase(std::remove_if(routes.begin(), routes.end(),
                                [&route](const Route& other) {
                                  return other.path == route->path;
                                }),
                 routes.end());
    added.push_back(*std::move(route));
  }
  routes.insert(routes.begin(), added.begin(), added.end());
  return absl::OkStatus();
}

// What a route has that no file says anything of.
Route BaseRoute(const Settings& settings) {
  Route base;
  base.refusals = settings.listeners[0].refusals;
  // Of several upstreams there must be one of the usual name.
  if (settings.upstreams.size() == 1) {
    base.upstream = settings.upstreams[0].name;
  }
  return base;
}

}  // namespace

std::shared_ptr<ServeFlags> AddServeFlags(CLI::App& command, Console console) {
  auto flags = std::make_shared<ServeFlags>();
  flags->console = console;
  SettingsFlags add(command, flags->overrides);
  command
      .add_option("--config", flags->config,
                  "Configuration file (docs/configuration.md); \"headgate "
                  "check FILE\" says what is in it. Flags that are given win "
                  "over it")
      ->type_name("FILE");
  AddListenerFlags(command, add, *flags);
  AddConsoleFlag(add, console == Console::kOn);
  AddTlsFlags(add);
  AddAdminFlags(add);
  AddUpstreamFlags(add);
  AddRouteFlags(command, add, *flags);
  AddJsonFlags(add);
  AddPacketFlags(add);
  AddLimitFlags(add);
  add.Value<int>(
         "--threads",
         [](Settings& settings, int threads) { settings.threads = threads; },
         "Worker threads; 0: as many as there are cores")
      ->default_str(absl::StrCat(Settings().threads));
  add.Choice<LogLevel>(
      "--log-level",
      {{"info", LogLevel::kInfo},
       {"debug", LogLevel::kDebug},
       {"warning", LogLevel::kWarning},
       {"error", LogLevel::kError}},
      [](Settings& settings, LogLevel level) { settings.log_level = level; },
      "What is logged, to stderr; info has a line for each session");
  add.Choice<LogFormat>(
      "--log-format",
      {{"logfmt", LogFormat::kLogfmt}, {"json", LogFormat::kJson}},
      [](Settings& settings, LogFormat format) {
        settings.log_format = format;
      },
      "The form of the log's lines");
  return flags;
}

absl::StatusOr<Settings> SettingsFrom(const ServeFlags& flags,
                                      const std::vector<std::string>& routes) {
  absl::StatusOr<Settings> settings = Settings();
  std::vector<std::string> built_in = routes;
  if (!flags.config.empty()) {
    settings = LoadSettings(flags.config);
    if (!settings.ok()) return settings;
    built_in.clear();
  }
  if (!flags.listen.empty()) {
    const ListenerSettings first = settings->listeners[0];
    settings->listeners.assign(flags.listen.size(), first);
    for (std::size_t i = 0; i < flags.listen.size(); ++i) {
      settings->listeners[i].address = flags.listen[i];
      if (!absl::StartsWith(flags.listen[i], "unix:")) {
        settings->listeners[i].file = {};
      }
    }
  }
  if (!flags.upstream.empty()) {
    if (settings->upstreams.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--upstream: ", flags.config, " has ", settings->upstreams.size(),
          " upstreams, so that it is not clear which one is meant"));
    }
    settings->upstreams[0].target = flags.upstream;
  }

  if (flags.console == Console::kOn) {
    for (ListenerSettings& listener : settings->listeners) {
      listener.console = true;
    }
  }

  // A last route to hear what the flags say of every route.
  settings->routes.push_back(BaseRoute(*settings));
  for (const auto& apply : flags.overrides) apply(*settings);
  const Route base = settings->routes.back();
  settings->routes.pop_back();
  if (absl::Status added = AddRoutes(built_in, base, settings->routes);
      !added.ok()) {
    return added;
  }
  if (absl::Status added = AddRoutes(flags.routes, base, settings->routes);
      !added.ok()) {
    return added;
  }
  if (flags.http_rules) {
    Route rules = base;
    rules.prefix = "/";
    rules.target = HttpRuleSet{};
    settings->routes.push_back(std::move(rules));
  }
  return settings;
}

}  // namespace headgate
