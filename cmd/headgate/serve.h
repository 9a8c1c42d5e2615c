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

// The gateways of a process, usually one. Thread: the main thread, for all
// callbacks.
struct GatewayRun {
  // Returns the settings of each gateway: at least one, and the same number
  // each time. Called at the start, and at each reload.
  std::function<absl::StatusOr<std::vector<Settings>>()> settings;
  // The file that SIGHUP reloads; empty: there is none.
  std::string config;
  // Returns the last lines of the start for stdout; null: none. Takes the first
  // address of each gateway, such as "ws://127.0.0.1:8080".
  std::function<std::vector<std::string>(const std::vector<std::string>&)>
      announcements = nullptr;
};

// Runs gateways until they are told to stop, by SIGTERM (after a drain) or
// SIGINT (after a short one); a second signal stops them at once. Returns
// the exit status; faults have gone to stderr.
int RunGateway(const GatewayRun& gateway);

// Writes a failure to stderr, "headgate: " before each of its lines.
void PrintFailure(const absl::Status& status);

}  // namespace headgate

#endif  // CMD_HEADGATE_SERVE_H_
