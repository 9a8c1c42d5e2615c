#include "cmd/headgate/nats_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cmd/headgate/held_signals.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

namespace headgate {
namespace {

constexpr char kProgram[] = "nats-server";
// Its log, when it can be used: "… 127.0.0.1:PORT\n" follows.
constexpr absl::string_view kListening = "Listening for client connections on ";
constexpr absl::Duration kStartPatience = absl::Seconds(30);
constexpr absl::Duration kLookInterval = absl::Milliseconds(10);
// Of its output; it writes little.
constexpr std::size_t kMaxOutputBytes = 64 * 1024;

absl::Status SystemFailure(absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat(kProgram, ": ", what, ": ", std::strerror(errno)));
}

// Its path; "": there is none.
std::string FindProgram(absl::string_view folders) {
  for (const absl::string_view folder : absl::StrSplit(folders, ':')) {
    if (folder.empty()) continue;
    std::string file = absl::StrCat(folder, "/", kProgram);
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

// In the child, where only what is safe in signal handlers may be called.
[[noreturn]] void Become(const char* program, char* const* words, int output,
                         int input, pid_t parent) {
  setpgid(0, 0);  // Not of the terminal's foreground.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (getppid() == parent && dup2(input, STDIN_FILENO) != -1 &&
      dup2(output, STDOUT_FILENO) != -1 && dup2(output, STDERR_FILENO) != -1) {
    execv(program, words);
  }
  _exit(127);
}

std::string LastLine(absl::string_view text) {
  text = absl::StripTrailingAsciiWhitespace(text);
  const std::size_t end = text.rfind('\n');
  return std::string(end == absl::string_view::npos ? text
                                                    : text.substr(end + 1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NatsServer>> NatsServer::Start(
    absl::string_view folders) {
  const std::string program = FindProgram(folders);
  if (program.empty()) {
    return absl::NotFoundError(
        absl::StrCat(kProgram, " is missing: apt-get install nats-server"));
  }
  const int output = memfd_create(kProgram, MFD_CLOEXEC);
  if (output == -1) return SystemFailure("memfd_create");
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::string name = kProgram, address_flag = "-a", address = "127.0.0.1",
              port_flag = "-p", port = "-1";
  const std::array<char*, 6> words = {name.data(),    address_flag.data(),
                                      address.data(), port_flag.data(),
                                      port.data(),    nullptr};
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(program.c_str(), words.data(), output, input, parent);
  const int fork_error = errno;
  close(input);
  if (pid == -1) {
    close(output);
    errno = fork_error;
    return SystemFailure("fork");
  }
  auto server = std::unique_ptr<NatsServer>(new NatsServer(pid, output));
  if (const absl::Status status = server->AwaitPort(); !status.ok()) {
    return status;
  }
  server->watcher_ = std::thread([it = server.get()] { it->Watch(); });
  return server;
}

NatsServer::~NatsServer() {
  stopping_ = true;
  kill(pid_, SIGKILL);
  if (watcher_.joinable()) watcher_.join();
  waitpid(pid_, nullptr, 0);
  close(output_);
}

std::string NatsServer::Output() const {
  std::string text(kMaxOutputBytes, '\0');
  const ssize_t size = pread(output_, text.data(), text.size(), 0);
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

absl::Status NatsServer::AwaitPort() {
  const absl::Time until = SteadyNow() + kStartPatience;
  while (true) {
    siginfo_t info = {};
    const bool is_over = waitid(P_PID, static_cast<id_t>(pid_), &info,
                                WEXITED | WNOHANG | WNOWAIT) == 0 &&
                         info.si_pid != 0;
    const std::string output = Output();
    const std::vector<std::string> parts =
        absl::StrSplit(output, absl::MaxSplits(absl::ByString(kListening), 1));
    if (!is_over && parts.size() == 2 && absl::StrContains(parts[1], '\n')) {
      url_ = absl::StrCat("nats://", parts[1].substr(0, parts[1].find('\n')));
      return absl::OkStatus();
    }
    if (is_over) {
      return absl::UnavailableError(
          absl::StrCat(kProgram, " does not start: ", LastLine(output)));
    }
    if (IsStopPending()) {
      return absl::CancelledError("stopped by a signal");
    }
    if (SteadyNow() >= until) {
      return absl::UnavailableError(
          absl::StrCat(kProgram, " does not listen: ", LastLine(output)));
    }
    absl::SleepFor(kLookInterval);
  }
}

void NatsServer::Watch() {
  siginfo_t info = {};
  const auto id = static_cast<id_t>(pid_);
  while (waitid(P_PID, id, &info, WEXITED | WNOWAIT) == -1 && errno == EINTR) {
  }
  if (stopping_) return;
  has_ended_ = true;
  Log(LogLevel::kError, "nats-server has ended, and so does the demo",
      {{"output", LastLine(Output())}});
  kill(getpid(), SIGINT);
}

}  // namespace headgate
