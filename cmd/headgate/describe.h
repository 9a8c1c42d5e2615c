#ifndef CMD_HEADGATE_DESCRIBE_H_
#define CMD_HEADGATE_DESCRIBE_H_

#include <functional>

#include <CLI/App.hpp>

namespace headgate {

// Adds `headgate list [NAME]` and `headgate describe [NAME]`: what an upstream
// or descriptor sets define, as grpcurl shows it. `run`: see AddServe.
void AddList(CLI::App& app, std::function<int()>& run);
void AddDescribe(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_DESCRIBE_H_
