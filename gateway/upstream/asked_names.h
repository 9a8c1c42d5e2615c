#ifndef GATEWAY_UPSTREAM_ASKED_NAMES_H_
#define GATEWAY_UPSTREAM_ASKED_NAMES_H_

#include <cstddef>
#include <deque>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"

namespace headgate {

// What a server was asked for, so that it is not asked again too soon. Clients
// may name anything, so the oldest name is forgotten for a new one: names that
// nobody knows keep no other from being asked for.
//
// Not thread-safe.
class AskedNames {
 public:
  static constexpr std::size_t kMost = 1024;

  explicit AskedNames(absl::Duration lasts) : lasts_(lasts) {}

  // Whether the server is to be asked for `name`: it was not within the time.
  // Requires: `now` does not go back.
  bool Add(const std::string& name, absl::Time now) {
    while (!order_.empty() && now >= order_.front().second) ForgetOldest();
    if (names_.contains(name)) return false;
    if (names_.size() >= kMost) ForgetOldest();
    names_.insert(name);
    order_.emplace_back(name, now + lasts_);
    return true;
  }

  void Clear() {
    names_.clear();
    order_.clear();
  }

 private:
  void ForgetOldest() {
    names_.erase(order_.front().first);
    order_.pop_front();
  }

  const absl::Duration lasts_;
  absl::flat_hash_set<std::string> names_;
  // The same, the oldest first, with when they may be asked for again.
  std::deque<std::pair<std::string, absl::Time>> order_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_ASKED_NAMES_H_
