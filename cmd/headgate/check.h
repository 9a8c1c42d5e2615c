#ifndef CMD_HEADGATE_CHECK_H_
#define CMD_HEADGATE_CHECK_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate check FILE`: validates a configuration file and prints what
// would be served. `run`: see AddServe.
void AddCheck(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_CHECK_H_
