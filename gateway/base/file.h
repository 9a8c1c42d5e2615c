#ifndef GATEWAY_BASE_FILE_H_
#define GATEWAY_BASE_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace headgate {

// The bytes of a regular file, links followed. The errors do not name it:
// NOT_FOUND, PERMISSION_DENIED and so on as the system has it,
// FAILED_PRECONDITION for what is not a regular file, such as a FIFO, which is
// never waited for, RESOURCE_EXHAUSTED when it is longer than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     std::size_t max_bytes);

}  // namespace headgate

#endif  // GATEWAY_BASE_FILE_H_
