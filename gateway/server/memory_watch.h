#ifndef GATEWAY_SERVER_MEMORY_WATCH_H_
#define GATEWAY_SERVER_MEMORY_WATCH_H_

#include <cstdint>
#include <deque>
#include <utility>

#include "absl/time/time.h"

namespace headgate {

// What is to be done about the process's memory, of which there may be so much:
//
//   from 80 %, until it is below 75 %:  new sessions are refused
//   from 95 %:                          sessions that hold much are closed, as
//                                       many as bring it down to 85 %
//
// Memory that a session frees does not leave the process at once: the allocator
// keeps it until it is trimmed, and a client gets a moment to hear of its end.
// So what was freed is taken off for kPatience, and only what is above 95 %
// then closes further sessions; and memory is trimmed before it is said to be
// used.
//
// Pure: time and measurements are arguments. Thread: not thread-safe.
class MemoryWatch {
 public:
  static constexpr absl::Duration kPatience = absl::Milliseconds(1250);
  // Trimming costs time in which threads wait for each other. It is worth more
  // when sessions were closed since the last time.
  static constexpr absl::Duration kTrimInterval = absl::Seconds(1);
  static constexpr absl::Duration kTrimAfterFreeing = absl::Milliseconds(250);

  // Whether the allocator should be trimmed, and `used` measured again, before
  // Judge.
  bool WantsTrim(absl::Time now, std::uint64_t used, std::uint64_t limit);

  struct Verdict {
    bool refuse = false;     // New sessions.
    std::uint64_t free = 0;  // So many bytes are to be freed; 0: none.
  };
  // `limit`: 0: none.
  Verdict Judge(absl::Time now, std::uint64_t used, std::uint64_t limit);
  // Sessions that hold so many bytes are being closed.
  void OnFreed(absl::Time now, std::uint64_t bytes);

 private:
  bool refuses_ = false;
  absl::Time trimmed_at_ = absl::InfinitePast();
  bool freed_since_trim_ = false;
  // When sessions were closed, and what they held.
  std::deque<std::pair<absl::Time, std::uint64_t>> freed_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_MEMORY_WATCH_H_
