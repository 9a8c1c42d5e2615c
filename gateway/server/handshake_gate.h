#ifndef GATEWAY_SERVER_HANDSHAKE_GATE_H_
#define GATEWAY_SERVER_HANDSHAKE_GATE_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "gateway/base/token_bucket.h"
#include "gateway/net/connection.h"

namespace headgate {

// Limits how many TLS handshakes of a listener begin on one worker in a second.
// What a second allows may begin at once; the others wait in the order in which
// they came. One that is gone meanwhile costs nothing.
//
// Thread: the worker's. Memory: a weak pointer for each that waits.
class HandshakeGate {
 public:
  // 0: any number.
  void SetRate(double per_second);

  // Whether it may begin now; if not `waiter` is notified when it may.
  bool Admit(absl::Time now, std::weak_ptr<HandshakeWaiter> waiter);
  // Notifies those whose time has come.
  void OnTick(absl::Time now);

  std::size_t waiting() const { return waiting_.size(); }

 private:
  double per_second_ = 0;
  std::optional<TokenBucket> tokens_;  // Absent: there is no limit.
  std::deque<std::weak_ptr<HandshakeWaiter>> waiting_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_HANDSHAKE_GATE_H_
