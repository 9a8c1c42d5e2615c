#include "gateway/admin/process_metrics.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/base/descriptor_limit.h"

namespace headgate {
namespace {

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

ProcessMetrics ParseProcessStat(const std::string& stat, double boot_time,
                                double ticks_per_second,
                                std::uint64_t page_bytes) {
  ProcessMetrics metrics;
  // The name, in parentheses, may have blanks and parentheses of its own.
  const std::size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return metrics;
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(name_end + 2), ' ');
  // The fields of proc(5), from the third on.
  const auto field = [&](std::size_t number) {
    std::uint64_t value = 0;
    if (number - 3 >= fields.size() ||
        !absl::SimpleAtoi(fields[number - 3], &value)) {
      return std::uint64_t{0};
    }
    return value;
  };
  metrics.cpu_seconds =
      static_cast<double>(field(14) + field(15)) / ticks_per_second;
  metrics.start_time =
      boot_time + static_cast<double>(field(22)) / ticks_per_second;
  metrics.virtual_bytes = field(23);
  metrics.resident_bytes = field(24) * page_bytes;
  return metrics;
}

double ParseBootTime(const std::string& stat) {
  for (absl::string_view line : absl::StrSplit(stat, '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") &&
        absl::SimpleAtod(line, &seconds)) {
      return seconds;
    }
  }
  return 0;
}

ProcessMetrics ReadProcessMetrics() {
  static const double boot_time = ParseBootTime(ReadAll("/proc/stat"));
  ProcessMetrics metrics =
      ParseProcessStat(ReadAll("/proc/self/stat"), boot_time,
                       static_cast<double>(sysconf(_SC_CLK_TCK)),
                       static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
  metrics.open_fds = CountOpenDescriptors();
  metrics.max_fds = DescriptorLimit();
  return metrics;
}

}  // namespace headgate
