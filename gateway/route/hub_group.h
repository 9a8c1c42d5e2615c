#ifndef GATEWAY_ROUTE_HUB_GROUP_H_
#define GATEWAY_ROUTE_HUB_GROUP_H_

#include <cstddef>

namespace headgate {

// Of the name of a hub's group, at least 1.
inline constexpr std::size_t kMaxGroupNameBytes = 128;

}  // namespace headgate

#endif  // GATEWAY_ROUTE_HUB_GROUP_H_
