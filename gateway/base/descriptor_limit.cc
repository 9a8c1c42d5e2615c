#include "gateway/base/descriptor_limit.h"

#include <sys/resource.h>

#include <filesystem>
#include <system_error>

namespace headgate {

std::uint64_t RaiseDescriptorLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  // Where this is not allowed, what there is has to do.
  setrlimit(RLIMIT_NOFILE, &limit);
  return DescriptorLimit();
}

std::uint64_t DescriptorLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::uint64_t CountOpenDescriptors() {
  std::error_code error;
  std::uint64_t count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    ++count;
  }
  return count > 0 ? count - 1 : 0;  // Without the one that looks.
}

}  // namespace headgate
