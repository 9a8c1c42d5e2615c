#include "cmd/headgate/serve.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cmd/headgate/held_signals.h"
#include "cmd/headgate/serve_flags.h"
#include "gateway/base/descriptor_limit.h"
#include "gateway/base/line_writer.h"
#include "gateway/base/log.h"
#include "gateway/console/console.h"
#include "gateway/server/server.h"

namespace headgate {
namespace {

constexpr char kServeFooter[] =
    R"(SIZE: bytes, or with KiB, MiB, GiB. DURATION: 500ms, 30s, 5m, 1h30m.

The upstream should have server reflection: without it every method counts as
bidirectional, and JSON is not served. It need not be there at the start.

With --config the file says what is served, and flags that are given win:
  --listen    takes the place of the file's listeners; each is as the first one
  --upstream  is the target of the file's upstream; it may have only one
  --admin     takes the place of the file's admin listeners, and is as the first
              one
  --route     comes before the file's routes, and replaces one at its path
  any other   holds for all listeners, routes, limits or timeouts of the file
SIGHUP reads the file again, for what comes in from then on; a file with faults
changes nothing. Both are told in the log. Without a file the log says that
there is nothing to reload.

SIGTERM closes the sessions with 1001, one after the other over --drain, and
waits for them; SIGINT for a second at most; a second signal stops at once.
Exit status: 0 after a drain, 1 when it cannot serve or was stopped by a second
signal, 64 for a command line that cannot be understood.

Example:
  headgate serve --listen '*:8080' --upstream dns:///chat:50051 \
    --route /chat=chat.v1.Chat/Join --allow-origin https://app.example.com)";

constexpr absl::Duration kInterruptDrain = absl::Seconds(1);
// For the workers to stop, beyond the time that a drain has.
constexpr absl::Duration kStopPatience = absl::Seconds(5);
// For stderr to take the last lines of the log, and stdout the first ones.
constexpr absl::Duration kFlushPatience = absl::Seconds(1);

// A line on stdout. Its reader may have stalled, and must not hold up the
// gateway.
void Announce(const std::string& line) {
  if (!WriteWithin(STDOUT_FILENO, absl::StrCat(line, "\n"), kFlushPatience)) {
    Log(LogLevel::kWarning, "stdout does not take a line", {{"line", line}});
  }
}

using Servers = std::vector<std::unique_ptr<Server>>;

// Drains the servers on the first signal to stop, stops them on the second;
// reloads them on SIGHUP.
class SignalHandler {
 public:
  SignalHandler(boost::asio::io_context& control, const Servers& servers,
                const GatewayRun& gateway, const TimeoutSettings& timeouts)
      : signals_(control, SIGTERM, SIGINT, SIGHUP),
        servers_(servers),
        gateway_(gateway),
        timeouts_(timeouts) {
    Wait();
  }

  int exit_status() const { return exit_status_; }

 private:
  void Wait() {
    signals_.async_wait([this](boost::system::error_code error, int signal) {
      if (error) return;
      if (signal == SIGHUP) {
        OnReload();
      } else {
        OnStop(signal);
      }
    });
  }

  void OnReload() {
    Wait();
    if (draining_) return;
    const std::string& file = gateway_.config;
    if (file.empty()) {
      return Log(LogLevel::kWarning,
                 "SIGHUP: there is no configuration file to reload",
                 {{"hint", "serve --config FILE"}});
    }
    std::vector<std::string> needs_restart;
    absl::StatusOr<std::vector<Settings>> settings = gateway_.settings();
    absl::Status status = settings.status();
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if (!settings.ok()) {
        servers_[i]->ReloadFailed();
      } else if (status.ok()) {
        status = servers_[i]->Reload((*settings)[i], &needs_restart);
      }
    }
    if (!status.ok()) {
      for (const absl::string_view line :
           absl::StrSplit(status.message(), '\n')) {
        Log(LogLevel::kError, "configuration not reloaded",
            {{"file", file}, {"fault", std::string(line)}});
      }
      return;
    }
    const Settings& first = settings->front();
    timeouts_ = first.timeouts;
    // Told whether or not it is still to be told from now on.
    Log(LogLevel::kInfo, "configuration reloaded", {{"file", file}});
    for (const std::string& setting : needs_restart) {
      Log(LogLevel::kWarning, "a setting has changed that needs a restart",
          {{"file", file}, {"setting", setting}});
    }
    SetLogLevel(first.log_level);
    SetLogFormat(first.log_format);
  }

  void OnStop(int signal) {
    if (draining_) {
      Log(LogLevel::kWarning, "stopping at once, on a second signal");
      exit_status_ = 1;
      EndAt(kStopPatience);
      for (const auto& server : servers_) server->Stop();
      return;
    }
    draining_ = true;
    const bool by_hand = signal == SIGINT;
    const absl::Duration delay =
        by_hand ? absl::ZeroDuration() : timeouts_.drain_delay;
    const absl::Duration timeout =
        by_hand ? std::min(timeouts_.drain, kInterruptDrain) : timeouts_.drain;
    Log(LogLevel::kInfo, "draining",
        {{"signal", by_hand ? "SIGINT" : "SIGTERM"},
         {"delay", absl::FormatDuration(delay)},
         {"timeout", absl::FormatDuration(timeout)}});
    Wait();
    EndAt(delay + timeout + kStopPatience);
    draining_servers_ = servers_.size();
    for (const auto& server : servers_) {
      server->Drain(delay, timeout, [this] {
        if (--draining_servers_ == 0) signals_.cancel();
      });
    }
  }

  // Ends the process by then, should something never return: a worker whose
  // event loop hangs would be waited for without end.
  static void EndAt(absl::Duration patience) {
    std::thread([patience] {
      absl::SleepFor(patience);
      Log(LogLevel::kError, "a thread does not stop; the process ends anyway");
      FlushLog(kFlushPatience);
      std::_Exit(1);
    }).detach();
  }

  boost::asio::signal_set signals_;
  const Servers& servers_;
  const GatewayRun& gateway_;
  TimeoutSettings timeouts_;
  bool draining_ = false;
  std::size_t draining_servers_ = 0;
  int exit_status_ = 0;
};

// Where a browser finds the pages of a listener at "ws://ADDRESS" or
// "wss://ADDRESS".
void AnnounceConsole(absl::string_view address) {
  if (absl::StartsWith(address, "ws+unix:")) return;
  if (!absl::ConsumePrefix(&address, "ws")) return;
  Announce(
      absl::StrCat("headgate: console at http", address, kConsolePath, "/"));
}

void AnnounceAddresses(const Server& server) {
  for (const std::string& address : server.addresses()) {
    Announce(absl::StrCat("headgate: listening on ", address));
  }
  for (const std::string& admin : server.admin_addresses()) {
    Announce(absl::StrCat("headgate: admin on ",
                          absl::StartsWith(admin, "unix:") ? "" : "http://",
                          admin));
  }
  if (const std::string api = server.hub_api_address(); !api.empty()) {
    Announce(absl::StrCat("headgate: hub API on ", api));
  }
}

void AnnounceAll(const GatewayRun& gateway, const Servers& servers,
                 const std::vector<std::vector<bool>>& has_console) {
  std::vector<std::string> first_addresses;
  for (const auto& server : servers) {
    AnnounceAddresses(*server);
    first_addresses.push_back(server->addresses().front());
  }
  for (std::size_t i = 0; i < servers.size(); ++i) {
    for (std::size_t j = 0; j < has_console[i].size(); ++j) {
      if (has_console[i][j]) AnnounceConsole(servers[i]->addresses()[j]);
    }
  }
  if (gateway.announcements != nullptr) {
    for (const std::string& line : gateway.announcements(first_addresses)) {
      Announce(line);
    }
  }
}

}  // namespace

void PrintFailure(const absl::Status& status) {
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    std::cerr << "headgate: " << line << "\n";
  }
  std::cerr.flush();
}

int RunGateway(const GatewayRun& gateway) {
  absl::StatusOr<std::vector<Settings>> settings = gateway.settings();
  if (!settings.ok()) {
    PrintFailure(settings.status());
    return 1;
  }
  SetLogLevel(settings->front().log_level);
  SetLogFormat(settings->front().log_format);
  StartLogWriter();
  RaiseDescriptorLimit();
  if (IsStopPending()) {
    Log(LogLevel::kInfo, "stopped by a signal before anything was served");
    FlushLog(kFlushPatience);
    return 0;
  }
  boost::asio::io_context control{1};
  const TimeoutSettings timeouts = settings->front().timeouts;
  std::vector<std::vector<bool>> has_console;  // By gateway and listener.
  Servers servers;
  for (Settings& each : *settings) {
    std::vector<bool>& listeners = has_console.emplace_back();
    for (const ListenerSettings& listener : each.listeners) {
      listeners.push_back(listener.console);
    }
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(std::move(each), control);
    if (!server.ok()) {
      FlushLog(kFlushPatience);
      PrintFailure(server.status());
      return 1;
    }
    servers.push_back(*std::move(server));
  }
  SignalHandler signals(control, servers, gateway, timeouts);
  ReleaseSignals();
  AnnounceAll(gateway, servers, has_console);
  control.run();
  Log(LogLevel::kInfo, "stopped");
  FlushLog(kFlushPatience);
  return signals.exit_status();
}

void AddServe(CLI::App& app, std::function<int()>& run) {
  CLI::App* command =
      app.add_subcommand("serve", "The gateway: WebSockets in, gRPC calls out");
  command->footer(kServeFooter);
  const std::shared_ptr<ServeFlags> flags = AddServeFlags(*command);
  command
      ->add_option("--upstream", flags->upstream,
                   "The gRPC server, a gRPC name: host:port, "
                   "dns:///host:port, unix:/path, ...")
      ->type_name("TARGET")
      ->default_str(UpstreamSettings().target)
      ->group("Upstream");
  command->callback([&run, flags] {
    run = [flags] {
      const auto settings = [flags]() -> absl::StatusOr<std::vector<Settings>> {
        absl::StatusOr<Settings> one = SettingsFrom(*flags, {});
        if (!one.ok()) return one.status();
        return std::vector{*std::move(one)};
      };
      return RunGateway({settings, flags->config});
    };
  });
}

}  // namespace headgate
