#ifndef CMD_HEADGATE_GEN_H_
#define CMD_HEADGATE_GEN_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate gen ts [NAME...]`: TypeScript for @headgate/client, from
// descriptor sets or an upstream. `run`: see AddServe.
void AddGen(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_GEN_H_
