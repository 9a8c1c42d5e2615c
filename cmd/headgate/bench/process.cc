#include "cmd/headgate/bench/process.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace headgate {
namespace {

// The fields behind the name, from the third, which is number 0.
constexpr std::size_t kUserTicks = 14 - 3;
constexpr std::size_t kSystemTicks = 15 - 3;
constexpr std::size_t kRssPages = 24 - 3;

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

CpuTime OwnCpuTime() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return {Seconds(usage.ru_utime), Seconds(usage.ru_stime)};
}

std::optional<ProcessUsage> ReadProcessUsage(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string stat((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  return ParseProcessStat(stat, static_cast<double>(sysconf(_SC_CLK_TCK)),
                          static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

std::optional<ProcessUsage> ParseProcessStat(absl::string_view stat,
                                             double ticks_per_second,
                                             std::uint64_t page_bytes) {
  // The name is in parentheses and may hold anything, these too.
  const std::size_t name_end = stat.rfind(") ");
  if (name_end == absl::string_view::npos) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(stat.substr(name_end + 2), ' ');
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  std::uint64_t pages = 0;
  if (fields.size() <= kRssPages ||
      !absl::SimpleAtoi(fields[kUserTicks], &user) ||
      !absl::SimpleAtoi(fields[kSystemTicks], &system) ||
      !absl::SimpleAtoi(fields[kRssPages], &pages)) {
    return std::nullopt;
  }
  return ProcessUsage{{static_cast<double>(user) / ticks_per_second,
                       static_cast<double>(system) / ticks_per_second},
                      pages * page_bytes};
}

}  // namespace headgate
