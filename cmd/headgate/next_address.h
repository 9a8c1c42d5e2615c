#ifndef CMD_HEADGATE_NEXT_ADDRESS_H_
#define CMD_HEADGATE_NEXT_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"

namespace headgate {

// Where the listener `number` (0: the first) of several of a kind listens, when
// the first one has `address`: "127.0.0.1:8080" is 127.0.0.1:8081 for 1. One
// with port 0 is the same for all, and what is no address stays as it is, for
// the listener to report. INVALID_ARGUMENT: it has no port, or there is none
// so far above.
absl::StatusOr<std::string> NextAddress(const std::string& address, int number);

}  // namespace headgate

#endif  // CMD_HEADGATE_NEXT_ADDRESS_H_
