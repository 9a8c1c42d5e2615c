#ifndef CMD_HEADGATE_DIAL_CALLS_H_
#define CMD_HEADGATE_DIAL_CALLS_H_

#include <cstdint>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "cmd/headgate/dial/ending.h"

namespace headgate {

// The calls of one session on a route with several, by the numbers that our
// packets gave them. Where there is one call only, as on any other route, its
// end packet has the number 0, and this may or may not know it.
class NumberedCalls {
 public:
  // A packet of the call has been sent. A number that has ended is free again.
  void OnSent(std::uint32_t who) { open_.insert(who); }

  void OnEnded(const CallEnded& ended) {
    if (open_.erase(ended.who) == 0) return;
    any_ended_ = true;
    if (ended.status.code != 0 && !failure_.has_value()) failure_ = ended;
  }

  // There was one, and there is none that has not ended.
  bool all_ended() const { return any_ended_ && open_.empty(); }

  // OK, or the status of the first one that failed.
  RpcStatus status() const {
    if (!failure_.has_value()) return {};
    return {failure_->status.code, absl::StrCat("call ", failure_->who, ": ",
                                                failure_->status.message)};
  }

 private:
  std::set<std::uint32_t> open_;
  bool any_ended_ = false;
  std::optional<CallEnded> failure_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_CALLS_H_
