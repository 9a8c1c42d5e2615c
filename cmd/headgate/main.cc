#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>
#include <string>
#include <system_error>

#include <google/protobuf/stubs/common.h>
#include <CLI/CLI.hpp>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include "absl/synchronization/mutex.h"
#include "cmd/headgate/backend.h"
#include "cmd/headgate/bench.h"
#include "cmd/headgate/check.h"
#include "cmd/headgate/demo.h"
#include "cmd/headgate/describe.h"
#include "cmd/headgate/dial.h"
#include "cmd/headgate/explain.h"
#include "cmd/headgate/gen.h"
#include "cmd/headgate/held_signals.h"
#include "cmd/headgate/help.h"
#include "cmd/headgate/probe.h"
#include "cmd/headgate/publish.h"
#include "cmd/headgate/replay.h"
#include "cmd/headgate/serve.h"
#include "cmd/headgate/sessions.h"
#include "cmd/headgate/standard_streams.h"
#include "cmd/headgate/tap.h"

namespace {
constexpr char kMainFooter[] =
    R"("headgate help COMMAND" says what a command takes. To begin with:
  headgate demo
and in a second terminal
  echo '{"greeting":"ann"}' | headgate dial --codec json \
    ws://127.0.0.1:8080/headgate.demo.v1.HelloService/SayHello)";

constexpr int kUsageError = 64;  // EX_USAGE of sysexits.h.

void BeforeConstructors() {
  headgate::HoldSignals();
  headgate::OpenStandardStreams();
}

// Runs before the constructors of the shared libraries, which take tens of
// milliseconds, during which a supervisor may already send SIGHUP, and open
// file descriptors.
__attribute__((section(".preinit_array"),
               used)) void (*const kFirst)() = BeforeConstructors;
}  // namespace

int main(int argc, char** argv) {
  // A peer that is gone is an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);

  // gRPC would write lines of its own between those of the log, for each
  // attempt to connect that fails. Who wants them says so.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);

#ifdef NDEBUG
  // Debian's abseil looks for deadlocks at every lock that gRPC takes, which is
  // a tenth of what a message costs.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif

#if GOOGLE_PROTOBUF_VERSION < 4022000
  // A message that does not parse is answered where it is parsed; without this
  // the library would also write what peers send to stderr.
  google::protobuf::SetLogHandler(nullptr);
#endif

  CLI::App app{"Headgate: a WebSocket-to-gRPC gateway"};
  app.set_version_flag("--version",
                       std::string("headgate ") + HEADGATE_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  std::function<int()> run;
  headgate::AddServe(app, run);
  headgate::AddDemo(app, run);
  headgate::AddBackend(app, run);
  headgate::AddDial(app, run);
  headgate::AddBench(app, run);
  headgate::AddCheck(app, run);
  headgate::AddExplain(app, run);
  headgate::AddProbe(app, run);
  headgate::AddPublish(app, run);
  headgate::AddSessions(app, run);
  headgate::AddTap(app, run);
  headgate::AddReplay(app, run);
  headgate::AddList(app, run);
  headgate::AddDescribe(app, run);
  headgate::AddGen(app, run);
  headgate::AddHelp(app, run);
  // Now, for a command takes the footer that is there when it is added.
  app.footer(kMainFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      std::cerr << headgate::UsageFault(app, error) << std::endl;
      return kUsageError;
    }
    return app.exit(error);  // Prints the help or the version.
  }
  const bool serves = app.got_subcommand("serve") ||
                      app.got_subcommand("demo") ||
                      app.got_subcommand("backend");
  if (!serves) headgate::ReleaseSignals();
  // A command begins with what only the system can refuse it.
  try {
    return run();
  } catch (const std::system_error& error) {
    std::cerr << "headgate: the system does not give what is needed: "
              << error.what()
              << " (limits of the process: ulimit -a, LimitNOFILE=, "
                 "TasksMax=)\n";
  } catch (const std::bad_alloc&) {
    std::cerr << "headgate: there is too little memory (ulimit -v, "
                 "MemoryMax=)\n";
  }
  return 1;
}
