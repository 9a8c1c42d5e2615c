#include "gateway/base/process_memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Lowers `most` to the number in the file, if it has one ("max" is none).
void LowerTo(const std::string& path, std::uint64_t& most) {
  std::uint64_t bytes = 0;
  if (absl::SimpleAtoi(absl::StripAsciiWhitespace(TextOf(path)), &bytes)) {
    most = std::min(most, bytes);
  }
}

// Of `group` ("/a/b") and all above it, up to that at `mount`.
void LowerToGroup(const std::string& mount, std::string group,
                  const std::vector<const char*>& files, std::uint64_t& most) {
  for (;;) {
    for (const char* file : files) {
      LowerTo(absl::StrCat(mount, group, "/", file), most);
    }
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.erase(slash);
  }
}

}  // namespace

std::uint64_t AvailableMemory(const std::string& root) {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::uint64_t most = kNone;
  const std::string meminfo = TextOf(root + "/proc/meminfo");
  for (absl::string_view line : absl::StrSplit(meminfo, '\n')) {
    std::uint64_t kilobytes = 0;
    if (absl::ConsumePrefix(&line, "MemTotal:") &&
        absl::SimpleAtoi(
            absl::StripAsciiWhitespace(absl::StripSuffix(line, "kB")),
            &kilobytes)) {
      most = kilobytes * 1024;
    }
  }
  // "0::/group", or "4:memory:/group" with version 1 (cgroups(7)). In a
  // container the name may be the host's, and what is mounted the container's.
  const std::string cgroups = TextOf(root + "/proc/self/cgroup");
  for (const absl::string_view line : absl::StrSplit(cgroups, '\n')) {
    const std::vector<std::string> fields =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::string group = fields[2] == "/" ? "" : fields[2];
    if (fields[1].empty()) {
      LowerToGroup(root + "/sys/fs/cgroup", group,
                   {"memory.max", "memory.high"}, most);
      continue;
    }
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (std::find(controllers.begin(), controllers.end(), "memory") !=
        controllers.end()) {
      LowerToGroup(root + "/sys/fs/cgroup/memory", group,
                   {"memory.limit_in_bytes"}, most);
    }
  }
  return most == kNone ? 0 : most;
}

std::uint64_t ParseStatm(const std::string& statm, std::uint64_t page_bytes) {
  // proc(5): size, resident, shared (of files), and so on, in pages.
  const std::vector<std::string> fields =
      absl::StrSplit(statm, ' ', absl::SkipEmpty());
  std::uint64_t resident = 0;
  std::uint64_t shared = 0;
  if (fields.size() < 3 || !absl::SimpleAtoi(fields[1], &resident) ||
      !absl::SimpleAtoi(fields[2], &shared)) {
    return 0;
  }
  return (resident - std::min(resident, shared)) * page_bytes;
}

std::uint64_t UsedMemory() {
  static const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char buffer[256];
  const ssize_t bytes = pread(file, buffer, sizeof(buffer), 0);
  if (bytes <= 0) return 0;
  return ParseStatm(std::string(buffer, static_cast<std::size_t>(bytes)),
                    static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

void TrimMemory() { malloc_trim(0); }

}  // namespace headgate
