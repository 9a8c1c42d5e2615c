// What a configuration file means.

#include "gateway/config/load.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/route/plan.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Settings Loaded(absl::string_view text) {
  absl::StatusOr<Settings> settings = Parse(text);
  EXPECT_EQ(settings.status(), absl::OkStatus());
  return settings.ok() ? *std::move(settings) : Settings();
}

// Every key, with a value that is not its default.
TEST(LoadTest, TakesEverySettingOver) {
  const Settings settings = Loaded(R"(
listeners:
  - address: 0.0.0.0:8081
    allowed_origins: ["https://*.example.com"]
    trusted_proxies: [10.0.0.0/8]
    allowed_hosts: [App.example.com, "*.example.com"]
    refusals: close
  - address: "[::1]:0"
  - {address: "unix:/run/h.sock", mode: 0660, user: hg, group: "33"}
upstreams:
  - name: chat
    target: dns:///chat:50051
    descriptors: {reflection: false, files: [], refresh: 5m}
    tls: {authority: chat.internal}
    authority: chat.public
    deadline: 30s
    load_balancing: round-robin
    compression: gzip
    max_streams_per_channel: 50
    keepalive: {interval: 10m, timeout: 5s}
    health_check: ""
  - name: etcd
    target: unix:/run/etcd.sock
limits:
  max_sessions: 10
  max_message_bytes: 2MiB
  max_answer_bytes: 3MiB
  max_header_bytes: 8KiB
  max_metadata_bytes: 12KiB
  max_buffered_bytes: 32KiB
  max_connections: 11
  max_connections_per_address: 12
timeouts:
  handshake: 1s
  send: 2s
  stall: 3s
  close: 4s
  message: 45s
  drain: 0s
  keep_alive: 6s
  reflection: 7s
threads: 3
log_level: debug
routes:
  - path: /packets
    hosts: [API.example.com, "*.example.org"]
    upstream: chat
    method: headgate.v1.PacketService/Connect
    packet:
      order: type-who-length
      endian: little
      length_counts: packet
      max_packet_bytes: 1KiB
      container_types: [100]
      max_depth: 3
      coalesce: off
    token_cookie: token
    token_query: access_token
    forward_headers: [Referer, x-team]
    deadline: 1h
    max_message_bytes: 512
    refusals: http
  - path: /game
    upstream: chat
    packet:
      methods: {1: game.Lobby/Join, 0x10: /game.Lobby/Chat}
      content: json
      max_calls: 5
      call_window: 16KiB
  - prefix: /v3
    upstream: etcd
    http_rules: true
    json:
      field_names: proto
      unpopulated: emit
      enums: number
      unknown_fields: ignore
      envelope: result
      error_shape: grpc-gateway-v1
    method_override: method
  - template: /rooms/{room}
    upstream: chat
    method: chat.Chat/Join
  - prefix: /chat
    upstream: chat
    service: chat.Chat
    codec: auto
    binary_codec: packet
    allowed_codecs: [packet, json]
)");
  ASSERT_EQ(settings.listeners.size(), 3u);
  EXPECT_EQ(settings.listeners[0].address, "0.0.0.0:8081");
  EXPECT_THAT(settings.listeners[0].allowed_origins,
              ElementsAre("https://*.example.com"));
  EXPECT_THAT(settings.listeners[0].trusted_proxies, ElementsAre("10.0.0.0/8"));
  EXPECT_THAT(settings.listeners[0].allowed_hosts,
              ElementsAre("app.example.com", "*.example.com"));
  EXPECT_EQ(settings.listeners[0].refusals, Refusals::kClose);
  EXPECT_EQ(settings.listeners[1].refusals, Refusals::kHttp);

  ASSERT_EQ(settings.upstreams.size(), 2u);
  UpstreamSettings chat;
  chat.name = "chat";
  chat.target = "dns:///chat:50051";
  chat.descriptors.reflection = false;
  chat.descriptors.refresh = absl::Minutes(5);
  chat.tls.emplace().authority = "chat.internal";
  chat.authority = "chat.public";
  chat.deadline = absl::Seconds(30);
  chat.load_balancing = UpstreamSettings::LoadBalancing::kRoundRobin;
  chat.compression = UpstreamSettings::Compression::kGzip;
  chat.max_streams_per_channel = 50;
  chat.keepalive_interval = absl::Minutes(10);
  chat.keepalive_timeout = absl::Seconds(5);
  chat.health_check = "";
  EXPECT_EQ(settings.upstreams[0], chat);
  UpstreamSettings etcd;
  etcd.name = "etcd";
  etcd.target = "unix:/run/etcd.sock";
  EXPECT_EQ(settings.upstreams[1], etcd);

  const SocketFileSettings file = {"0660", "hg", "33"};
  EXPECT_EQ(settings.listeners[2].file, file);
  EXPECT_EQ(settings.timeouts.message, absl::Seconds(45));
  EXPECT_EQ(settings.limits.max_sessions, 10);
  EXPECT_EQ(settings.limits.max_answer_bytes, 3u << 20);
  EXPECT_EQ(settings.limits.max_header_bytes, 8u << 10);
  EXPECT_EQ(settings.limits.max_metadata_bytes, 12u << 10);
  EXPECT_EQ(settings.limits.max_buffered_bytes, 32u << 10);
  EXPECT_EQ(settings.limits.connections(), 11);
  EXPECT_EQ(settings.limits.connections_per_address(), 12);
  EXPECT_EQ(settings.timeouts.handshake, absl::Seconds(1));
  EXPECT_EQ(settings.timeouts.send, absl::Seconds(2));
  EXPECT_EQ(settings.timeouts.stall, absl::Seconds(3));
  EXPECT_EQ(settings.timeouts.close, absl::Seconds(4));
  EXPECT_EQ(settings.timeouts.drain, absl::ZeroDuration());
  EXPECT_EQ(settings.timeouts.keep_alive, absl::Seconds(6));
  EXPECT_EQ(settings.timeouts.reflection, absl::Seconds(7));
  EXPECT_EQ(settings.threads, 3);
  EXPECT_EQ(settings.log_level, LogLevel::kDebug);

  ASSERT_EQ(settings.routes.size(), 5u);
  const Route& packets = settings.routes[0];
  EXPECT_EQ(packets.path, "/packets");
  EXPECT_THAT(packets.hosts, ElementsAre("api.example.com", "*.example.org"));
  EXPECT_EQ(packets.upstream, "chat");
  EXPECT_EQ(std::get<FixedMethod>(packets.target).method,
            "/headgate.v1.PacketService/Connect");
  EXPECT_EQ(packets.packet.order, PacketOptions::Order::kTypeWhoLength);
  EXPECT_EQ(packets.packet.endian, PacketOptions::Endian::kLittle);
  EXPECT_EQ(packets.packet.length_counts, PacketOptions::LengthCounts::kPacket);
  EXPECT_EQ(packets.packet.max_packet_bytes, 1024u);
  EXPECT_THAT(packets.packet.container_types, ElementsAre(100));
  EXPECT_EQ(packets.packet.max_depth, 3);
  EXPECT_EQ(packets.packet.coalesce, PacketOptions::Coalesce::kOff);
  EXPECT_EQ(packets.token_cookie, "token");
  EXPECT_EQ(packets.token_query, "access_token");
  EXPECT_THAT(packets.forward_headers, ElementsAre("referer", "x-team"));
  EXPECT_EQ(packets.deadline, absl::Hours(1));
  EXPECT_EQ(packets.max_message_bytes, 512u);
  EXPECT_EQ(packets.json.max_message_bytes, 512u);
  EXPECT_EQ(packets.refusals, Refusals::kHttp);

  const Route& game = settings.routes[1];
  const auto& table = std::get<MethodTable>(game.target);
  EXPECT_THAT(table.methods,
              UnorderedElementsAre(Pair(1, "/game.Lobby/Join"),
                                   Pair(16, "/game.Lobby/Chat")));
  EXPECT_EQ(table.content, PacketContent::kJson);
  EXPECT_EQ(table.max_calls, 5);
  EXPECT_EQ(table.call_window_bytes, 16u << 10);

  const Route& rules = settings.routes[2];
  EXPECT_EQ(rules.prefix, "/v3");
  EXPECT_EQ(rules.json.json.field_names, JsonOptions::FieldNames::kProto);
  EXPECT_EQ(rules.json.json.unpopulated, JsonOptions::Unpopulated::kEmit);
  EXPECT_EQ(rules.json.json.enums, JsonOptions::Enums::kNumber);
  EXPECT_EQ(rules.json.json.unknown_fields,
            JsonOptions::UnknownFields::kIgnore);
  EXPECT_EQ(rules.json.envelope, JsonCodecOptions::Envelope::kResult);
  EXPECT_EQ(rules.json.error_shape,
            JsonCodecOptions::ErrorShape::kGrpcGatewayV1);
  EXPECT_EQ(std::get<HttpRuleSet>(rules.target).method_override, "method");

  EXPECT_EQ(settings.routes[3].path_template, "/rooms/{room}");
  EXPECT_EQ(std::get<ServicePath>(settings.routes[4].target).service,
            "/chat.Chat");
  EXPECT_EQ(settings.routes[4].codec, nullptr);
  EXPECT_EQ(settings.routes[4].binary_codec, &kPacketDialect);
  EXPECT_THAT(settings.routes[4].allowed_codecs,
              ElementsAre(&kPacketDialect, &kJsonDialect));
}

// --- Defaults

TEST(LoadTest, WhatTheFileDoesNotSayIsAsWithoutAFile) {
  const Settings defaults;
  const Settings settings = Loaded("threads: 0");
  EXPECT_EQ(settings.listeners.size(), 1u);
  EXPECT_EQ(settings.listeners[0].address, defaults.listeners[0].address);
  EXPECT_EQ(settings.upstreams, defaults.upstreams);
  ASSERT_EQ(settings.routes.size(), 1u);
  EXPECT_EQ(settings.routes[0].upstream, "default");
  EXPECT_EQ(settings.routes[0].path, "");
  EXPECT_EQ(settings.limits.max_sessions, defaults.limits.max_sessions);
  EXPECT_EQ(settings.timeouts.keep_alive, defaults.timeouts.keep_alive);
}

TEST(LoadTest, TheOnlyUpstreamNeedNotBeNamed) {
  const Settings settings =
      Loaded("upstreams: [{name: chat}]\nroutes: [{path: /a.B/C}, {}]");
  EXPECT_EQ(settings.routes[0].upstream, "chat");
  EXPECT_EQ(settings.routes[1].upstream, "chat");
  EXPECT_EQ(Loaded("upstreams: [{name: chat}]").routes[0].upstream, "chat");
}

TEST(LoadTest, OfSeveralUpstreamsARouteMustNameOne) {
  EXPECT_EQ(FaultsOf("upstreams: [{name: a}, {name: b}]\nroutes: [{}]"),
            "f:2:10: routes[0].upstream: is missing, and there are several "
            "upstreams, none named 'default'");
  EXPECT_EQ(FaultsOf("upstreams: [{name: a}, {name: default}]\nroutes: [{}]"),
            "");
  // Without routes the one there is has to.
  EXPECT_THAT(FaultsOf("upstreams: [{name: a}, {name: b}]"),
              HasSubstr("routes[0].upstream: is missing"));
}

// What a route sets wins over the file's general section.
TEST(LoadTest, RoutesWinOverTheGeneralSections) {
  const Settings settings = Loaded(R"(
listeners: [{refusals: close}]
limits: {max_message_bytes: 2KiB}
routes:
  - {path: /a.B/C, max_message_bytes: 1KiB, refusals: http}
  - {}
)");
  EXPECT_EQ(settings.routes[0].max_message_bytes, 1024u);
  EXPECT_EQ(settings.routes[0].json.max_message_bytes, 1024u);
  EXPECT_EQ(settings.routes[0].refusals, Refusals::kHttp);
  EXPECT_EQ(settings.routes[1].max_message_bytes, 2048u);
  EXPECT_EQ(settings.routes[1].json.max_message_bytes, 2048u);
  EXPECT_EQ(settings.routes[1].refusals, Refusals::kClose);
}

TEST(LoadTest, NoDeadlineIsZero) {
  const Settings settings = Loaded(
      "upstreams: [{deadline: 0s, keepalive: {interval: 0s}}]\n"
      "routes: [{deadline: 0s}]");
  EXPECT_EQ(settings.upstreams[0].deadline, absl::InfiniteDuration());
  EXPECT_EQ(settings.upstreams[0].keepalive_interval, absl::InfiniteDuration());
  EXPECT_EQ(settings.routes[0].deadline, absl::InfiniteDuration());
}

// --- Codecs

TEST(LoadTest, AMethodBringsItsCodecs) {
  const Settings settings = Loaded(R"(
routes:
  - {path: /p, method: headgate.v1.PacketService/Connect}
  - {path: /m, method: headgate.v1.MessageService/Connect}
  - {path: /x, method: a.B/C}
  - {path: /y, method: a.B/C, codec: packet}
)");
  EXPECT_EQ(PlanRoute(settings.routes[0]).binary_codec, &kPacketDialect);
  EXPECT_EQ(PlanRoute(settings.routes[1]).codec, &kRawDialect);
  EXPECT_EQ(PlanRoute(settings.routes[2]).codec, nullptr);
  EXPECT_THAT(PlanRoute(settings.routes[2]).allowed_codecs,
              ElementsAre(&kJsonDialect, &kProtobufDialect));
  EXPECT_EQ(PlanRoute(settings.routes[3]).codec, &kPacketDialect);
  EXPECT_THAT(PlanRoute(settings.routes[3]).allowed_codecs,
              ElementsAre(&kPacketDialect, &kJsonDialect, &kProtobufDialect));
}

TEST(LoadTest, AutoIsNoCodecOfItsOwn) {
  EXPECT_EQ(FaultsOf("routes: [{binary_codec: auto}]"),
            "f:1:25: routes[0].binary_codec: must be packet|json|protobuf|raw, "
            "is \"auto\"");
  EXPECT_EQ(FaultsOf("routes: [{allowed_codecs: [json, auto, protobuf]}]"),
            "f:1:34: routes[0].allowed_codecs[1]: must be "
            "packet|json|protobuf|raw, is \"auto\"");
}

TEST(LoadTest, SettingsOfSeveralCallsNeedTheirMethods) {
  EXPECT_EQ(
      FaultsOf("routes: [{packet: {content: json, max_calls: 1, call_window: "
               "1KiB}}]"),
      "f:1:29: routes[0].packet.content: means nothing without packet.methods\n"
      "f:1:46: routes[0].packet.max_calls: means nothing without "
      "packet.methods\n"
      "f:1:62: routes[0].packet.call_window: means nothing without "
      "packet.methods");
}

TEST(LoadTest, AtMostOneKindOfCall) {
  EXPECT_EQ(
      FaultsOf("routes: [{prefix: /a, method: a.B/C, service: a.B}]"),
      "f:1:10: routes[0]: has method and service; it may have one of them");
  EXPECT_EQ(FaultsOf("routes: [{prefix: /a, http_rules: true, packet: "
                     "{methods: {1: a.B/C}}}]"),
            "f:1:10: routes[0]: has http_rules and packet.methods; it may have "
            "one of them");
}

TEST(LoadTest, MethodOverrideIsOfHttpRules) {
  EXPECT_EQ(FaultsOf("routes: [{method_override: method}]"),
            "f:1:28: routes[0].method_override: means nothing without "
            "http_rules");
}

// --- Values

// An empty text would mean the same as none, and a variable may well be empty.
TEST(LoadTest, Hubs) {
  const auto settings = Parse(R"(
routes:
  - path: /plain
    hub: {}
  - template: /rooms/{room}
    hub:
      method: game.v1.Rooms/Attach
      admission: open
      admission_timeout: 2s
      message: game.v1.Frame
      packet_type: 7
      groups: ["room:{room}"]
      client_join: ["room:*"]
      client_join_ask: ["vip:*"]
      client_publish: [news, "room:*"]
      max_groups: 9
      streams: per-worker
      on_backend_loss: close
      hold: 3s
      delivery: at-least-once
      buffers: {events: 2MiB, session_events: 3KiB}
      slow: {policy: keep-latest, max_bytes: 100KiB, max_messages: 5,
             warn_bytes: 1KiB}
      events: {pong: true}
)");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(std::get<HubTarget>(settings->routes[0].target), HubTarget{});
  HubTarget hub;
  hub.method = "/game.v1.Rooms/Attach";
  hub.admission = HubTarget::Admission::kOpen;
  hub.admission_timeout = absl::Seconds(2);
  hub.message = "game.v1.Frame";
  hub.packet_type = 7;
  hub.groups = {"room:{room}"};
  hub.client_join = {"room:*"};
  hub.client_join_ask = {"vip:*"};
  hub.client_publish = {"news", "room:*"};
  hub.max_groups = 9;
  hub.streams = HubTarget::Streams::kPerWorker;
  hub.on_backend_loss = HubTarget::OnBackendLoss::kClose;
  hub.hold = absl::Seconds(3);
  hub.delivery = HubTarget::Delivery::kAtLeastOnce;
  hub.events_bytes = 2 << 20;
  hub.session_events_bytes = 3 << 10;
  hub.slow = {SlowClientSettings::Policy::kKeepLatest, 100 << 10, 5, 1 << 10};
  hub.reports_pongs = true;
  EXPECT_EQ(std::get<HubTarget>(settings->routes[1].target), hub);
}

TEST(LoadTest, PacketsOfAHubCannotBeAcknowledged) {
  EXPECT_THAT(FaultsOf("routes: [{path: /x, hub: {delivery: at-least-once, "
                       "method: headgate.v1.PacketService/Connect}}]"),
              HasSubstr("delivery: packets cannot be acknowledged"));
}

TEST(LoadTest, NoPacketOfAHubAsksForAGroup) {
  EXPECT_THAT(FaultsOf("routes: [{path: /x, hub: {client_join_ask: ['*'], "
                       "method: headgate.v1.PacketService/Connect}}]"),
              HasSubstr("client_join_ask: packets cannot ask"));
}

TEST(LoadTest, TextsAreNotEmpty) {
  for (const char* text :
       {"routes: [{path: \"\"}]", "routes: [{path: \"${EMPTY}\"}]",
        "routes: [{prefix: ''}]", "routes: [{template: ''}]",
        "routes: [{method: ''}]", "upstreams: [{target: ''}]",
        "upstreams: [{tls: {ca: ''}}]", "listeners: [{address: ''}]",
        "routes: [{token_cookie: ''}]"}) {
    EXPECT_THAT(FaultsOf(text), HasSubstr("must not be empty")) << text;
  }
}

TEST(LoadTest, SizesAndDurationsNeedTheirForm) {
  EXPECT_EQ(FaultsOf("timeouts: {send: 30}"),
            "f:1:18: timeouts.send: must be a duration such as 500ms, 30s or "
            "5m, is \"30\"");
  EXPECT_EQ(FaultsOf("routes: [{max_message_bytes: 1MB}]"),
            "f:1:30: routes[0].max_message_bytes: must be a size such as 512, "
            "64KiB or 1MiB, is \"1MB\"");
  // Told once, not once for each route.
  EXPECT_EQ(FaultsOf("limits: {max_message_bytes: 0}"),
            "f:1:29: limits.max_message_bytes: must be at least 1, is 0");
  EXPECT_EQ(FaultsOf("limits: {max_sessions: 4294967295}"),
            "f:1:24: limits.max_sessions: must be at most 2147483647, is "
            "4294967295");
}

TEST(LoadTest, DanglingNamesAreToldWithTheirPlace) {
  EXPECT_EQ(FaultsOf("upstreams:\n"
                     "  - name: chat\n"
                     "routes:\n"
                     "  - path: /a.B/C\n"
                     "    upstream: chta\n"),
            "f:5:15: routes[0].upstream: no upstream is named 'chta'; did you "
            "mean 'chat'?");
}

// --- Files

class FileTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  const std::string directory_ = testing::TempDir();
};

TEST_F(FileTest, IsReadFromDisk) {
  setenv("LOAD_TEST_THREADS", "5", /*overwrite=*/1);
  const auto settings =
      LoadSettings(Write("load_test.yaml", "threads: ${LOAD_TEST_THREADS}\n"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->threads, 5);
}

TEST_F(FileTest, FaultsNameTheFile) {
  const std::string path = Write("load_test_bad.yaml", "threads: x\n");
  EXPECT_THAT(std::string(LoadSettings(path).status().message()),
              testing::StartsWith(path + ":1:10: threads: "));
}

// Wherever the gateway is started from.
TEST_F(FileTest, FilesAreLookedForFromItsDirectory) {
  Write("load_test_ca.pem", "-----BEGIN CERTIFICATE-----\n");
  const auto settings = LoadSettings(Write(
      "load_test_tls.yaml", "upstreams: [{tls: {ca: load_test_ca.pem}}]"));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->upstreams[0].tls->ca, directory_ + "/load_test_ca.pem");
}

TEST_F(FileTest, WhatCannotBeReadIsAnError) {
  EXPECT_EQ(LoadSettings("/nowhere.yaml").status(),
            absl::NotFoundError(
                "/nowhere.yaml: cannot be read: No such file or directory"));
  EXPECT_THAT(std::string(LoadSettings(directory_).status().message()),
              HasSubstr("cannot be read: it is a directory, and a regular file "
                        "is needed"));
  EXPECT_THAT(LoadSettings(Write("load_test_long.yaml",
                                 std::string(1024 * 1024 + 1, '#')))
                  .status()
                  .message(),
              HasSubstr("is longer than"));
}

TEST(LoadTest, LoadBalancingIsChosenByName) {
  const auto settings =
      Parse("upstreams: [{name: a, target: x:1, load_balancing: pick-first}]");
  ASSERT_EQ(settings.status(), absl::OkStatus());
  EXPECT_EQ(settings->upstreams[0].load_balancing,
            UpstreamSettings::LoadBalancing::kPickFirst);
}

TEST(LoadTest, TransportsAreChosenByName) {
  using Transport = UpstreamSettings::Transport;
  const auto settings = Parse(
      "upstreams: [{name: a, transport: grpc}, {name: b, transport: h2}, "
      "{name: c, transport: auto}, {name: default}]");
  ASSERT_EQ(settings.status(), absl::OkStatus());
  const std::vector<UpstreamSettings>& upstreams = settings->upstreams;
  EXPECT_EQ(upstreams[0].transport, Transport::kGrpc);
  EXPECT_EQ(upstreams[1].transport, Transport::kH2);
  EXPECT_EQ(upstreams[2].transport, Transport::kAuto);
  EXPECT_EQ(upstreams[3].transport, Transport::kAuto);
}

}  // namespace
}  // namespace headgate
