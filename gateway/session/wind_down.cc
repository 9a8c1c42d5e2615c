#include "gateway/session/wind_down.h"

#include <utility>

namespace headgate {

void WindDown::Drain(const DrainOrder& order) {
  drain_ = std::make_unique<const DrainOrder>(order);
  silent_since_ = order.now;
  responded_ = false;
}

void WindDown::Part(Ending ending, const AnswerWait& wait) {
  fault_ =
      std::make_unique<const Fault>(Fault{std::move(ending), wait.deadline});
  silent_since_ = wait.now;
  responded_ = false;
}

std::optional<Ending> WindDown::Check(absl::Time now, const Outlook& outlook) {
  if (fault_ != nullptr && HasParted(now, outlook)) return fault_->ending;
  if (drain_ != nullptr && HasDrained(now, outlook)) {
    return Ending{CloseCode::kGoingAway,
                  CallEnd{absl::UnavailableError(drain_->reason), ""}};
  }
  return std::nullopt;
}

bool WindDown::HasParted(absl::Time now, const Outlook& outlook) {
  if (now >= fault_->deadline) return true;
  if (outlook.response_is_due) return false;
  if (outlook.has_ended || !outlook.may_respond) return true;
  return IsSilent(now, outlook);
}

bool WindDown::HasDrained(absl::Time now, const Outlook& outlook) {
  if (outlook.has_ended || now >= drain_->deadline) return true;
  if (outlook.only_response_is_due) return false;
  if (now - drain_->now >= kDrainPatience) return true;
  return IsSilent(now, outlook);
}

bool WindDown::IsSilent(absl::Time now, const Outlook& outlook) {
  if (std::exchange(responded_, false) || outlook.reads_are_withheld) {
    silent_since_ = now;
  }
  return now - silent_since_ >= kDrainSilence;
}

}  // namespace headgate
