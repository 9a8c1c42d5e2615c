#include "cmd/headgate/demo.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "backend/backend.h"
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

With --config the file's routes take the place of these paths, and the demo
backend that of all its upstreams, without TLS and health checks.
SIZE, DURATION, signals, flags with --config, and exit status are those of
"headgate serve".)";

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

int RunDemo(const ServeFlags& flags, const std::string& backend_address) {
  const absl::StatusOr<std::unique_ptr<Backend>> backend =
      Backend::Start({backend_address});
  if (!backend.ok()) {
    PrintFailure(backend.status());
    return 1;
  }
  const std::string address = (*backend)->address();
  std::string line = absl::StrCat("headgate: demo backend on ", address);
  if (flags.config.empty()) {
    absl::StrAppend(&line,
                    "; routes /packets, /echo, /chat, /game, /rooms, /v1 and "
                    "/headgate.demo.v1.HelloService/SayHello, ...");
  }
  return RunGateway(
      {[&] { return DemoSettings(flags, address); }, flags.config, {line}});
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
  command->callback([&run, flags, address] {
    run = [=] { return RunDemo(*flags, *address); };
  });
}

}  // namespace headgate
