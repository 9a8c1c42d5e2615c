#ifndef CMD_HEADGATE_PROBE_H_
#define CMD_HEADGATE_PROBE_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate probe [URL]`: asks a URL, by default the gateway's readiness,
// and tells by its exit status whether the answer was a success; for health
// checks where there is no other HTTP client. `run`: see AddServe.
void AddProbe(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_PROBE_H_
