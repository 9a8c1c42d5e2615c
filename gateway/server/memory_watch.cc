#include "gateway/server/memory_watch.h"

#include <algorithm>

namespace headgate {
namespace {

// Without overflow, and as exact as is needed.
std::uint64_t Percent(std::uint64_t limit, std::uint64_t percent) {
  return limit / 100 * percent;
}

}  // namespace

bool MemoryWatch::WantsTrim(absl::Time now, std::uint64_t used,
                            std::uint64_t limit) {
  if (limit == 0 || used < Percent(limit, 80)) return false;
  const absl::Duration interval =
      freed_since_trim_ ? kTrimAfterFreeing : kTrimInterval;
  if (now - trimmed_at_ < interval) return false;
  trimmed_at_ = now;
  freed_since_trim_ = false;
  return true;
}

MemoryWatch::Verdict MemoryWatch::Judge(absl::Time now, std::uint64_t used,
                                        std::uint64_t limit) {
  if (limit == 0) return {};
  if (used >= Percent(limit, 80)) {
    refuses_ = true;
  } else if (used < Percent(limit, 75)) {
    refuses_ = false;
  }
  while (!freed_.empty() && now - freed_.front().first >= kPatience) {
    freed_.pop_front();
  }
  std::uint64_t freed = 0;
  for (const auto& [time, bytes] : freed_) freed += bytes;
  const std::uint64_t left = used - std::min(used, freed);
  if (left < Percent(limit, 95)) return {refuses_, 0};
  return {refuses_, left - Percent(limit, 85)};
}

void MemoryWatch::OnFreed(absl::Time now, std::uint64_t bytes) {
  freed_.emplace_back(now, bytes);
  freed_since_trim_ = true;
}

}  // namespace headgate
