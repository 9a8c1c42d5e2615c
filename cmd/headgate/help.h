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

// What is wrong with the command line, for a person: the first word that names
// no command or no flag, with the name that may have been meant, or what the
// parser says. Requires: `app` has failed to parse it with `error`.
std::string UsageFault(const CLI::App& app, const CLI::ParseError& error);

}  // namespace headgate

#endif  // CMD_HEADGATE_HELP_H_
