#ifndef CMD_HEADGATE_BENCH_H_
#define CMD_HEADGATE_BENCH_H_

#include <functional>

#include <CLI/CLI.hpp>

namespace headgate {

// Adds `headgate bench` to `app`. When the command line asks for it, `run` is
// set to what does the work and returns the exit status.
void AddBench(CLI::App& app, std::function<int()>& run);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_H_
