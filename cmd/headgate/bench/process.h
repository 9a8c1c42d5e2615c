#ifndef CMD_HEADGATE_BENCH_PROCESS_H_
#define CMD_HEADGATE_BENCH_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace headgate {

// What a process has spent of processors so far, in seconds.
struct CpuTime {
  double user = 0;
  double system = 0;

  double total() const { return user + system; }
  CpuTime operator-(const CpuTime& other) const {
    return {user - other.user, system - other.system};
  }
};

// Of this process, to the microsecond.
CpuTime OwnCpuTime();

// Another process, all of its threads together. CPU is counted in ticks of the
// system, 10 ms as a rule.
struct ProcessUsage {
  CpuTime cpu;
  std::uint64_t rss_bytes = 0;
};

// nullopt when there is no such process.
std::optional<ProcessUsage> ReadProcessUsage(pid_t pid);

// Out of the contents of /proc/PID/stat; proc(5). nullopt when they are not
// what they should be.
std::optional<ProcessUsage> ParseProcessStat(absl::string_view stat,
                                             double ticks_per_second,
                                             std::uint64_t page_bytes);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_PROCESS_H_
