#ifndef GATEWAY_HUB_GROUP_REQUESTS_H_
#define GATEWAY_HUB_GROUP_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "gateway/hub/batch.h"

namespace headgate {

// Requests of clients to join groups that the backend has not decided on
// (headgate.v1.GroupRequest). All wait equally long.
//
// Not thread-safe.
class GroupRequests {
 public:
  struct Request {
    Who who = 0;
    std::uint32_t frame = 0;  // HubClientFrame.id.
    v1::HubClientFrame::JoinGroup join;
    absl::Time until;  // Of StreamWaits::StreamTime.
  };

  // Whether another one of the session may wait.
  bool HasRoom(Who who) const {
    const auto found = of_.find(who);
    return found == of_.end() || found->second.size() < kMostOfSession;
  }
  // Its number, from 1. Requires: `until` is not before that of earlier ones.
  std::uint64_t Add(Request request) {
    ++last_;
    of_[request.who].insert(last_);
    requests_.emplace(last_, std::move(request));
    return last_;
  }
  // Null: it does not wait. Valid until the next call of another method.
  const Request* Find(std::uint64_t number) const {
    const auto found = requests_.find(number);
    return found == requests_.end() ? nullptr : &found->second;
  }
  // Requires: Find has it.
  Request Take(std::uint64_t number) {
    Request request = std::move(requests_.extract(number).mapped());
    const auto of = of_.find(request.who);
    of->second.erase(number);
    if (of->second.empty()) of_.erase(of);
    return request;
  }
  // One that has waited long enough.
  std::optional<Request> TakeLate(absl::Time now) {
    if (requests_.empty() || requests_.begin()->second.until > now) {
      return std::nullopt;
    }
    return Take(requests_.begin()->first);
  }
  // The session has ended.
  void Drop(Who who) {
    const auto of = of_.extract(who);
    if (of.empty()) return;
    for (const std::uint64_t number : of.mapped()) requests_.erase(number);
  }
  std::size_t size() const { return requests_.size(); }

  static constexpr std::size_t kMostOfSession = 16;

 private:
  std::uint64_t last_ = 0;
  absl::btree_map<std::uint64_t, Request> requests_;
  absl::flat_hash_map<Who, absl::flat_hash_set<std::uint64_t>> of_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_GROUP_REQUESTS_H_
