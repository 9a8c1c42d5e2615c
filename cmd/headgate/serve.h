#ifndef CMD_HEADGATE_SERVE_H_
#define CMD_HEADGATE_SERVE_H_

#include <functional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/config/settings.h"

namespace headgate {

// Adds `headgate serve`: the gateway. When the command line names it, `run` is
// set to what does the work and returns the exit status.
void AddServe(CLI::App& app, std::function<int()>& run);

struct GatewayRun {
  // Asked at the start, and again at each reload.
  std::function<absl::StatusOr<Settings>()> settings;
  // The file that SIGHUP reloads; empty: there is none.
  std::string config;
  // Lines for stdout, behind those of the listeners.
  std::vector<std::string> announcements;
};

// Runs a gateway until it is told to stop, by SIGTERM (after a drain) or
// SIGINT (after a short one); a second signal stops it at once. Returns the
// exit status; faults have gone to stderr.
int RunGateway(const GatewayRun& gateway);

// Writes a failure to stderr, "headgate: " before each of its lines.
void PrintFailure(const absl::Status& status);

}  // namespace headgate

#endif  // CMD_HEADGATE_SERVE_H_
