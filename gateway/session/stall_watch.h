#ifndef GATEWAY_SESSION_STALL_WATCH_H_
#define GATEWAY_SESSION_STALL_WATCH_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/session/call.h"

namespace headgate {

// Notices that a backend has stopped taking what its call is to send.
class StallWatch {
 public:
  // Whether it has taken nothing for `timeout`, and there is something to take.
  bool OnTick(const Call& call, absl::Time now, absl::Duration timeout);

 private:
  std::optional<absl::Time> since_;
  std::uint64_t progress_ = 0;
};

// How a call ends then.
absl::Status StallStatus(absl::Duration timeout);

}  // namespace headgate

#endif  // GATEWAY_SESSION_STALL_WATCH_H_
