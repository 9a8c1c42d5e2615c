#ifndef CMD_HEADGATE_SERVE_FLAGS_H_
#define CMD_HEADGATE_SERVE_FLAGS_H_

#include <memory>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "absl/status/statusor.h"
#include "cmd/headgate/settings_flags.h"
#include "gateway/config/settings.h"

namespace headgate {

// The pages of gateway/console.
enum class Console { kOff, kOn };

// What the flags that `serve` and `demo` share were set to.
struct ServeFlags {
  std::string config;               // The file; empty: none.
  std::vector<std::string> listen;  // Empty: as the settings have it.
  std::vector<std::string> routes;  // "PATH=package.Service/Method"
  bool http_rules = false;          // A route for google.api.http rules.
  Console console = Console::kOff;  // What listeners have by themselves.
  std::string upstream;             // Empty: as the settings have it.
  Overrides overrides;              // Everything else.
};

// Adds the flags, with their help, to `command`; they are set when it parses.
// `console`: whether listeners have it unless a flag says otherwise.
std::shared_ptr<ServeFlags> AddServeFlags(CLI::App& command,
                                          Console console = Console::kOff);

// The settings that the flags ask for: those of the file, or else the defaults,
// with what the flags say on top. `routes` are those that the command brings
// itself, in the form of --route; a file takes their place. May be asked again:
// the file is read each time.
absl::StatusOr<Settings> SettingsFrom(const ServeFlags& flags,
                                      const std::vector<std::string>& routes);

}  // namespace headgate

#endif  // CMD_HEADGATE_SERVE_FLAGS_H_
