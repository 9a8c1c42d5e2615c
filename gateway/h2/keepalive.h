#ifndef GATEWAY_H2_KEEPALIVE_H_
#define GATEWAY_H2_KEEPALIVE_H_

#include <optional>

#include "gateway/h2/ping_pace.h"
#include "gateway/h2/time.h"

namespace headgate::h2 {

// Whether a silent peer is still there: a PING after so long a silence, as
// often as PingPace allows, and so much time for anything to come back. A PING
// that is out already, for whatever reason, is as good as another.
//
// Not thread-safe.
class Keepalive {
 public:
  // `interval`: of silence; `pause`: see PingPace; `timeout`: for a response.
  Keepalive(Duration interval, Duration pause, Duration timeout)
      : timeout_(timeout), pace_(interval, pause) {}

  // It matters from now on: there are calls. Silence counts from here.
  void Start(Time now) {
    heard_at_ = now;
    deadline_.reset();
  }
  // Something has come from the peer.
  void OnReceived(Time now) {
    heard_at_ = now;
    deadline_.reset();
  }
  PingPace& pace() { return pace_; }

  // When to call Check.
  Time due() const {
    if (deadline_) return *deadline_;
    return pace_.is_outstanding() ? heard_at_ + pace_.interval()
                                  : pace_.due(heard_at_);
  }
  enum class Verdict {
    kWait,  // Until due().
    kPing,  // A PING is to be sent now; then wait until due().
    kDead,
  };
  Verdict Check(Time now) {
    if (now < due()) return Verdict::kWait;
    if (deadline_) return Verdict::kDead;
    deadline_ = now + timeout_;
    if (pace_.is_outstanding()) return Verdict::kWait;
    pace_.OnSent(now);
    return Verdict::kPing;
  }
  // A response is overdue or being waited for.
  bool is_probing() const { return deadline_.has_value(); }

 private:
  const Duration timeout_;
  PingPace pace_;
  Time heard_at_;
  std::optional<Time> deadline_;  // Of a response; nothing has come since.
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_KEEPALIVE_H_
