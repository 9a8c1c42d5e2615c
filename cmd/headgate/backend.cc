#include "cmd/headgate/backend.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "backend/backend.h"

namespace headgate {
namespace {

constexpr char kBackendFooter[] = R"(Services:
  headgate.v1.PacketService/Connect     echo of packets, and rooms
  headgate.v1.MessageService/Connect    echo of plain messages
  headgate.demo.v1.HelloService         SayHello, LotsOfReplies,
                                        LotsOfGreetings, BidiHello
  headgate.demo.v1.EchoService          Metadata, Fail, Flood, Sink, Echo, Stats
  headgate.demo.v1.ChatService/Join     one chat room
  headgate.demo.v1.LibraryService       books and files, with google.api.http
  headgate.demo.v1.LobbyService         Join, Chat, Score, Replay
and server reflection and health.

SIGINT or SIGTERM stops it; open calls get a second to end.
Exit status: 0 when it was stopped, 1 when it cannot listen.)";

// What open calls get to end by themselves.
constexpr absl::Duration kGrace = absl::Seconds(1);

int RunBackend(const std::string& address) {
  // One clear line says what went wrong; gRPC's own say it in its terms.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // Held since the start of the process (held_signals.h), so all threads
  // inherit the mask and these wait for sigwait. SIGHUP ends it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);

  const auto backend = Backend::Start({.address = address});
  if (!backend.ok()) {
    std::fprintf(stderr, "headgate backend: %s\n",
                 std::string(backend.status().message()).c_str());
    return 1;
  }
  std::printf("headgate backend: listening on %s\n",
              (*backend)->address().c_str());
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  // A second one kills.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*backend)->Shutdown(kGrace);
  return 0;
}

}  // namespace

void AddBackend(CLI::App& app, std::function<int()>& run) {
  auto address = std::make_shared<std::string>(BackendOptions().address);
  CLI::App* const backend = app.add_subcommand(
      "backend", "Serve the demo services: gRPC, with reflection and health");
  backend->footer(kBackendFooter);
  backend
      ->add_option("--listen", *address,
                   "HOST:PORT to listen on, port 0 for a free one; or "
                   "unix:/PATH")
      ->type_name("ADDRESS")
      ->capture_default_str();
  backend->callback(
      [&run, address] { run = [address] { return RunBackend(*address); }; });
}

}  // namespace headgate
