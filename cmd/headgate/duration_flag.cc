#include "cmd/headgate/duration_flag.h"

#include "absl/strings/str_cat.h"

namespace headgate {

absl::StatusOr<absl::Duration> ParseDurationFlag(absl::string_view flag,
                                                 const std::string& text,
                                                 absl::Duration least) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < least ||
      duration > absl::Hours(24)) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, " '", text, "': must be a duration such as 500ms or 2s, ",
        least > absl::ZeroDuration()
            ? absl::StrCat("at least ", absl::FormatDuration(least), " and ")
            : "",
        "at most 24h"));
  }
  return duration;
}

}  // namespace headgate
