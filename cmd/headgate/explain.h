#ifndef CMD_HEADGATE_EXPLAIN_H_
#define CMD_HEADGATE_EXPLAIN_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate explain`: what a request would lead to. When the command line
// names it, `run` is set to what does the work and returns the exit status.
void AddExplain(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_EXPLAIN_H_
