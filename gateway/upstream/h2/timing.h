#ifndef GATEWAY_UPSTREAM_H2_TIMING_H_
#define GATEWAY_UPSTREAM_H2_TIMING_H_

#include <chrono>

#include "gateway/upstream/h2/alarms.h"
#include "gateway/upstream/h2/backoff.h"

namespace headgate {

// How patient a pool is. Tests have less time.
struct H2Timing {
  // From the first packet to the server's SETTINGS, over all addresses that are
  // tried one after the other; with health checks to the first answer. Also the
  // longest that a call waits for a connection.
  Alarms::Clock::duration connect_timeout = std::chrono::seconds(5);
  // How long an address may be silent until the next one is tried as well
  // (RFC 8305 section 8, "Connection Attempt Delay").
  Alarms::Clock::duration attempt_delay = std::chrono::milliseconds(250);
  Backoff::Limits connect_backoff = {std::chrono::milliseconds(250),
                                     std::chrono::seconds(1)};
  // Pings, where the operator has not said how often (h2::PingPace): after so
  // long a silence, and where they must not come more often than every 5 min.
  Alarms::Clock::duration ping_after_answer = std::chrono::seconds(30);
  Alarms::Clock::duration ping_pause = std::chrono::seconds(330);
  // Between a health check that has failed and the next.
  Backoff::Limits health_backoff = {std::chrono::seconds(1),
                                    std::chrono::seconds(10)};
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_TIMING_H_
