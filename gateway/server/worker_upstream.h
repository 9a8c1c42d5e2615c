#ifndef GATEWAY_SERVER_WORKER_UPSTREAM_H_
#define GATEWAY_SERVER_WORKER_UPSTREAM_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "gateway/server/reachability.h"
#include "gateway/server/shared_upstream.h"
#include "gateway/session/session.h"
#include "gateway/trace/traced_upstream.h"
#include "gateway/upstream/pooled_upstream.h"
#include "gateway/upstream/probe.h"
#include "gateway/upstream/schema_source.h"

namespace headgate {

// One upstream as one worker has it: its channels and its descriptors.
//
// Thread:   its worker's.
// Lifetime: shared by the worker, until a reload takes the upstream away, and
//           by the sessions that were opened with it.
class WorkerUpstream final
    : public std::enable_shared_from_this<WorkerUpstream> {
 public:
  // Who says in the log how the upstream is: one of the workers.
  enum class Voice { kSpeaks, kSilent };

  // `max_connections`: see UpstreamOptions.
  // `io_context` and its `turn` must outlive it.
  WorkerUpstream(const UpstreamSettings& settings, const Settings& general,
                 std::size_t max_connections,
                 std::shared_ptr<SharedUpstream> shared, Voice voice,
                 boost::asio::io_context& io_context, Turn& turn);

  // Whether it would be the same, made of these settings.
  bool IsMadeOf(const UpstreamSettings& settings,
                const Settings& general) const;

  // How clients are counted; see SessionContext.
  struct ClientCount {
    std::string claim;
    std::function<std::shared_ptr<void>(const std::string&)> count;
  };

  // What sessions need; keeps this alive.
  // `call_ended`: see SessionContext.
  std::shared_ptr<const SessionContext> MakeContext(
      const SessionLimits& limits,
      std::function<void(absl::string_view, absl::StatusCode, absl::Duration)>
          call_ended,
      std::shared_ptr<const SessionTaps> taps,
      std::optional<CallTracing> tracing, ClientCount clients);

  const UpstreamSettings& settings() const { return settings_; }
  SchemaSource& schemas() { return *schemas_; }

  // Whether calls are likely to reach it, as far as is known; absent before it
  // was tried. Of the one that speaks.
  std::optional<bool> reachable() const { return reachability_.reachable(); }
  std::size_t channel_count() const { return upstream_->channel_count(); }

  // Looks after channels; the one that speaks also keeps a connection, and asks
  // for the descriptors when the upstream has become reachable.
  void OnTick(absl::Time now);

 private:
  // What the log has last said of its descriptors.
  enum class Descriptors { kUntold, kKnown, kNoReflection, kFailed };

  // Says when the files cannot be used, and when they can again.
  void TellOfTls();
  // Notes how the upstream is, and says so when that has changed.
  void Watch(absl::Time now);
  void OnProbed(const absl::Status& status);
  void TellOfReachability(std::optional<bool> before, const std::string& why);
  // Of server reflection.
  void OnFetched(const absl::Status& status, const Schema* schema,
                 const std::vector<std::string>& warnings);

  const UpstreamSettings settings_;
  const UpstreamOptions options_;
  const absl::Duration fetch_timeout_;
  const std::shared_ptr<SharedUpstream> shared_;
  const Voice voice_;
  Turn& turn_;

  std::unique_ptr<PooledUpstream> upstream_;
  std::unique_ptr<SchemaSource> schemas_;
  absl::Time last_tick_ = absl::InfinitePast();
  Reachability reachability_;
  std::unique_ptr<UpstreamProbe> probe_;  // Null when none is under way.
  absl::Time next_probe_ = absl::InfinitePast();
  // Whether the descriptors are to be asked for, and not before when.
  bool fetch_wanted_ = false;
  absl::Time next_fetch_ = absl::InfinitePast();
  absl::Duration fetch_pause_;
  Descriptors told_ = Descriptors::kUntold;
  std::vector<std::string> warnings_;  // Those of the last fetch.
  absl::Status tls_status_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_WORKER_UPSTREAM_H_
