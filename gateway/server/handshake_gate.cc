#include "gateway/server/handshake_gate.h"

#include <algorithm>
#include <utility>

namespace headgate {

void HandshakeGate::SetRate(double per_second) {
  if (per_second == per_second_) return;
  per_second_ = per_second;
  tokens_.reset();
  if (per_second > 0) tokens_.emplace(per_second, std::max(1.0, per_second));
}

bool HandshakeGate::Admit(absl::Time now,
                          std::weak_ptr<HandshakeWaiter> waiter) {
  if (!tokens_) return true;
  tokens_->Refill(now);
  if (waiting_.empty() && tokens_->Take(1)) return true;
  waiting_.push_back(std::move(waiter));
  return false;
}

void HandshakeGate::OnTick(absl::Time now) {
  if (waiting_.empty()) return;
  if (tokens_) tokens_->Refill(now);
  while (!waiting_.empty()) {
    const std::shared_ptr<HandshakeWaiter> next = waiting_.front().lock();
    if (next != nullptr && tokens_ && !tokens_->Take(1)) return;
    waiting_.pop_front();
    if (next != nullptr) next->OnHandshakeAllowed();
  }
}

}  // namespace headgate
