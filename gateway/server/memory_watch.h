#ifndef GATEWAY_SERVER_MEMORY_WATCH_H_
#define GATEWAY_SERVER_MEMORY_WATCH_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace headgate {

// Decides what is done about the process's memory, given its limit:
//
//   from 80 %, until it is below 75 %:  new sessions are refused
//   from 95 %:                          sessions that hold much are not read,
//                                       and as many of them closed as bring it
//                                       down to 85 %
//   from 100 %:                         these are cut off at once
//
// Memory that a session frees does not leave the process at once: the allocator
// keeps it until it is trimmed, and a client gets a moment to receive its Close
// frame. So what such sessions held is taken off for kPatience, and only what
// is above 95 % then closes further ones. What was cut off is trimmed before it
// is counted again; so nothing is taken off from 100 % on.
//
// Below 80 % the allocator is trimmed now and then, so that what a burst of
// large messages has used is given back to the system.
//
// Pure: time and measurements are arguments. Thread: not thread-safe.
class MemoryWatch {
 public:
  static constexpr absl::Duration kPatience = absl::Milliseconds(1250);
  // Trimming costs time in which threads wait for each other. It is worth more
  // when sessions were closed since the last time.
  static constexpr absl::Duration kTrimInterval = absl::Seconds(1);
  static constexpr absl::Duration kTrimAfterFreeing = absl::Milliseconds(250);
  // Between two looks at the memory: a client may fill some MiB in a
  // millisecond.
  static constexpr absl::Duration kInterval = absl::Milliseconds(100);
  static constexpr absl::Duration kIntervalWhenShort = absl::Milliseconds(10);
  // Below 80 %: from this size on, twice as rarely after each time that gained
  // less than an eighth.
  static constexpr std::uint64_t kLeastWorthTrimming = 64 << 20;
  static constexpr absl::Duration kLeastSpareInterval = absl::Seconds(15);
  static constexpr absl::Duration kMostSpareInterval = absl::Minutes(4);

  // Whether the allocator should be trimmed, and `used` measured again, before
  // Judge; then OnTrimmed is called.
  bool WantsTrim(absl::Time now, std::uint64_t used, std::uint64_t limit);
  void OnTrimmed(std::uint64_t used_before, std::uint64_t used);

  // From now until it should be looked at again: soon from 60 % on.
  static absl::Duration Interval(std::uint64_t used, std::uint64_t limit);

  struct Verdict {
    bool refuse = false;     // New sessions.
    bool hold_back = false;  // Sessions that hold much are not read.
    std::uint64_t free = 0;  // So many bytes are to be freed; 0: none.
    bool urgent = false;     // Now, without a word to clients.
  };
  // `limit`: 0: none.
  Verdict Judge(absl::Time now, std::uint64_t used, std::uint64_t limit);
  // No session holds anything worth mentioning: none is asked for soon.
  // Returns whether that is news, which it is once until memory is not short or
  // some can be freed.
  bool OnNothingToFree(absl::Time now) {
    next_free_ = now + kInterval;
    return !std::exchange(nothing_to_free_, true);
  }
  // Sessions that hold so many bytes are being closed.
  void OnClosing(absl::Time now, std::uint64_t bytes);

 private:
  bool refuses_ = false;
  absl::Time trimmed_at_ = absl::InfinitePast();
  bool freed_since_trim_ = false;
  absl::Time next_free_ = absl::InfinitePast();
  bool nothing_to_free_ = false;
  absl::Duration spare_interval_ = kLeastSpareInterval;
  // Until when it is taken off, and what the sessions held.
  std::vector<std::pair<absl::Time, std::uint64_t>> closing_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_MEMORY_WATCH_H_
