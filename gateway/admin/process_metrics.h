#ifndef GATEWAY_ADMIN_PROCESS_METRICS_H_
#define GATEWAY_ADMIN_PROCESS_METRICS_H_

#include <cstdint>
#include <string>

namespace headgate {

// What /proc tells of this process (proc(5)); what cannot be read is 0.
struct ProcessMetrics {
  double cpu_seconds = 0;
  double start_time = 0;  // Unix seconds.
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
};

ProcessMetrics ReadProcessMetrics();

// The part of it that /proc/self/stat tells. `boot_time`: Unix seconds.
ProcessMetrics ParseProcessStat(const std::string& stat, double boot_time,
                                double ticks_per_second,
                                std::uint64_t page_bytes);
// "btime" of /proc/stat.
double ParseBootTime(const std::string& stat);

}  // namespace headgate

#endif  // GATEWAY_ADMIN_PROCESS_METRICS_H_
