#include "gateway/config/faults.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_join.h"

namespace headgate {
namespace {
// More than anyone reads, and little enough for a log.
constexpr std::size_t kMostLines = 100;
}  // namespace

void Faults::AtLeast(absl::string_view field, absl::Duration value,
                     absl::Duration lowest) {
  if (value >= lowest) return;
  Add(field, absl::StrCat("must be at least ", absl::FormatDuration(lowest),
                          ", is ", absl::FormatDuration(value)));
}

absl::Status JoinLines(const std::vector<std::string>& lines) {
  if (lines.empty()) return absl::OkStatus();
  const std::size_t shown = std::min(lines.size(), kMostLines);
  std::string text = absl::StrJoin(lines.begin(), lines.begin() + shown, "\n");
  if (shown < lines.size()) {
    absl::StrAppend(&text, "\nand ", lines.size() - shown, " more");
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace headgate
