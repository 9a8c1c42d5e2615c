#include "cmd/headgate/bench/run.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cmd/headgate/bench/grpc_load.h"
#include "cmd/headgate/bench/h2_load.h"
#include "cmd/headgate/bench/messages.h"
#include "cmd/headgate/bench/ws_load.h"
#include "cmd/headgate/dial/output.h"
#include "gateway/base/descriptor_limit.h"

namespace headgate {
namespace {

// Memory takes a moment to be what it is going to be.
constexpr std::int64_t kSettleNs = 1'000'000'000;
constexpr std::int64_t kProgressNs = 1'000'000'000;
// How long an open loop waits for its last answers.
constexpr absl::Duration kDrain = absl::Seconds(2);
// Descriptors besides the connections'.
constexpr std::size_t kOwnDescriptors = 64;

// SIGINT and SIGTERM as something to wait for: blocked in this thread and in
// those that it starts, until the first one has come.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
    fd_ = signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Signals() {
    Release();
    close(fd_);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_; }
  // Takes the signal; the next one kills.
  void Take() {
    signalfd_siginfo info;
    static_cast<void>(!read(fd_, &info, sizeof(info)));
    Release();
  }

 private:
  void Release() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  sigset_t set_;
  sigset_t before_;
  int fd_;
};

// What is known of processors at one time.
struct Snapshot {
  std::int64_t at_ns = 0;
  CpuTime own;
  std::optional<ProcessUsage> process;
};

// One thread for each Load, for one step at a time.
class Crew {
 public:
  Crew() : done_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Crew() {
    Join();
    close(done_fd_);
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void Add(std::unique_ptr<Load> load) { loads_.push_back(std::move(load)); }
  const std::vector<std::unique_ptr<Load>>& loads() const { return loads_; }

  // Requires: the step before was joined.
  void Start(const std::function<void(Load&)>& step) {
    busy_ = loads_.size();
    for (const auto& load : loads_) {
      threads_.emplace_back([this, step, &load = *load] {
        step(load);
        if (--busy_ == 0) eventfd_write(done_fd_, 1);
      });
    }
  }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    eventfd_t ignored;
    eventfd_read(done_fd_, &ignored);
  }
  // Whether a step was started and not joined yet.
  bool started() const { return !threads_.empty(); }
  bool done() const { return busy_ == 0; }
  // Readable when all are done.
  int done_fd() const { return done_fd_; }

 private:
  std::vector<std::unique_ptr<Load>> loads_;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> busy_ = 0;
  int done_fd_;
};

absl::Status EnsureDescriptors(const BenchOptions& options) {
  if (std::holds_alternative<GrpcTarget>(options.target)) {
    return absl::OkStatus();
  }
  const std::uint64_t limit = RaiseDescriptorLimit();
  const std::size_t needed =
      options.load.connections + options.load.idle + kOwnDescriptors;
  if (needed > limit) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--connections and --idle: need ", needed,
        " file descriptors, but a process may have ", limit, " (ulimit -Hn)"));
  }
  return absl::OkStatus();
}

// One `headgate bench`. Thread: that of the process's main.
class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(options) {}

  absl::StatusOr<BenchResult> Run() {
    absl::Status status = EnsureDescriptors(options_);
    if (status.ok()) status = MakeLoads();
    if (!status.ok()) return status;
    result_.url = options_.url;
    result_.codec = std::string(options_.dialect->name);
    result_.connections = options_.load.connections;
    result_.in_flight = options_.load.in_flight;
    result_.rate = options_.load.rate;
    result_.size = options_.size;
    if (options_.pid.has_value()) {
      const auto usage = ReadProcessUsage(*options_.pid);
      if (!usage.has_value()) {
        return absl::FailedPreconditionError(absl::StrCat(
            "--pid ", *options_.pid, ": there is no such process"));
      }
      result_.process = BenchResult::Process();
      result_.process->pid = *options_.pid;
      result_.process->rss_bytes_before = usage->rss_bytes;
    }
    OpenAll();
    if (options_.messages.has_value()) {
      RunMessages();
    } else {
      RunDuration();
    }
    Do([](Load& load) { load.Close(); });
    Conclude();
    return std::move(result_);
  }

 private:
  absl::Status MakeLoads() {
    const absl::Status status = PrepareLoads();
    if (!status.ok()) return status;
    for (std::size_t i = 0; i < options_.threads; ++i) {
      auto load = MakeLoad({i, options_.threads});
      if (!load.ok()) return load.status();
      crew_.Add(*std::move(load));
    }
    return absl::OkStatus();
  }

  // What the threads' loads have in common.
  absl::Status PrepareLoads() {
    if (const auto* grpc = std::get_if<GrpcTarget>(&options_.target)) {
      grpc_ = std::make_unique<GrpcLoadOptions>(GrpcLoadOptions{
          options_.load, *grpc, options_.handshake, options_.message.payload});
      return absl::OkStatus();
    }
    const auto* const http = std::get_if<HttpMethodTarget>(&options_.target);
    const WsUrl& url =
        http != nullptr ? http->url : std::get<WsUrl>(options_.target);
    auto endpoints = Resolve(url);
    if (!endpoints.ok()) return endpoints.status();
    const BenchDialect& dialect = *options_.dialect;
    std::optional<WireMessage> head;
    if (dialect.head != nullptr) head = dialect.head(url.target);
    if (options_.http2_streams.has_value()) {
      h2_ = std::make_unique<H2LoadOptions>(H2LoadOptions{
          options_.load, *std::move(endpoints), url, options_.handshake,
          options_.tls, &dialect, options_.message, std::move(head),
          *options_.http2_streams});
      return absl::OkStatus();
    }
    ws_ = std::make_unique<WsLoadOptions>(WsLoadOptions{
        options_.load, *std::move(endpoints),
        UpgradeRequest(url, options_.handshake, "headgate-bench",
                       RandomUpgradeKey()),
        options_.tls, url.host, &dialect, options_.message, std::move(head),
        http == nullptr ? ""
                        : MakeHttpRequest(dialect, url, options_.handshake,
                                          options_.message)});
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Load>> MakeLoad(Share share) {
    if (grpc_ != nullptr) return MakeGrpcLoad(*grpc_, share, stop_);
    return h2_ != nullptr ? MakeH2Load(*h2_, share, stop_)
                          : MakeWsLoad(*ws_, share, stop_);
  }

  void OpenAll() {
    if (options_.load.idle > 0) {
      const Snapshot before = Look();
      Do([](Load& load) { load.Open(Role::kIdle); });
      const std::int64_t settled = NowNs() + kSettleNs;
      Do([settled](Load& load) { load.Rest(settled); });
      const Snapshot after = Look();
      result_.idle = BenchResult::Idle();
      result_.idle->connections = Opened(Role::kIdle);
      if (before.process.has_value() && after.process.has_value()) {
        result_.idle->rss_growth_bytes =
            static_cast<std::int64_t>(after.process->rss_bytes) -
            static_cast<std::int64_t>(before.process->rss_bytes);
      }
    }
    Do([](Load& load) { load.Open(Role::kActive); });
  }

  std::size_t Opened(Role role) const {
    std::size_t sum = 0;
    for (const auto& load : crew_.loads()) sum += load->open(role);
    return sum;
  }

  // A time of warm-up and right behind it the time that is counted.
  void RunDuration() {
    LoadPlan plan;
    plan.begin_ns = NowNs();
    plan.count_from_ns =
        plan.begin_ns + absl::ToInt64Nanoseconds(options_.warm_up);
    plan.count_until_ns =
        plan.count_from_ns + absl::ToInt64Nanoseconds(options_.duration);
    plan.end_ns = plan.count_until_ns;
    if (options_.load.rate.has_value()) plan.drain = kDrain;
    crew_.Start([plan](Load& load) { load.Run(plan); });
    WaitUntil(plan.count_from_ns);
    const Snapshot from = Look();
    WaitUntil(plan.count_until_ns);
    Measure(from, Look());
    // What was counted does not depend on when this thread has woken up.
    const std::int64_t end = std::min(NowNs(), plan.count_until_ns);
    result_.seconds =
        std::max(0.0, static_cast<double>(end - plan.count_from_ns) / 1e9);
    Finish();
  }

  // The warm-up and what is counted one after the other, nothing outstanding
  // in between.
  void RunMessages() {
    LoadPlan plan;
    plan.count_from_ns = plan.count_until_ns = kNeverNs;
    plan.drain = kStallTimeout;
    plan.begin_ns = NowNs();
    if (options_.warm_up_messages > 0) {
      plan.messages = options_.warm_up_messages;
      Do([plan](Load& load) { load.Run(plan); });
    } else if (options_.warm_up > absl::ZeroDuration()) {
      plan.end_ns = plan.begin_ns + absl::ToInt64Nanoseconds(options_.warm_up);
      Do([plan](Load& load) { load.Run(plan); });
    }
    plan = LoadPlan();
    plan.messages = options_.messages;
    const Snapshot from = Look();
    plan.begin_ns = NowNs();
    Do([plan](Load& load) { load.Run(plan); });
    Measure(from, Look());
  }

  Snapshot Look() const {
    Snapshot snapshot;
    snapshot.at_ns = NowNs();
    snapshot.own = OwnCpuTime();
    if (options_.pid.has_value()) {
      snapshot.process = ReadProcessUsage(*options_.pid);
    }
    return snapshot;
  }

  void Measure(const Snapshot& from, const Snapshot& until) {
    result_.seconds = static_cast<double>(until.at_ns - from.at_ns) / 1e9;
    result_.client_cpu = until.own - from.own;
    if (!result_.process.has_value()) return;
    if (!from.process.has_value() || !until.process.has_value()) {
      result_.process.reset();
      result_.counts.errors.Add(
          absl::StrCat("process ", *options_.pid, " has ended"));
      return;
    }
    result_.process->cpu = until.process->cpu - from.process->cpu;
    result_.process->rss_bytes = until.process->rss_bytes;
  }

  void Conclude() {
    for (const auto& load : crew_.loads()) {
      result_.counts.Merge(load->counts());
    }
    if (options_.load.connections > 0 && result_.counts.messages == 0 &&
        result_.ok() && !stop_.raised()) {
      result_.counts.errors.Add("no answer came");
    }
  }

  // ---- Threads

  // Has each thread do its part of `step`.
  void Do(const std::function<void(Load&)>& step) {
    crew_.Start(step);
    Finish();
  }

  void Finish() {
    WaitUntil(kNeverNs);
    crew_.Join();
  }

  // Waits until then, or until the crew is done with the step that it is at,
  // or else until the user wants no more; what the crew does is shown.
  void WaitUntil(std::int64_t until) {
    const bool busy = crew_.started();
    for (;;) {
      const std::int64_t now = NowNs();
      if (now >= until || (busy ? crew_.done() : stop_.raised())) return;
      if (now >= next_progress_ns_) ShowProgress(now);
      const std::int64_t left = std::min(until, next_progress_ns_) - now;
      const timespec timeout = {left / 1'000'000'000, left % 1'000'000'000};
      std::array<pollfd, 2> fds = {{{signals_.fd(), POLLIN, 0},
                                    {busy ? crew_.done_fd() : -1, POLLIN, 0}}};
      // A signal that came is the process's end from now on, so not polled for.
      if (stop_.raised()) fds[0].fd = -1;
      if (ppoll(fds.data(), fds.size(), &timeout, nullptr) <= 0) continue;
      if ((fds[0].revents & POLLIN) == 0) continue;
      signals_.Take();
      stop_.Raise();
    }
  }

  void ShowProgress(std::int64_t now) {
    std::uint64_t answers = 0;
    for (const auto& load : crew_.loads()) answers += load->answers();
    if (next_progress_ns_ > 0 && answers > shown_answers_ &&
        isatty(STDERR_FILENO) != 0) {
      const double seconds =
          static_cast<double>(now - next_progress_ns_ + kProgressNs) / 1e9;
      const double rate =
          static_cast<double>(answers - shown_answers_) / seconds;
      WriteOut(
          STDERR_FILENO,
          absl::StrFormat("headgate bench: %.0f messages a second\n", rate));
    }
    shown_answers_ = answers;
    next_progress_ns_ = now + kProgressNs;
  }

  const BenchOptions& options_;
  Signals signals_;
  StopFlag stop_;
  std::unique_ptr<WsLoadOptions> ws_;  // One of these three.
  std::unique_ptr<H2LoadOptions> h2_;
  std::unique_ptr<GrpcLoadOptions> grpc_;
  Crew crew_;
  BenchResult result_;
  std::int64_t next_progress_ns_ = 0;
  std::uint64_t shown_answers_ = 0;
};

}  // namespace

absl::StatusOr<BenchResult> RunBench(const BenchOptions& options) {
  return Bench(options).Run();
}

}  // namespace headgate
