#ifndef CMD_HEADGATE_REPLAY_H_
#define CMD_HEADGATE_REPLAY_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate replay`: a recording of `headgate tap` against a gateway. When
// the command line names it, `run` is set to what does the work and returns the
// exit status.
void AddReplay(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_REPLAY_H_
