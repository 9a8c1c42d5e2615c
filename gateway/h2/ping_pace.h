#ifndef GATEWAY_H2_PING_PACE_H_
#define GATEWAY_H2_PING_PACE_H_

#include <algorithm>
#include <optional>

#include "gateway/h2/time.h"

namespace headgate::h2 {

// When a connection with calls may ping a server that is silent.
//
// By default a gRPC server ends the connection of a client that pings more
// often than every 5 min (gRFC A8, "too_many_pings"), but it forgets earlier
// pings when it sends HEADERS or DATA. So one ping may follow each of these
// soon; after a ping that only its ACK has followed, the next one waits.
//
// Not thread-safe.
class PingPace {
 public:
  // `interval`: of silence, before a ping; `pause`: between two pings without
  // HEADERS or DATA after the first.
  PingPace(Duration interval, Duration pause)
      : interval_(interval), pause_(pause) {}

  // A PING has been sent, for whatever reason.
  void OnSent(Time now) {
    last_sent_ = now;
    ack_came_ = answer_came_ = false;
  }
  void OnAck() { ack_came_ = true; }
  // HEADERS or DATA have come. What came before the ACK may have been sent
  // before the server had the PING.
  void OnAnswer() { answer_came_ = ack_came_; }

  // Whether a ping may be sent without a pause.
  bool is_free() const { return !last_sent_ || answer_came_; }
  // A ping was sent and its ACK has not come.
  bool is_outstanding() const { return last_sent_ && !ack_came_; }
  Duration interval() const { return interval_; }
  // When to ping a server that was last heard at `heard_at`.
  Time due(Time heard_at) const {
    const Time silent = heard_at + interval_;
    return is_free() ? silent : std::max(silent, *last_sent_ + pause_);
  }

 private:
  const Duration interval_;
  const Duration pause_;
  std::optional<Time> last_sent_;
  bool ack_came_ = false;     // Of that one,
  bool answer_came_ = false;  // and something behind it.
};

}  // namespace headgate::h2

#endif  // GATEWAY_H2_PING_PACE_H_
