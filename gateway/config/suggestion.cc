#include "gateway/config/suggestion.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// Names are short; of a longer text nobody meant one of them.
constexpr std::size_t kLongest = 64;

// How many letters have to be typed, left out, changed or swapped with the next
// one to make `a` of `b` (Damerau and Levenshtein's, without overlaps).
std::size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1),
      row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string DidYouMean(absl::string_view typed,
                       const std::vector<std::string>& candidates) {
  if (typed.empty() || typed.size() > kLongest) return "";
  const std::string* best = nullptr;
  // One slip in a short name, two in a longer one.
  std::size_t best_distance = typed.size() < 5 ? 2 : 3;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t distance = Distance(typed, candidate);
    // A name that shares no letter is nobody's slip.
    if (distance < best_distance && distance < candidate.size()) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best == nullptr ? "" : absl::StrCat("; did you mean '", *best, "'?");
}

}  // namespace headgate
