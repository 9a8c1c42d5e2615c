#ifndef GATEWAY_SERVER_STATS_RECORDER_H_
#define GATEWAY_SERVER_STATS_RECORDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/admin/gateway.h"
#include "gateway/admin/stats.h"
#include "gateway/net/handshake.h"
#include "gateway/session/session.h"

namespace headgate {

// "closed-by-client", ...: for the log and the metrics.
absl::string_view CauseName(TransportEnd::Cause cause);

// What who runs the gateway sees of a session that is open.
SessionInfo InfoOf(const Session& session);

// Counts what happens to the sessions of one worker. What an open session has
// carried so far is added when it is asked for: a message costs nothing here.
//
// Thread: its worker's.
class StatsRecorder {
 public:
  void OnOpened(const Session& session);
  void OnFirstAnswer(const Session& session, absl::Time now);
  void OnEnded(const Session& session, absl::Time now);
  void OnCallEnded(const std::string& upstream, absl::string_view method,
                   absl::StatusCode code);
  void OnRefused(const Refusal& refusal);
  void OnPing(absl::Duration round_trip);

  // Adds an open session to a copy of what was counted.
  static void AddOpen(const Session& session, Stats& stats);

  Stats& stats() { return stats_; }
  const Stats& stats() const { return stats_; }

 private:
  Stats stats_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_STATS_RECORDER_H_
