#include "gateway/hub/pinned_frames.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace headgate {

void PinnedFrames::Hold(Holder& holder) {
  if (!holder.link_.alone()) return;
  holder.link_.owner = &holder;
  holder.link_.InsertBefore(holders_);
}

void PinnedFrames::Check() {
  look_at_ = std::max(limit_, std::min(look_at_, *bytes_ + step()));
  if (*bytes_ <= look_at_) return;
  ForEach([this](Holder& holder) {
    holder.SendPinned();
    return !is_relieved();
  });
  if (!is_relieved()) {
    std::size_t left = 0;
    for (const Link<Holder>* link = holders_.next; link != &holders_;
         link = link->next) {
      left += link->owner->pinned_bytes();
    }
    ForEach([this, &left](Holder& holder) {
      if (left < step()) return false;
      left -= std::min(left, holder.pinned_bytes());
      holder.EndPinned();
      return !is_relieved();
    });
  }
  look_at_ = std::max(limit_, *bytes_ + step());
}

template <typename Act>
void PinnedFrames::ForEach(Act act) {
  std::vector<std::pair<std::size_t, Link<Holder>*>> order;
  for (Link<Holder>* link = holders_.next; link != &holders_;
       link = link->next) {
    order.emplace_back(link->owner->pinned_bytes(), link);
  }
  std::stable_sort(
      order.begin(), order.end(),
      [](const auto& a, const auto& b) { return a.first > b.first; });
  // A list, which those that are destroyed leave.
  Link<Holder> rest;
  for (const auto& [bytes, link] : order) {
    link->Remove();
    link->InsertBefore(rest);
  }
  bool goes_on = true;
  while (goes_on && !rest.alone()) {
    Link<Holder>& first = *rest.next;
    first.Remove();
    first.InsertBefore(holders_);
    goes_on = act(*first.owner);
  }
  holders_.TakeAll(rest);
}

}  // namespace headgate
