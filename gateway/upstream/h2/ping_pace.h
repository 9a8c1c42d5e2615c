#ifndef GATEWAY_UPSTREAM_H2_PING_PACE_H_
#define GATEWAY_UPSTREAM_H2_PING_PACE_H_

#include <algorithm>
#include <optional>

#include "gateway/upstream/h2/alarms.h"

namespace headgate {

// When a connection with calls may ping a server that is silent.
//
// By default a gRPC server ends the connection of a client that pings more
// often than every 5 min (gRFC A8, "too_many_pings"), but it forgets earlier
// pings when it sends HEADERS or DATA. So one ping may follow each of these
// soon; after a ping that only its ACK has followed, the next one waits.
//
// Thread: not thread-safe. Time is an argument and never goes back.
class H2PingPace {
 public:
  using Clock = Alarms::Clock;

  // `interval`: of silence, before a ping; `pause`: between two pings without
  // HEADERS or DATA after the first.
  H2PingPace(Clock::duration interval, Clock::duration pause)
      : interval_(interval), pause_(pause) {}

  // A PING has been sent, for whatever reason.
  void OnSent(Clock::time_point now) {
    last_sent_ = now;
    ack_came_ = answer_came_ = false;
  }
  void OnAck() { ack_came_ = true; }
  // HEADERS or DATA have come. What came before the ACK may have been sent
  // before the server had the PING.
  void OnAnswer() { answer_came_ = ack_came_; }

  // Whether a ping may be sent without a pause.
  bool is_free() const { return !last_sent_ || answer_came_; }
  // When to ping a server that was last heard at `heard_at`.
  Clock::time_point due(Clock::time_point heard_at) const {
    const Clock::time_point silent = heard_at + interval_;
    return is_free() ? silent : std::max(silent, *last_sent_ + pause_);
  }

 private:
  const Clock::duration interval_;
  const Clock::duration pause_;
  std::optional<Clock::time_point> last_sent_;
  bool ack_came_ = false;     // Of that one,
  bool answer_came_ = false;  // and something behind it.
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_PING_PACE_H_
