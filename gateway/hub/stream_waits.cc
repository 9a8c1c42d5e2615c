#include "gateway/hub/stream_waits.h"

#include <algorithm>

namespace headgate {

absl::Duration StreamWaits::patience(absl::Time now) const {
  if (used_ == absl::ZeroDuration()) return kPatience;
  const absl::Duration back = kRefill * (now - used_at_);
  return kPatience - std::max(absl::ZeroDuration(), used_ - back);
}

void StreamWaits::Take(Who who, HubWait wait, absl::Time now) {
  switch (wait) {
    case HubWait::kBegins:
      if (waits_.try_emplace(who, Wait{now, Waited(now)}).second) {
        order_.emplace(now, who);
      }
      break;
    case HubWait::kTaken:
      Finish(who, now, kFree);
      break;
    case HubWait::kEnded:
      Finish(who, now, absl::ZeroDuration());
      break;
  }
  Update(now);
}

void StreamWaits::Finish(Who who, absl::Time now, absl::Duration free) {
  const auto found = waits_.find(who);
  if (found == waits_.end()) return;
  const auto [began, waited] = found->second;
  order_.erase({began, who});
  waits_.erase(found);
  const absl::Duration length =
      Waited(now) - std::max(waited, charged_until_) - free;
  if (length <= absl::ZeroDuration()) return;
  used_ = kPatience - patience(now) + length;
  used_at_ = now;
  charged_until_ = Waited(now);
}

std::vector<Who> StreamWaits::TakeLate(absl::Time now) {
  std::vector<Who> late;
  while (!order_.empty()) {
    const auto [began, who] = *order_.begin();
    if (now - began < std::max(patience(now), kGrace)) break;
    Finish(who, now, absl::ZeroDuration());
    late.push_back(who);
  }
  Update(now);
  return late;
}

void StreamWaits::Clear(absl::Time now) {
  waits_.clear();
  order_.clear();
  Update(now);
}

void StreamWaits::Update(absl::Time now) {
  waited_ = Waited(now);
  updated_at_ = now;
  holds_ = !waits_.empty() && patience(now) > absl::ZeroDuration();
}

}  // namespace headgate
