#ifndef CMD_HEADGATE_BENCH_REPORT_H_
#define CMD_HEADGATE_BENCH_REPORT_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "cmd/headgate/bench/latency_histogram.h"
#include "cmd/headgate/bench/process.h"

namespace headgate {

// How often each thing went wrong, by what it was. Holds at most kMaxReasons
// of them, since a peer may have many things to say; the rest is one more.
class Failures {
 public:
  static constexpr std::size_t kMaxReasons = 50;

  void Add(absl::string_view reason, std::uint64_t times = 1);
  void Merge(const Failures& other);
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }
  bool empty() const { return counts_.empty(); }

 private:
  std::map<std::string, std::uint64_t> counts_;
};

// What was counted, of one thread or of all.
struct LoadCounts {
  LatencyHistogram latency;
  std::uint64_t messages = 0;  // Answers that came within the window.
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  // In an open loop, of the messages that were due within the window: sent
  // late because too many were outstanding; sent, but without an answer; not
  // sent at all.
  std::uint64_t late = 0;
  std::uint64_t unanswered = 0;
  std::uint64_t unsent = 0;
  std::uint64_t connect_failures = 0;
  Failures errors;
  bool codec_declined = false;  // By a peer that took no subprotocol.

  void Merge(const LoadCounts& other);
};

// What `headgate bench` found out.
struct BenchResult {
  struct Process {
    pid_t pid = 0;
    CpuTime cpu;  // Within the window.
    std::uint64_t rss_bytes_before = 0;
    std::uint64_t rss_bytes = 0;
  };
  struct Idle {
    std::size_t connections = 0;
    // How much the process grew when they were opened; none without --pid.
    std::optional<std::int64_t> rss_growth_bytes;
  };

  std::string url;
  std::string codec;
  std::size_t connections = 0;
  std::size_t in_flight = 0;
  std::optional<double> rate;
  std::size_t size = 0;
  double seconds = 0;  // How long the window was.
  LoadCounts counts;
  CpuTime client_cpu;  // Within the window.
  std::optional<Process> process;
  std::optional<Idle> idle;

  bool ok() const {
    return counts.connect_failures == 0 && counts.errors.empty();
  }
};

// One JSON object on one line, without its end.
std::string ReportJson(const BenchResult& result);

// A small table for a person: whole lines.
std::string ReportText(const BenchResult& result);

// What went wrong, the most frequent things first: a handful of lines.
std::string ReportFailures(const BenchResult& result);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_REPORT_H_
