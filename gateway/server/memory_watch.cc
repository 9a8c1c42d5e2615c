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

absl::Duration MemoryWatch::Interval(std::uint64_t used, std::uint64_t limit) {
  return limit != 0 && used >= Percent(limit, 60) ? kIntervalWhenShort
                                                  : kInterval;
}

MemoryWatch::Verdict MemoryWatch::Judge(absl::Time now, std::uint64_t used,
                                        std::uint64_t limit) {
  if (limit == 0) return {};
  if (used >= Percent(limit, 80)) {
    refuses_ = true;
  } else if (used < Percent(limit, 75)) {
    refuses_ = false;
  }
  closing_.erase(
      std::remove_if(closing_.begin(), closing_.end(),
                     [&](const auto& closing) { return now >= closing.first; }),
      closing_.end());
  const bool hold_back = used >= Percent(limit, 95);
  if (!hold_back) nothing_to_free_ = false;
  if (now < next_free_) return {refuses_, hold_back, 0, false};
  if (used >= limit)
    return {refuses_, hold_back, used - Percent(limit, 85), true};
  std::uint64_t closing = 0;
  for (const auto& [until, bytes] : closing_) closing += bytes;
  const std::uint64_t left = used - std::min(used, closing);
  if (left < Percent(limit, 95)) return {refuses_, hold_back, 0, false};
  return {refuses_, hold_back, left - Percent(limit, 85), false};
}

void MemoryWatch::OnClosing(absl::Time now, std::uint64_t bytes) {
  closing_.emplace_back(now + kPatience, bytes);
  freed_since_trim_ = true;
  nothing_to_free_ = false;
}

}  // namespace headgate
