#ifndef CMD_HEADGATE_DURATION_FLAG_H_
#define CMD_HEADGATE_DURATION_FLAG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

// The value of a flag such as --linger, from `least` to a day.
// INVALID_ARGUMENT names the flag and what was expected.
absl::StatusOr<absl::Duration> ParseDurationFlag(
    absl::string_view flag, const std::string& text,
    absl::Duration least = absl::ZeroDuration());

}  // namespace headgate

#endif  // CMD_HEADGATE_DURATION_FLAG_H_
