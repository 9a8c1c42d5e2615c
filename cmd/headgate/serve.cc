#include "cmd/headgate/serve.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "cmd/headgate/serve_flags.h"
#include "gateway/base/log.h"
#include "gateway/server/server.h"

namespace headgate {
namespace {

constexpr char kFooter[] =
    R"(SIZE: bytes, or with KiB, MiB, GiB. DURATION: 500ms, 30s, 5m, 1h30m.

The upstream should have server reflection: without it every method counts as
bidirectional, and JSON is not served. It need not be there at the start.

SIGTERM closes every session with 1001 and waits for them (--drain), SIGINT for
a second at most; a second signal stops at once.
Exit status: 0 after a drain, 1 when it cannot serve or was stopped by a second
signal, 64 for a command line that cannot be understood.

Example:
  headgate serve --listen '*:8080' --upstream dns:///chat:50051 \
    --route /chat=chat.v1.Chat/Join --allow-origin https://app.example.com)";

constexpr absl::Duration kInterruptDrain = absl::Seconds(1);

// Drains the server on the first signal, stops it on the second.
class SignalHandler {
 public:
  SignalHandler(boost::asio::io_context& control, Server& server,
                absl::Duration drain)
      : signals_(control, SIGTERM, SIGINT), server_(server), drain_(drain) {
    Wait();
  }

  int exit_status() const { return exit_status_; }

 private:
  void Wait() {
    signals_.async_wait([this](boost::system::error_code error, int signal) {
      if (!error) OnSignal(signal);
    });
  }

  void OnSignal(int signal) {
    if (draining_) {
      Log(LogLevel::kWarning, "stopping at once, on a second signal");
      exit_status_ = 1;
      server_.Stop();
      return;
    }
    draining_ = true;
    const absl::Duration timeout =
        signal == SIGINT ? std::min(drain_, kInterruptDrain) : drain_;
    Log(LogLevel::kInfo, "draining",
        {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"},
         {"timeout", absl::FormatDuration(timeout)}});
    Wait();
    server_.Drain(timeout, [this] { signals_.cancel(); });
  }

  boost::asio::signal_set signals_;
  Server& server_;
  const absl::Duration drain_;
  bool draining_ = false;
  int exit_status_ = 0;
};

}  // namespace

int RunGateway(Settings settings, const std::function<void()>& on_serving) {
  boost::asio::io_context control{1};
  const absl::Duration drain = settings.timeouts.drain;
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(std::move(settings), control);
  if (!server.ok()) {
    std::cerr << "headgate: " << server.status().message() << std::endl;
    return 1;
  }
  SignalHandler signals(control, **server, drain);
  for (const std::string& address : (*server)->addresses()) {
    std::cout << "headgate: listening on ws://" << address << std::endl;
  }
  on_serving();
  control.run();
  Log(LogLevel::kInfo, "stopped");
  return signals.exit_status();
}

void AddServe(CLI::App& app, std::function<int()>& run) {
  CLI::App* command =
      app.add_subcommand("serve", "The gateway: WebSockets in, gRPC calls out");
  command->footer(kFooter);
  const std::shared_ptr<ServeFlags> flags = AddServeFlags(*command);
  const auto target = std::make_shared<std::string>(UpstreamSettings{}.target);
  command
      ->add_option("--upstream", *target,
                   "The gRPC server, a gRPC name: host:port, "
                   "dns:///host:port, unix:/path, ...")
      ->type_name("TARGET")
      ->capture_default_str()
      ->group("Upstream");
  command->callback([&run, flags, target] {
    run = [flags, target] {
      SetLogLevel(flags->log_level);
      absl::StatusOr<Settings> settings = SettingsFrom(*flags, {});
      if (!settings.ok()) {
        std::cerr << "headgate: " << settings.status().message() << std::endl;
        return 1;
      }
      settings->upstream.target = *target;
      return RunGateway(*std::move(settings), [] {});
    };
  });
}

}  // namespace headgate
