#ifndef GATEWAY_SERVER_STATS_RECORDER_H_
#define GATEWAY_SERVER_STATS_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/admin/gateway.h"
#include "gateway/admin/stats.h"
#include "gateway/http/handshake.h"
#include "gateway/session/session.h"

namespace headgate {

// "closed-by-client", ...: for the log and the metrics.
absl::string_view CauseName(TransportEnd::Cause cause);

// What operators see of an open session. `number`: its connection's.
SessionInfo InfoOf(const Session& session, std::uint64_t number);
bool Matches(const SessionFilter& filter, const Session& session);

// The combinations of labels of headgate_call_duration_seconds: the first 1000,
// of all workers together, for each has 17 samples.
//
// Thread: safe for any; its lock is taken when a worker sees a combination for
// the first time, and for each call of one that there is no room for.
class CallSeries {
 public:
  static constexpr std::size_t kMost = 1000;

  // Whether `key` is one of them, from now on.
  bool Admit(const Stats::CallKey& key);

 private:
  // The standard's, for ThreadSanitizer sees its locks and not those in the
  // distribution's abseil.
  std::mutex mutex_;
  absl::flat_hash_set<Stats::CallKey> admitted_;  // Under mutex_.
};

// Counts what happens to the sessions of one worker. What an open session has
// carried is counted when it is asked for (OnVisited) and as it ends: a message
// costs nothing here.
//
// Thread: its worker's.
class StatsRecorder {
 public:
  // `series` must outlive it.
  StatsRecorder(std::size_t worker, CallSeries& series)
      : series_(series), worker_(worker) {}

  void OnOpened(const Session& session);
  void OnFirstAnswer(const Session& session, absl::Time now);
  void OnEnded(const Session& session, absl::Time now);
  void OnCallEnded(const std::string& upstream, absl::string_view method,
                   absl::StatusCode code, absl::Duration duration);
  void OnRefused(const Refusal& refusal);
  void OnPing(absl::Duration round_trip);

  // Counts what the session has carried since it was counted last. Sessions
  // may be visited one by one, over a time, in which others come and go: no
  // count goes back, and none is lost.
  void OnVisited(const Session& session);
  // A timer of the worker's event loop ran so late.
  void OnLag(absl::Duration lag);

  Stats& stats() { return stats_; }
  const Stats& stats() const { return stats_; }

 private:
  CallSeries& series_;
  const std::size_t worker_;
  Stats stats_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_STATS_RECORDER_H_
