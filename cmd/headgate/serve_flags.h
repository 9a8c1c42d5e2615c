#ifndef CMD_HEADGATE_SERVE_FLAGS_H_
#define CMD_HEADGATE_SERVE_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "gateway/base/log.h"
#include "gateway/config/settings.h"

namespace headgate {

// The flags that `serve` and `demo` share, and what they were set to.
struct ServeFlags {
  std::vector<std::string> listen = {"127.0.0.1:8080"};
  std::vector<std::string> routes;  // "PATH=package.Service/Method"
  ListenerSettings listener;        // For each of `listen`.
  Route route;                      // What every route starts from.
  LimitSettings limits;
  TimeoutSettings timeouts;
  int threads = 0;
  LogLevel log_level = LogLevel::kInfo;
};

// Adds the flags, with their help, to `command`; they are set when it parses.
std::shared_ptr<ServeFlags> AddServeFlags(CLI::App& command);

// The settings that the flags ask for, all but the upstream. `routes` are those
// the command brings itself, in the form of --route; the flags' come first.
absl::StatusOr<Settings> SettingsFrom(const ServeFlags& flags,
                                      const std::vector<std::string>& routes);

}  // namespace headgate

#endif  // CMD_HEADGATE_SERVE_FLAGS_H_
