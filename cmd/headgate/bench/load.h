#ifndef CMD_HEADGATE_BENCH_LOAD_H_
#define CMD_HEADGATE_BENCH_LOAD_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/time/time.h"
#include "cmd/headgate/bench/report.h"

namespace headgate {

// Nanoseconds of the steady clock, the only one that the load goes by.
inline std::int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
inline constexpr std::int64_t kNeverNs =
    std::numeric_limits<std::int64_t>::max();

// The next thing asks for all to end. Safe for any thread.
class StopFlag {
 public:
  StopFlag();
  ~StopFlag();
  StopFlag(const StopFlag&) = delete;
  StopFlag& operator=(const StopFlag&) = delete;

  void Raise();
  bool raised() const { return raised_.load(std::memory_order_relaxed); }
  // Readable, for poll(2), from Raise on.
  int fd() const { return fd_; }

 private:
  std::atomic<bool> raised_ = false;
  int fd_;
};

// Which connections: those that carry the load, or those that send one message
// and are silent then.
enum class Role : unsigned char { kActive, kIdle };

// What one thread has of `count` things, dealt out in turn: number `index`,
// index + threads, ...
struct Share {
  std::size_t index = 0;
  std::size_t threads = 1;

  std::size_t Of(std::size_t count) const {
    return count / threads + (index < count % threads ? 1 : 0);
  }
};

struct LoadOptions {
  std::size_t connections = 1;  // Of all threads, as are idle and rates.
  std::size_t idle = 0;
  // Messages outstanding on a connection: in a closed loop always so many, in
  // an open loop at most.
  std::size_t in_flight = 1;
  std::optional<double> rate =
      std::nullopt;  // Messages a second: an open loop.
  std::optional<double> ramp = std::nullopt;  // Connections opened a second.
  // For connecting, the handshake and an idle connection's one answer.
  absl::Duration connect_timeout = absl::Seconds(10);
};

// One run of the load. Times are of NowNs.
struct LoadPlan {
  std::int64_t begin_ns = 0;
  // Nothing is sent from here on, unless messages run out first.
  std::int64_t end_ns = kNeverNs;
  // What is counted: the answers that come within this time; in an open loop
  // also the latencies of the messages that are due within it.
  std::int64_t count_from_ns = 0;
  std::int64_t count_until_ns = kNeverNs;
  // So many messages are sent, on all connections together, and awaited.
  std::optional<std::uint64_t> messages = std::nullopt;
  // How long outstanding answers are awaited after `end_ns`.
  absl::Duration drain = absl::ZeroDuration();
};

// No answer for so long, when nothing else ends the run, is a failure.
inline constexpr absl::Duration kStallTimeout = absl::Seconds(10);
// At most so many connections are being opened at a time, without a ramp.
inline constexpr std::size_t kMaxOpening = 64;

// The connections of one thread and the load on them.
//
// Thread: one at a time calls these, each of which returns when it is done, or
// soon after the StopFlag is raised; `answers` is safe for any thread. Order:
// Open of each role once, Rest and Run any number of times, Close.
class Load {
 public:
  virtual ~Load() = default;

  // Opens the thread's share of the role's connections.
  virtual void Open(Role role) = 0;
  // Only looks after what is open, until then.
  virtual void Rest(std::int64_t until_ns) = 0;
  virtual void Run(const LoadPlan& plan) = 0;
  virtual void Close() = 0;

  const LoadCounts& counts() const { return counts_; }
  // How many of the role are open.
  std::size_t open(Role role) const {
    return open_[static_cast<std::size_t>(role)];
  }
  // How many have come so far, counted or not.
  std::uint64_t answers() const {
    return answers_.load(std::memory_order_relaxed);
  }

 protected:
  LoadCounts counts_;
  std::size_t open_[2] = {};
  std::atomic<std::uint64_t> answers_ = 0;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_LOAD_H_
