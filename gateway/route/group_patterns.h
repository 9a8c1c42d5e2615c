#ifndef GATEWAY_ROUTE_GROUP_PATTERNS_H_
#define GATEWAY_ROUTE_GROUP_PATTERNS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/route/hub_group.h"
#include "gateway/route/hub_target.h"

namespace headgate {

// The patterns of `hub.groups`: the first one that a group's name fits says
// what the group is. Plain data.
class GroupPatterns {
 public:
  struct Pattern {
    std::string pattern;
    // Of publications to such groups; absent: the route's.
    std::optional<SlowClientSettings::Policy> slow;
  };

  GroupPatterns() = default;
  explicit GroupPatterns(std::vector<Pattern> patterns)
      : patterns_(std::move(patterns)) {}

  // From 0; none() if the name fits no pattern.
  std::size_t IndexOf(absl::string_view group) const {
    std::size_t index = 0;
    while (index < patterns_.size() &&
           !FitsGroupPattern(group, patterns_[index].pattern)) {
      ++index;
    }
    return index;
  }
  // The index of what is for no such group.
  std::size_t none() const { return patterns_.size(); }
  // Absent: the route's.
  std::optional<SlowClientSettings::Policy> slow(std::size_t index) const {
    if (index >= patterns_.size()) return std::nullopt;
    return patterns_[index].slow;
  }

 private:
  std::vector<Pattern> patterns_;
};

}  // namespace headgate

#endif  // GATEWAY_ROUTE_GROUP_PATTERNS_H_
