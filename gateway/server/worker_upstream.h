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
#include "gateway/session/session.h"
#include "gateway/upstream/pooled_upstream.h"
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

  // `io_context` must outlive it.
  WorkerUpstream(const UpstreamSettings& settings, const Settings& general,
                 Voice voice, boost::asio::io_context& io_context);

  // Whether it would be the same, made of these settings.
  bool IsMadeOf(const UpstreamSettings& settings,
                const Settings& general) const;

  // What sessions need; keeps this alive.
  // `call_ended`: see SessionContext.
  std::shared_ptr<const SessionContext> MakeContext(
      const SessionLimits& limits,
      std::function<void(absl::string_view, absl::StatusCode, absl::Duration)>
          call_ended);

  const UpstreamSettings& settings() const { return settings_; }
  SchemaSource& schemas() { return *schemas_; }

  // Whether calls are likely to reach it, as far as is known; absent before it
  // was tried. Of the one that speaks.
  std::optional<bool> reachable() const;
  std::size_t channel_count() const { return upstream_->channel_count(); }

  // A call could not reach it, or lost it: it is asked for its descriptors
  // again, so that the log tells what has become of it.
  void OnUnavailable();

  // Looks after channels; the one that speaks also asks for the descriptors
  // until the upstream has answered.
  void OnTick(absl::Time now);

 private:
  enum class State { kUnknown, kReachable, kDoubtful, kUnreachable };

  // Says when the files cannot be used, and when they can again.
  void TellOfTls();
  void BecomeUnreachable(const std::string& why);
  void OnFetched(const absl::Status& status, const Schema* schema,
                 const std::vector<std::string>& warnings);

  const UpstreamSettings settings_;
  const UpstreamOptions options_;
  const absl::Duration fetch_timeout_;
  const Voice voice_;

  std::unique_ptr<PooledUpstream> upstream_;
  std::unique_ptr<SchemaSource> schemas_;
  std::unique_ptr<SchemaSource::Ticket> watch_;
  absl::Time next_watch_ = absl::InfinitePast();
  State state_ = State::kUnknown;
  std::vector<std::string> warnings_;  // Those of the last fetch.
  absl::Status tls_status_;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_WORKER_UPSTREAM_H_
