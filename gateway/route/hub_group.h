#ifndef GATEWAY_ROUTE_HUB_GROUP_H_
#define GATEWAY_ROUTE_HUB_GROUP_H_

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace headgate {

// Of the name of a hub's group, at least 1.
inline constexpr std::size_t kMaxGroupNameBytes = 128;

// `pattern`: a name, or a prefix with "*" behind it.
inline bool FitsGroupPattern(absl::string_view name,
                             absl::string_view pattern) {
  if (!absl::ConsumeSuffix(&pattern, "*")) return name == pattern;
  return absl::StartsWith(name, pattern);
}

}  // namespace headgate

#endif  // GATEWAY_ROUTE_HUB_GROUP_H_
