#ifndef CMD_HEADGATE_SESSIONS_H_
#define CMD_HEADGATE_SESSIONS_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate sessions`: lists and closes the sessions of a gateway's hubs
// through the hub API. `run`: see AddServe.
void AddSessions(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_SESSIONS_H_
