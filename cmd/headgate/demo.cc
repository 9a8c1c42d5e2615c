#include "cmd/headgate/demo.h"

#include <limits.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "backend/backend.h"
#include "cmd/headgate/nats_server.h"
#include "cmd/headgate/next_address.h"
#include "cmd/headgate/serve.h"
#include "cmd/headgate/serve_flags.h"
#include "gateway/config/address.h"

namespace headgate {
namespace {

constexpr char kDemoFooter[] = R"(Paths:
  /headgate.demo.v1.HelloService/METHOD  SayHello, LotsOfReplies,
                                         LotsOfGreetings, BidiHello
  /headgate.demo.v1.EchoService/METHOD   Metadata, Fail, Flood, Sink, Echo, Stats
  /packets                               packets: an echo, and rooms
  /echo                                  an echo of plain messages
  /chat                                  JSON to everyone who is connected,
                                         also without a subprotocol
  /game                                  several calls on one socket: type 1 is
                                         LobbyService/Join, 2 Chat, 3 Score,
                                         4 Replay
  /rooms/ROOM                            a hub: all sockets on one stream, each
                                         message to everyone in the room
  /v1/...                                google.api.http rules of LibraryService,
                                         also over plain HTTP

Example, in a second terminal:
  printf '{"greeting":"ann"}\n' | headgate dial --codec json \
    ws://127.0.0.1:8080/headgate.demo.v1.HelloService/BidiHello

With --replicas 2 there are two gateways that share their hubs over NATS: what
is sent to a room of one reaches the members of the other. The second one has
the next port of each --listen and --admin, or, for port 0, a free one of its
own. nats-server must be installed; it listens on loopback, without a password.

With --config the file's routes take the place of these paths, and the demo
backend that of all its upstreams, without TLS and health checks.
SIZE, DURATION, signals, flags with --config, and exit status are those of
"headgate serve".)";

constexpr int kMaxReplicas = 16;

constexpr char kChatPath[] = "/chat";
constexpr char kChatRoute[] = "/chat=headgate.demo.v1.ChatService/Join";

const std::vector<std::string>& DemoRoutes() {
  static const auto& routes = *new std::vector<std::string>{
      "/packets=headgate.v1.PacketService/Connect",
      "/echo=headgate.v1.MessageService/Connect",
      kChatRoute,
  };
  return routes;
}

// The routes of the demo that --route has no words for.
std::vector<Route> MoreDemoRoutes(const Route& base) {
  Route game = base;
  game.path = "/game";
  game.codec = nullptr;  // Packets, whatever --codec says.
  MethodTable table;
  std::uint32_t type = 0;
  for (const char* method : {"Join", "Chat", "Score", "Replay"}) {
    table.methods[++type] =
        absl::StrCat("/headgate.demo.v1.LobbyService/", method);
  }
  game.target = std::move(table);
  Route rooms = base;
  rooms.path_template = "/rooms/{room}";
  rooms.codec = nullptr;
  HubTarget hub;
  hub.groups = {"room:{room}"};
  rooms.target = std::move(hub);
  Route library = base;
  library.prefix = "/v1";
  library.target = HttpRuleSet{};
  library.codec = nullptr;  // As for JSON.
  return {game, rooms, library};
}

// The settings, with the demo backend in place of every upstream.
absl::StatusOr<Settings> DemoSettings(const ServeFlags& flags,
                                      const std::string& backend) {
  absl::StatusOr<Settings> settings = SettingsFrom(flags, DemoRoutes());
  if (!settings.ok()) return settings;
  if (flags.config.empty()) {
    for (Route& route : settings->routes) {
      // Known from the beginning, for a member that only listens never says it.
      if (route.path == kChatPath && !route.codec) {
        route.codec = &kJsonDialect;
      }
    }
    // Before the last one, which serves the methods' own paths.
    for (Route& route : MoreDemoRoutes(settings->routes.back())) {
      settings->routes.insert(settings->routes.end() - 1, std::move(route));
    }
    for (AdminSettings& admin : settings->admin) {
      const auto address = ParseListenAddress(admin.address);
      if (!address.ok() || !IsOfThisMachine(*address)) continue;
      admin.serve.insert({AdminPart::kTap, AdminPart::kTapPayloads});
    }
  }
  for (UpstreamSettings& upstream : settings->upstreams) {
    upstream.target = backend;
    upstream.tls.reset();
    upstream.health_check.reset();
  }
  return settings;
}

// Changes `address`, the first gateway's, which `flag` has set, to that of
// gateway `number`, from 0.
absl::Status MoveOn(int number, absl::string_view flag, std::string& address) {
  absl::StatusOr<std::string> next = NextAddress(address, number);
  if (!next.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag,
                     ": with --replicas each gateway has a port of its "
                     "own: ",
                     next.status().message()));
  }
  address = *std::move(next);
  return absl::OkStatus();
}

// The settings of each of `replicas` gateways. `nats`: the URL of the NATS
// server that they share; empty: they share nothing.
absl::StatusOr<std::vector<Settings>> ReplicaSettings(
    const ServeFlags& flags, const std::string& backend, int replicas,
    const std::string& nats) {
  std::vector<Settings> all;
  for (int i = 0; i < replicas; ++i) {
    absl::StatusOr<Settings> settings = DemoSettings(flags, backend);
    if (!settings.ok()) return settings.status();
    all.push_back(*std::move(settings));
    if (nats.empty()) continue;
    HubSettings& hub = all.back().hub;
    hub.gateway = absl::StrCat("gateway-", i + 1);
    hub.engine = HubSettings::Engine::kNats;
    hub.nats.emplace().servers = {nats};
    absl::Status status;
    for (ListenerSettings& listener : all.back().listeners) {
      status.Update(MoveOn(i, "--listen", listener.address));
    }
    for (AdminSettings& admin : all.back().admin) {
      if (admin.enabled) status.Update(MoveOn(i, "--admin", admin.address));
    }
    if (!status.ok()) return status;
  }
  return all;
}

std::string OwnPath() {
  std::string path(PATH_MAX, '\0');
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return "headgate";
  path.resize(static_cast<std::size_t>(size));
  return path;
}

// Where to look for nats-server. Debian has it in /usr/sbin, which is not on
// everybody's PATH.
std::string FoldersOfNats() {
  const char* const path = std::getenv("PATH");
  return absl::StrCat(path == nullptr ? "" : path, ":/usr/sbin");
}

std::vector<std::string> Announcements(
    const std::string& backend, bool has_config, const std::string& nats,
    const std::vector<std::string>& addresses) {
  std::vector<std::string> lines = {
      absl::StrCat("headgate: demo backend on ", backend)};
  if (!has_config) {
    absl::StrAppend(&lines[0],
                    "; routes /packets, /echo, /chat, /game, /rooms, /v1 and "
                    "/headgate.demo.v1.HelloService/SayHello, ...");
  }
  if (nats.empty()) return lines;
  lines.push_back(absl::StrCat("headgate: NATS on ", nats));
  lines.emplace_back(
      "To see messages cross, run each of these in a terminal of its own:");
  for (const std::string& address : addresses) {
    lines.push_back(
        absl::StrCat("    ", OwnPath(), " dial ", address, "/rooms/1"));
  }
  return lines;
}

int RunDemo(const ServeFlags& flags, const std::string& backend_address,
            int replicas) {
  std::unique_ptr<NatsServer> nats;
  if (replicas > 1) {
    absl::StatusOr<std::unique_ptr<NatsServer>> started =
        NatsServer::Start(FoldersOfNats());
    if (absl::IsCancelled(started.status())) return 0;
    if (!started.ok()) {
      PrintFailure(started.status());
      return 1;
    }
    nats = *std::move(started);
  }
  const std::string nats_url = nats == nullptr ? "" : nats->url();
  const absl::StatusOr<std::unique_ptr<Backend>> backend =
      Backend::Start({backend_address});
  if (!backend.ok()) {
    PrintFailure(backend.status());
    return 1;
  }
  const std::string address = (*backend)->address();
  const int status = RunGateway(
      {[&] { return ReplicaSettings(flags, address, replicas, nats_url); },
       flags.config,
       [&](const std::vector<std::string>& addresses) {
         return Announcements(address, !flags.config.empty(), nats_url,
                              addresses);
       }});
  return nats != nullptr && nats->has_ended() ? 1 : status;
}

}  // namespace

void AddDemo(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand(
      "demo",
      "The gateway and the demo backend in one process, nothing else to start");
  command->footer(kDemoFooter);
  const std::shared_ptr<ServeFlags> flags =
      AddServeFlags(*command, Console::kOn);
  const auto address = std::make_shared<std::string>("127.0.0.1:0");
  command
      ->add_option("--backend-listen", *address,
                   "Where the demo backend's gRPC server listens")
      ->type_name("ADDRESS")
      ->capture_default_str()
      ->group("Upstream");
  const auto replicas = std::make_shared<int>(1);
  command
      ->add_option("--replicas", *replicas,
                   "Gateways that share their hubs over NATS, each on ports of "
                   "its own; more than one needs nats-server (apt-get install "
                   "nats-server)")
      ->type_name("NUMBER")
      ->check(CLI::Range(1, kMaxReplicas).description(""))
      ->capture_default_str();
  command->callback([&run, flags, address, replicas] {
    if (*replicas > 1 && !flags->config.empty()) {
      throw CLI::ExcludesError("--replicas", "--config");
    }
    run = [=] { return RunDemo(*flags, *address, *replicas); };
  });
}

}  // namespace headgate
