#ifndef CMD_HEADGATE_PUBLISH_H_
#define CMD_HEADGATE_PUBLISH_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate publish GROUP [TEXT]`: sends messages to the members of a
// group through the hub API. `run`: see AddServe.
void AddPublish(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_PUBLISH_H_
