#ifndef CMD_HEADGATE_NEXT_ADDRESS_H_
#define CMD_HEADGATE_NEXT_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"

namespace headgate {

// The address of the listener `number` (0: the first), when the first one has
// `address` and each of the others the next port: "127.0.0.1:8080" gives
// "127.0.0.1:8081" for 1. Port 0 is the same for all. A text that is not an
// address is returned as it is, for the listener to report. INVALID_ARGUMENT:
// it has no port, or the port would be above 65535.
absl::StatusOr<std::string> NextAddress(const std::string& address, int number);

}  // namespace headgate

#endif  // CMD_HEADGATE_NEXT_ADDRESS_H_
