#ifndef GATEWAY_SERVER_REACHABILITY_H_
#define GATEWAY_SERVER_REACHABILITY_H_

#include <optional>

#include "absl/time/time.h"

namespace headgate {

// Whether calls are likely to reach an upstream, by what its connections and
// calls have shown. Descriptors have no say in it: an upstream without server
// reflection, or with one that hangs, is as reachable as any other.
//
// A connection that is up, or a call that ends with OK, makes it reachable at
// once. A failure to connect makes it unreachable, unless another worker's
// call has succeeded since it was first noticed. UNAVAILABLE from a call
// proves nothing, as a backend may mean one of its methods; but behind a proxy
// it may be all that is heard of a backend that is down. So it asks for a
// probe, a call whose result decides.
//
// Thread: one at a time.
class Reachability {
 public:
  enum class State {
    kUnknown,       // Nothing has been tried.
    kReachable,     //
    kDoubtful,      // Reachable, but a call has ended with UNAVAILABLE.
    kNoConnection,  // It cannot be connected to.
    kRefusing,      // It is connected to, and answers UNAVAILABLE.
  };
  enum class ConnectionState {
    kNone,     // Neither: not tried, on the way, or closed in good order.
    kUp,       // Calls can be sent.
    kFailing,  // It was tried, has failed, and is tried again.
  };
  enum class ProbeResult {
    kAnswered,     // Any status but UNAVAILABLE: the backend has spoken.
    kUnavailable,  //
    kSilent,       // Nothing was heard in time, which proves nothing.
  };

  // To be called with each tick, after the others.
  void OnConnectionState(ConnectionState state, absl::Time now);
  // A call of any worker has ended with OK.
  void OnServed(absl::Time now);
  // A call, or a request for descriptors, has ended with UNAVAILABLE.
  void OnUnavailable();
  void OnProbed(ProbeResult result);

  // Whether only a probe can tell how it is.
  bool wants_probe() const {
    return state_ == State::kDoubtful || state_ == State::kRefusing;
  }

  // Absent before it was tried.
  std::optional<bool> reachable() const;
  State state() const { return state_; }

 private:
  State state_ = State::kUnknown;
  // Until then a failure to connect does not count.
  absl::Time overruled_until_ = absl::InfinitePast();
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_REACHABILITY_H_
