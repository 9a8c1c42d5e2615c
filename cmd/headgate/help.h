#ifndef CMD_HEADGATE_HELP_H_
#define CMD_HEADGATE_HELP_H_

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace headgate {

// Adds `headgate help [COMMAND]` and `headgate version` to `app`, which prints
// the same as --help and --version. When the command line asks for one of them,
// `run` is set to what prints it and returns the exit status.
void AddHelp(CLI::App& app, std::function<int()>& run);

// The first word of the command line that names no command or no flag, as one
// line for a person, with the name that may have been meant; empty when there
// is no such word. Requires: `app` has failed to parse a command line.
std::string FindTypo(const CLI::App& app);

}  // namespace headgate

#endif  // CMD_HEADGATE_HELP_H_
