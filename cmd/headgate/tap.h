#ifndef CMD_HEADGATE_TAP_H_
#define CMD_HEADGATE_TAP_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate tap`: the messages of a gateway's open sessions. When the
// command line names it, `run` is set to what does the work and returns the
// exit status.
void AddTap(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_TAP_H_
