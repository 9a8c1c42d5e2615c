#include "gateway/session/stall_watch.h"

#include "absl/strings/str_cat.h"

namespace headgate {

bool StallWatch::OnTick(const Call& call, absl::Time now,
                        absl::Duration timeout) {
  if (!call.writing()) {
    since_.reset();
    return false;
  }
  const std::uint64_t progress = call.progress();
  if (!since_ || progress != progress_) {
    since_ = now;
    progress_ = progress;
  }
  return now - *since_ >= timeout;
}

absl::Status StallStatus(absl::Duration timeout) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "the backend has taken no message for ", absl::FormatDuration(timeout)));
}

}  // namespace headgate
