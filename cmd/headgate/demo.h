#ifndef CMD_HEADGATE_DEMO_H_
#define CMD_HEADGATE_DEMO_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate demo`: the gateway and the demo backend in one process. `run`:
// see AddServe.
void AddDemo(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_DEMO_H_
