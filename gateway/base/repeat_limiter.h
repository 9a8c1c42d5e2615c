#ifndef GATEWAY_BASE_REPEAT_LIMITER_H_
#define GATEWAY_BASE_REPEAT_LIMITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

// Lets so many lines a second through for each key, and counts the others.
//
// Not thread-safe. It remembers every key, so keys must be few.
class RepeatLimiter {
 public:
  explicit RepeatLimiter(int per_second) : per_second_(per_second) {}

  // Absent: the line is left out. Else how many were left out since the last
  // one of the key that was not.
  std::optional<std::uint64_t> Admit(absl::string_view key, absl::Time now);

  struct Suppressed {
    std::string key;
    std::uint64_t count;
  };
  // What was left out of keys whose second is over, each told once.
  std::vector<Suppressed> TakeSuppressed(absl::Time now);

 private:
  struct Entry {
    // Also when the clock was set back, lest nothing is told until it has
    // caught up.
    bool IsOver(absl::Time now) const {
      return now < second_began || now - second_began >= absl::Seconds(1);
    }

    absl::Time second_began = absl::InfinitePast();
    int admitted = 0;
    std::uint64_t suppressed = 0;
  };
  const int per_second_;
  absl::flat_hash_map<std::string, Entry> entries_;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_REPEAT_LIMITER_H_
