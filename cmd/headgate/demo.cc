#include "cmd/headgate/demo.h"

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "backend/backend.h"
#include "cmd/headgate/serve.h"
#include "cmd/headgate/serve_flags.h"
#include "gateway/base/log.h"

namespace headgate {
namespace {

constexpr char kFooter[] = R"(Paths:
  /headgate.demo.v1.HelloService/METHOD  SayHello, LotsOfReplies,
                                         LotsOfGreetings, BidiHello
  /headgate.demo.v1.EchoService/METHOD   Metadata, Fail, Flood, Sink, Echo, Stats
  /packets                               packets: an echo, and rooms
  /echo                                  an echo of plain messages
  /chat                                  JSON to everyone who is connected

Example, in a second terminal:
  printf '{"greeting":"ann"}\n' | headgate dial --codec json --end \
    ws://127.0.0.1:8080/headgate.demo.v1.HelloService/BidiHello

SIZE, DURATION, signals and exit status are those of "headgate serve".)";

const std::vector<std::string>& DemoRoutes() {
  static const auto& routes = *new std::vector<std::string>{
      "/packets=headgate.v1.PacketService/Connect",
      "/echo=headgate.v1.MessageService/Connect",
      "/chat=headgate.demo.v1.ChatService/Join",
  };
  return routes;
}

int RunDemo(const ServeFlags& flags, const std::string& backend_address) {
  SetLogLevel(flags.log_level);
  absl::StatusOr<Settings> settings = SettingsFrom(flags, DemoRoutes());
  if (!settings.ok()) {
    std::cerr << "headgate: " << settings.status().message() << std::endl;
    return 1;
  }
  const absl::StatusOr<std::unique_ptr<Backend>> backend =
      Backend::Start({backend_address});
  if (!backend.ok()) {
    std::cerr << "headgate: " << backend.status().message() << std::endl;
    return 1;
  }
  settings->upstream.target = (*backend)->address();
  return RunGateway(*std::move(settings), [&backend] {
    std::cout << "headgate: demo backend on " << (*backend)->address()
              << "; routes /packets, /echo, /chat and "
                 "/headgate.demo.v1.HelloService/SayHello, ..."
              << std::endl;
  });
}

}  // namespace

void AddDemo(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand(
      "demo",
      "The gateway and the demo backend in one process, nothing else to start");
  command->footer(kFooter);
  const std::shared_ptr<ServeFlags> flags = AddServeFlags(*command);
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
