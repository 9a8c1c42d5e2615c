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
  absl::Duration interval = spare_interval_;
  if (limit != 0 && used >= Percent(limit, 80)) {
    interval = freed_since_trim_ ? kTrimAfterFreeing : kTrimInterval;
  } else if (used < kLeastWorthTrimming) {
    return false;
  }
  if (now - trimmed_at_ < interval) return false;
  trimmed_at_ = now;
  freed_since_trim_ = false;
  return true;
}

void MemoryWatch::OnTrimmed(std::uint64_t used_before, std::uint64_t used) {
  const std::uint64_t gained = used_before - std::min(used_before, used);
  spare_interval_ = gained >= used_before / 8
                        ? kLeastSpareInterval
                        : std::min(2 * spare_interval_, kMostSpareInterval);
}

MemoryWatch::Verdict MemoryWatch::Judge(absl::Time now, std::uint64_t used,
                                        std::uint64_t limit) {
  if (limit == 0) return {};
  if (used >= Percent(limit, 80)) {
    refuses_ = true;
  } else if (used < Percent(limit, 75)) {
    refuses_ = false;
  }
  freed_.erase(
      std::remove_if(freed_.begin(), freed_.end(),
                     [&](const auto& freed) { return now >= freed.first; }),
      freed_.end());
  std::uint64_t freed = 0;
  for (const auto& [until, bytes] : freed_) freed += bytes;
  const std::uint64_t left = used - std::min(used, freed);
  if (left < Percent(limit, 95)) return {refuses_, 0, false};
  return {refuses_, left - Percent(limit, 85), used >= limit};
}

void MemoryWatch::OnFreed(absl::Time now, std::uint64_t bytes, bool urgent) {
  freed_.emplace_back(now + (urgent ? kUrgentPatience : kPatience), bytes);
  freed_since_trim_ = true;
}

}  // namespace headgate
