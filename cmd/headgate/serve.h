#ifndef CMD_HEADGATE_SERVE_H_
#define CMD_HEADGATE_SERVE_H_

#include <functional>

#include <CLI/App.hpp>

#include "gateway/config/settings.h"

namespace headgate {

// Adds `headgate serve`: the gateway. When the command line names it, `run` is
// set to what does the work and returns the exit status.
void AddServe(CLI::App& app, std::function<int()>& run);

// Runs a gateway until it is told to stop, by SIGTERM (after a drain) or
// SIGINT (after a short one); a second signal stops it at once. `on_serving` is
// called when it listens. Returns the exit status.
int RunGateway(Settings settings, const std::function<void()>& on_serving);

}  // namespace headgate

#endif  // CMD_HEADGATE_SERVE_H_
