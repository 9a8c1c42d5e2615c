#include "cmd/headgate/serve_flags.h"

#include <cstdint>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gateway/config/units.h"

namespace headgate {
namespace {

// An option whose value is one of a few names.
template <typename Enum>
CLI::Option* AddChoice(CLI::App& command, const std::string& flag, Enum& value,
                       const std::vector<std::pair<std::string, Enum>>& choices,
                       const std::string& help) {
  std::map<std::string, Enum> by_name(choices.begin(), choices.end());
  std::string names;
  std::string current;
  for (const auto& [name, choice] : choices) {
    absl::StrAppend(&names, names.empty() ? "" : "|", name);
    if (choice == value) current = name;
  }
  return command
      .add_option_function<std::string>(
          flag,
          [&value, by_name, flag, names](const std::string& name) {
            const auto it = by_name.find(name);
            if (it == by_name.end()) {
              throw CLI::ValidationError(
                  flag, absl::StrCat("must be ", names, ", is ", name));
            }
            value = it->second;
          },
          help)
      ->type_name(names)
      ->default_str(current);
}

// As ParseSize reads it.
std::string FormatSize(std::size_t bytes) {
  constexpr std::size_t kKiB = 1024, kMiB = 1024 * 1024;
  if (bytes % kMiB == 0) return absl::StrCat(bytes / kMiB, "MiB");
  if (bytes % kKiB == 0) return absl::StrCat(bytes / kKiB, "KiB");
  return absl::StrCat(bytes);
}

CLI::Option* AddSize(CLI::App& command, const std::string& flag,
                     std::size_t& value, const std::string& help) {
  return command
      .add_option_function<std::string>(
          flag,
          [&value, flag](const std::string& text) {
            const absl::StatusOr<std::size_t> size = ParseSize(text);
            if (!size.ok()) {
              throw CLI::ValidationError(flag,
                                         std::string(size.status().message()));
            }
            value = *size;
          },
          help)
      ->type_name("SIZE")
      ->default_str(FormatSize(value));
}

constexpr char kNoDuration[] = "none";

CLI::Option* AddDuration(CLI::App& command, const std::string& flag,
                         absl::Duration& value, const std::string& help) {
  return command
      .add_option_function<std::string>(
          flag,
          [&value, flag](const std::string& text) {
            const absl::StatusOr<absl::Duration> duration =
                text == kNoDuration ? absl::InfiniteDuration()
                                    : ParseDuration(text);
            if (!duration.ok()) {
              throw CLI::ValidationError(
                  flag, std::string(duration.status().message()));
            }
            value = *duration;
          },
          help)
      ->type_name("DURATION")
      ->default_str(value == absl::InfiniteDuration()
                        ? kNoDuration
                        : absl::FormatDuration(value));
}

void AddListenerFlags(CLI::App& command, ServeFlags& flags) {
  command
      .add_option("--listen", flags.listen,
                  "Where WebSockets come in, HOST:PORT; repeatable. Host * is "
                  "every address, port 0 a free one")
      ->allow_extra_args(false)
      ->type_name("ADDRESS")
      ->capture_default_str()
      ->group("Listener");
  command
      .add_option("--allow-origin", flags.listener.allowed_origins,
                  "Origin whose scripts may connect besides the listener's "
                  "own: https://example.com, https://*.example.com, null (a "
                  "page from a file) or *; repeatable")
      ->allow_extra_args(false)
      ->type_name("ORIGIN")
      ->group("Listener");
  command
      .add_option("--trusted-proxy", flags.listener.trusted_proxies,
                  "Network whose X-Forwarded-* headers are believed, such as "
                  "10.0.0.0/8; repeatable")
      ->allow_extra_args(false)
      ->type_name("NETWORK")
      ->group("Listener");
  AddChoice<Refusals>(command, "--refusals", flags.listener.refusals,
                      {{"http", Refusals::kHttp}, {"close", Refusals::kClose}},
                      "How a refused handshake is told: by HTTP status, or by "
                      "accepting and closing with 4000 + code, which a "
                      "browser's script can read")
      ->group("Listener");
}

void AddRouteFlags(CLI::App& command, ServeFlags& flags) {
  using CodecChoice = std::optional<CodecKind>;
  Route& route = flags.route;
  command
      .add_option("--route", flags.routes,
                  "Serves a method at a path of its own; repeatable. "
                  "/package.Service/Method is always served")
      ->allow_extra_args(false)
      ->type_name("PATH=package.Service/Method")
      ->group("Routes");
  AddChoice<CodecChoice>(command, "--codec", route.codec,
                         {{"auto", std::nullopt},
                          {"json", CodecKind::kJson},
                          {"packet", CodecKind::kPacket},
                          {"protobuf", CodecKind::kProtobuf},
                          {"raw", CodecKind::kRaw}},
                         "What clients speak that name no codec as their "
                         "subprotocol; auto: as their first message is")
      ->group("Routes");
  command
      .add_option("--token-cookie", route.token_cookie,
                  "Cookie to take a bearer token from")
      ->type_name("NAME")
      ->group("Routes");
  command
      .add_option("--token-query", route.token_query,
                  "Query parameter to take a bearer token from; neither the "
                  "backend nor the log sees it")
      ->type_name("NAME")
      ->group("Routes");
  command
      .add_option_function<std::vector<std::string>>(
          "--forward-header",
          [&route](const std::vector<std::string>& names) {
            for (const std::string& name : names) {
              route.forward_headers.push_back(absl::AsciiStrToLower(name));
            }
          },
          "Request header that goes to the backend as metadata; repeatable")
      ->allow_extra_args(false)
      ->type_name("NAME")
      ->group("Routes");
  AddDuration(command, "--deadline", route.deadline,
              "The longest that a call may take")
      ->group("Routes");
}

void AddJsonFlags(CLI::App& command, JsonCodecOptions& json) {
  AddChoice<JsonOptions::FieldNames>(
      command, "--json-field-names", json.json.field_names,
      {{"json", JsonOptions::FieldNames::kJson},
       {"proto", JsonOptions::FieldNames::kProto}},
      "Names of fields in answers: lowerCamel, "
      "or as the .proto file has them")
      ->group("JSON");
  AddChoice<JsonOptions::Unpopulated>(
      command, "--json-unpopulated", json.json.unpopulated,
      {{"omit", JsonOptions::Unpopulated::kOmit},
       {"emit", JsonOptions::Unpopulated::kEmit}},
      "Fields of answers that have their default value")
      ->group("JSON");
  AddChoice<JsonOptions::Enums>(command, "--json-enums", json.json.enums,
                                {{"name", JsonOptions::Enums::kName},
                                 {"number", JsonOptions::Enums::kNumber}},
                                "Enum values in answers")
      ->group("JSON");
  AddChoice<JsonOptions::UnknownFields>(
      command, "--json-unknown-fields", json.json.unknown_fields,
      {{"reject", JsonOptions::UnknownFields::kReject},
       {"ignore", JsonOptions::UnknownFields::kIgnore}},
      "Fields of requests that the message does not have")
      ->group("JSON");
  AddChoice<JsonCodecOptions::Envelope>(
      command, "--json-envelope", json.envelope,
      {{"none", JsonCodecOptions::Envelope::kNone},
       {"result", JsonCodecOptions::Envelope::kResult}},
      "Bare answers, or {\"result\": ...} and {\"error\": ...} as grpc-gateway "
      "writes them")
      ->group("JSON");
  AddChoice<JsonCodecOptions::ErrorShape>(
      command, "--json-error-shape", json.error_shape,
      {{"grpc-gateway-v2", JsonCodecOptions::ErrorShape::kGrpcGatewayV2},
       {"grpc-gateway-v1", JsonCodecOptions::ErrorShape::kGrpcGatewayV1}},
      "Form of the error that --json-envelope result sends")
      ->group("JSON");
}

void AddPacketFlags(CLI::App& command, PacketOptions& packet) {
  AddChoice<PacketOptions::Order>(
      command, "--packet-order", packet.order,
      {{"type-length-who", PacketOptions::Order::kTypeLengthWho},
       {"type-who-length", PacketOptions::Order::kTypeWhoLength}},
      "Order of the header's fields")
      ->group("Packets");
  AddChoice<PacketOptions::Endian>(command, "--packet-endian", packet.endian,
                                   {{"big", PacketOptions::Endian::kBig},
                                    {"little", PacketOptions::Endian::kLittle}},
                                   "Byte order of the header")
      ->group("Packets");
  AddChoice<PacketOptions::LengthCounts>(
      command, "--packet-length-counts", packet.length_counts,
      {{"content", PacketOptions::LengthCounts::kContent},
       {"packet", PacketOptions::LengthCounts::kPacket}},
      "What the length counts: the content, or the header as well")
      ->group("Packets");
  AddSize(command, "--packet-max-bytes", packet.max_packet_bytes,
          "The longest content of a packet")
      ->group("Packets");
  command
      .add_option("--packet-container-types", packet.container_types,
                  "Types, besides 0xFFFFFFFE, whose content is packets")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("TYPE,...")
      ->group("Packets");
  command
      .add_option("--packet-max-depth", packet.max_depth,
                  "How deep packets may nest")
      ->capture_default_str()
      ->group("Packets");
  AddChoice<PacketOptions::Coalesce>(command, "--packet-coalesce",
                                     packet.coalesce,
                                     {{"on", PacketOptions::Coalesce::kOn},
                                      {"off", PacketOptions::Coalesce::kOff}},
                                     "Under load, several answers in one "
                                     "WebSocket message")
      ->group("Packets");
}

void AddLimitFlags(CLI::App& command, ServeFlags& flags) {
  const std::string group = "Limits";
  command
      .add_option("--max-sessions", flags.limits.max_sessions,
                  "Sessions at a time; more are refused with 503")
      ->capture_default_str()
      ->group(group);
  AddSize(command, "--max-message-bytes", flags.route.max_message_bytes,
          "The longest message from a client; a longer one: Close 1009")
      ->group(group);
  AddSize(command, "--max-answer-bytes", flags.limits.max_answer_bytes,
          "The longest message from the backend; a longer one: "
          "RESOURCE_EXHAUSTED")
      ->group(group);
  AddSize(command, "--max-header-bytes", flags.limits.max_header_bytes,
          "The longest head of a handshake; a longer one: 431")
      ->group(group);
  AddSize(command, "--max-buffered-bytes", flags.limits.max_buffered_bytes,
          "What may wait in a session each way before reading stops")
      ->group(group);
}

void AddTimeoutFlags(CLI::App& command, TimeoutSettings& timeouts) {
  const std::string group = "Timeouts";
  AddDuration(command, "--handshake-timeout", timeouts.handshake,
              "For a client to send its request; then 408")
      ->group(group);
  AddDuration(command, "--send-timeout", timeouts.send,
              "For a client that takes nothing of its answers; then it is cut "
              "off")
      ->group(group);
  AddDuration(command, "--stall-timeout", timeouts.stall,
              "For a backend that takes nothing of what the client sent; then "
              "RESOURCE_EXHAUSTED")
      ->group(group);
  AddDuration(command, "--close-timeout", timeouts.close,
              "For a client to answer the Close frame; then it is cut off")
      ->group(group);
  AddDuration(command, "--drain", timeouts.drain,
              "For sessions to end after SIGTERM; then they are cut off")
      ->group(group);
  AddDuration(command, "--reflection-timeout", timeouts.reflection,
              "For the upstream to tell its descriptors; then sessions that "
              "need them end with UNAVAILABLE")
      ->group(group);
}

}  // namespace

std::shared_ptr<ServeFlags> AddServeFlags(CLI::App& command) {
  auto flags = std::make_shared<ServeFlags>();
  AddListenerFlags(command, *flags);
  AddRouteFlags(command, *flags);
  AddJsonFlags(command, flags->route.json);
  AddPacketFlags(command, flags->route.packet);
  AddLimitFlags(command, *flags);
  AddTimeoutFlags(command, flags->timeouts);
  command
      .add_option("--threads", flags->threads,
                  "Worker threads; 0: as many as there are cores")
      ->capture_default_str();
  AddChoice<LogLevel>(command, "--log-level", flags->log_level,
                      {{"debug", LogLevel::kDebug},
                       {"info", LogLevel::kInfo},
                       {"warning", LogLevel::kWarning},
                       {"error", LogLevel::kError}},
                      "What is logged, to stderr, as logfmt; info has a line "
                      "for each session");
  return flags;
}

absl::StatusOr<Settings> SettingsFrom(const ServeFlags& flags,
                                      const std::vector<std::string>& routes) {
  Settings settings;
  settings.listeners.clear();
  for (const std::string& address : flags.listen) {
    ListenerSettings& listener =
        settings.listeners.emplace_back(flags.listener);
    listener.address = address;
  }
  Route base = flags.route;
  base.json.max_message_bytes = base.max_message_bytes;
  base.refusals = flags.listener.refusals;

  settings.routes.clear();
  std::vector<std::string> all = flags.routes;
  all.insert(all.end(), routes.begin(), routes.end());
  for (const std::string& text : all) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--route: must be PATH=package.Service/Method, is \"", text, "\""));
    }
    Route& route = settings.routes.emplace_back(base);
    route.path = text.substr(0, equals);
    route.method =
        absl::StrCat("/", absl::StripPrefix(text.substr(equals + 1), "/"));
    SetCodecsFor(route.method, route);
  }
  settings.routes.push_back(base);
  settings.limits = flags.limits;
  settings.timeouts = flags.timeouts;
  settings.threads = flags.threads;
  return settings;
}

}  // namespace headgate
