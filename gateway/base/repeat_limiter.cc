#include "gateway/base/repeat_limiter.h"

#include <utility>

namespace headgate {

std::optional<std::uint64_t> RepeatLimiter::Admit(absl::string_view key,
                                                  absl::Time now) {
  Entry& entry = entries_[key];
  if (entry.IsOver(now)) {
    entry.second_began = now;
    entry.admitted = 0;
  }
  if (entry.admitted >= per_second_) {
    ++entry.suppressed;
    return std::nullopt;
  }
  ++entry.admitted;
  return std::exchange(entry.suppressed, 0);
}

std::vector<RepeatLimiter::Suppressed> RepeatLimiter::TakeSuppressed(
    absl::Time now) {
  std::vector<Suppressed> taken;
  for (auto& [key, entry] : entries_) {
    if (entry.suppressed == 0 || !entry.IsOver(now)) continue;
    taken.push_back({key, std::exchange(entry.suppressed, 0)});
  }
  return taken;
}

}  // namespace headgate
