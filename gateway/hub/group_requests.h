#ifndef GATEWAY_HUB_GROUP_REQUESTS_H_
#define GATEWAY_HUB_GROUP_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "gateway/hub/batch.h"

namespace headgate {

// Requests of clients to join groups that the backend has not decided yet
// (headgate.v1.GroupRequest). All have the same timeout.
//
// Not thread-safe.
class GroupRequests {
 public:
  struct Request {
    Who who = 0;
    std::uint32_t frame = 0;  // HubClientFrame.id.
    v1::HubClientFrame::JoinGroup join;
    std::size_t credit = 0;  // Bytes to return when it is decided.
    absl::Time until;
  };

  // Returns its number, from 1. Requires: `until` is not before that of earlier
  // ones.
  std::uint64_t Add(Request request) {
    requests_.emplace(++last_, std::move(request));
    return last_;
  }
  // Null: no such request waits. Valid until the next call of another method.
  const Request* Find(std::uint64_t number) const {
    const auto found = requests_.find(number);
    return found == requests_.end() ? nullptr : &found->second;
  }
  // Requires: Find has it.
  Request Take(std::uint64_t number) {
    return std::move(requests_.extract(number).mapped());
  }
  // Removes one whose `until` has come; absent: there is none.
  std::optional<Request> TakeLate(absl::Time now) {
    if (requests_.empty() || requests_.begin()->second.until > now) {
      return std::nullopt;
    }
    return Take(requests_.begin()->first);
  }
  std::size_t size() const { return requests_.size(); }

 private:
  std::uint64_t last_ = 0;
  absl::btree_map<std::uint64_t, Request> requests_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_GROUP_REQUESTS_H_
