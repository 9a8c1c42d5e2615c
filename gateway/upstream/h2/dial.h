#ifndef GATEWAY_UPSTREAM_H2_DIAL_H_
#define GATEWAY_UPSTREAM_H2_DIAL_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "gateway/upstream/h2/alarms.h"
#include "gateway/upstream/h2/target.h"
#include "gateway/upstream/h2/timing.h"

namespace headgate {

// The same endpoints, IPv4 and IPv6 taking turns, the first one's family first
// (RFC 8305 section 4); within a family the order stays.
std::vector<H2Endpoint> InterleaveFamilies(std::vector<H2Endpoint> endpoints);

// When which of several addresses is tried until one of them works: one after
// the other, each for a moment alone (RFC 8305 section 5, "Happy Eyeballs").
// It makes no connection itself.
//
// Thread: not thread-safe. Time is an argument and never goes back.
class Dial {
 public:
  using Clock = Alarms::Clock;

  // Begins now. `order` is the order in which they are tried.
  Dial(std::vector<H2Endpoint> order, Clock::time_point now,
       const H2Timing& timing);

  // The address to try now; absent when none is due. To be called until it is.
  std::optional<H2Endpoint> Next(Clock::time_point now);
  // An attempt has failed: the next address is due at once.
  void OnFailed() { alone_ = false; }

  // When the next address is due; absent when none is left, or when the time
  // for all of them is over.
  std::optional<Clock::time_point> due(Clock::time_point now) const;
  // When all attempts are to be given up.
  Clock::time_point deadline() const { return deadline_; }

 private:
  const std::vector<H2Endpoint> order_;
  const Clock::duration attempt_delay_;
  const Clock::time_point deadline_;
  std::size_t next_ = 0;
  bool alone_ = false;  // The last one has its moment.
  Clock::time_point last_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_DIAL_H_
