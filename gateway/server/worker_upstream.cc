#include "gateway/server/worker_upstream.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/status.h"

namespace headgate {
namespace {

// How often an upstream is probed.
constexpr absl::Duration kProbeInterval = absl::Seconds(1);
// Until one that has not told its descriptors is asked for them again: doubled
// each time.
constexpr absl::Duration kFirstFetchPause = absl::Seconds(1);
constexpr absl::Duration kLongestFetchPause = absl::Seconds(10);

UpstreamOptions OptionsFrom(const UpstreamSettings& settings,
                            const Settings& general,
                            std::size_t max_connections) {
  return UpstreamOptions{settings, general.limits.max_answer_bytes,
                         general.limits.max_buffered_bytes, max_connections};
}

}  // namespace

WorkerUpstream::WorkerUpstream(const UpstreamSettings& settings,
                               const Settings& general,
                               std::size_t max_connections,
                               std::shared_ptr<SharedUpstream> shared,
                               Voice voice, boost::asio::io_context& io_context,
                               Turn& turn)
    : settings_(settings),
      options_(OptionsFrom(settings, general, max_connections)),
      fetch_timeout_(general.timeouts.reflection),
      shared_(std::move(shared)),
      voice_(voice),
      turn_(turn),
      upstream_(MakePooledUpstream(options_, io_context, turn)) {
  schemas_ = MakeSchemaSource(
      *upstream_, shared_->schemas(),
      [&io_context](std::function<void()> task) {
        boost::asio::post(io_context, std::move(task));
      },
      [this](const absl::Status& status, const Schema* schema,
             const std::vector<std::string>& warnings) {
        OnFetched(status, schema, warnings);
      });
}

bool WorkerUpstream::IsMadeOf(const UpstreamSettings& settings,
                              const Settings& general) const {
  const UpstreamOptions options =
      OptionsFrom(settings, general, options_.max_connections);
  return settings == settings_ &&
         options.max_answer_bytes == options_.max_answer_bytes &&
         options.read_ahead_bytes == options_.read_ahead_bytes &&
         general.timeouts.reflection == fetch_timeout_;
}

std::shared_ptr<const SessionContext> WorkerUpstream::MakeContext(
    const SessionLimits& limits,
    std::function<void(absl::string_view, absl::StatusCode, absl::Duration)>
        call_ended,
    std::shared_ptr<const SessionTaps> taps, std::optional<CallTracing> tracing,
    ClientCount clients) {
  const std::shared_ptr<WorkerUpstream> self = shared_from_this();
  auto context = std::make_shared<SessionContext>();
  context->turn = &turn_;
  context->limits = limits;
  context->upstream = std::shared_ptr<Upstream>(self, upstream_.get());
  if (tracing) {
    context->upstream = std::make_shared<TracedUpstream>(
        std::move(context->upstream), *std::move(tracing));
  }
  context->call_ended = std::move(call_ended);
  context->clock = Now;
  context->identity_claim = std::move(clients.claim);
  context->count_identity = std::move(clients.count);
  context->taps = std::move(taps);
  context->schemas = std::shared_ptr<SchemaSource>(self, schemas_.get());
  return context;
}

void WorkerUpstream::OnTick(absl::Time now) {
  last_tick_ = now;
  upstream_->OnTick(now);
  TellOfTls();
  if (voice_ == Voice::kSilent) return;
  upstream_->KeepConnected();
  Watch(now);
  if (reachability_.wants_probe() && probe_ == nullptr && now >= next_probe_) {
    next_probe_ = now + kProbeInterval;
    probe_ =
        StartProbe(*upstream_, fetch_timeout_,
                   [this](const absl::Status& status) { OnProbed(status); });
  }
  // While it cannot be reached, asking would only fail those who ask for
  // descriptors in the next moment.
  if (fetch_wanted_ && reachability_.reachable() == true &&
      now >= next_fetch_) {
    next_fetch_ = now + fetch_pause_;
    fetch_pause_ = std::min(2 * fetch_pause_, kLongestFetchPause);
    schemas_->Refresh(now);
  }
}

void WorkerUpstream::Watch(absl::Time now) {
  const std::optional<bool> before = reachability_.reachable();
  if (shared_->TakeServed()) reachability_.OnServed(now);
  if (shared_->TakeUnavailable()) reachability_.OnUnavailable();
  using ConnectionState = Reachability::ConnectionState;
  reachability_.OnConnectionState(upstream_->is_up() ? ConnectionState::kUp
                                  : upstream_->is_failing()
                                      ? ConnectionState::kFailing
                                      : ConnectionState::kNone,
                                  now);
  TellOfReachability(before, "cannot connect to it");
}

void WorkerUpstream::OnProbed(const absl::Status& status) {
  const std::unique_ptr<UpstreamProbe> done =
      std::move(probe_);  // It is calling.
  using Result = Reachability::ProbeResult;
  const std::optional<bool> before = reachability_.reachable();
  reachability_.OnProbed(absl::IsUnavailable(status) ? Result::kUnavailable
                         : absl::IsDeadlineExceeded(status)
                             ? Result::kSilent
                             : Result::kAnswered);
  TellOfReachability(before, MessageForLog(status));
}

void WorkerUpstream::TellOfReachability(std::optional<bool> before,
                                        const std::string& why) {
  const std::optional<bool> after = reachability_.reachable();
  if (after == before || !after) return;
  if (*after) {
    // It may be another version, or have reflection by now.
    fetch_wanted_ = settings_.descriptors.reflection;
    next_fetch_ = absl::InfinitePast();
    fetch_pause_ = kFirstFetchPause;
    Log(LogLevel::kInfo, "upstream is reachable",
        {{"upstream", settings_.name}, {"target", settings_.target}});
  } else {
    Log(LogLevel::kWarning,
        "upstream is not reachable, calls fail with UNAVAILABLE until it is",
        {{"upstream", settings_.name},
         {"target", settings_.target},
         {"reason", why}});
  }
}

void WorkerUpstream::TellOfTls() {
  const absl::Status status = upstream_->tls_status();
  if (voice_ == Voice::kSilent || status == tls_status_) return;
  tls_status_ = status;
  if (status.ok()) {
    Log(LogLevel::kInfo, "TLS files are in order again",
        {{"upstream", settings_.name}});
  } else {
    Log(LogLevel::kError, "TLS files cannot be used, the last good ones stay",
        {{"upstream", settings_.name},
         {"reason", std::string(status.message())}});
  }
}

void WorkerUpstream::OnFetched(const absl::Status& status, const Schema* schema,
                               const std::vector<std::string>& warnings) {
  if (voice_ == Voice::kSilent) return;
  const LogField name = {"upstream", settings_.name};
  const LogField target = {"target", settings_.target};
  if (warnings != warnings_) {
    for (const std::string& warning : warnings) {
      Log(LogLevel::kWarning, "descriptors are incomplete",
          {name, {"reason", warning}});
    }
    warnings_ = warnings;
  }
  if (!settings_.descriptors.reflection) return;
  const Descriptors before = told_;
  const bool no_reflection = absl::IsUnimplemented(status);
  told_ = status.ok()     ? Descriptors::kKnown
          : no_reflection ? Descriptors::kNoReflection
                          : Descriptors::kFailed;
  // Behind a proxy this may be the first that is heard of a backend that is
  // down.
  if (absl::IsUnavailable(status)) shared_->OnCallEnded(status.code());
  if (status.ok() || no_reflection) {
    const std::optional<bool> reachable = reachability_.reachable();
    reachability_.OnServed(last_tick_);
    TellOfReachability(reachable, "");
    fetch_wanted_ = false;
  }
  if (told_ == before) return;
  if (status.ok()) {
    Log(LogLevel::kInfo, "the upstream's server reflection has answered",
        {name, target, {"methods", absl::StrCat(schema->methods().size())}});
  } else if (no_reflection) {
    Log(LogLevel::kWarning,
        "the upstream has no server reflection: methods that no descriptor set "
        "(descriptors.files, --descriptors) defines count as bidirectional, "
        "and JSON is not "
        "served for them",
        {name, target});
  } else if (reachability_.reachable() == true) {
    Log(LogLevel::kWarning,
        "the upstream's descriptors cannot be fetched, methods that are not "
        "known yet fail until they can",
        {name, target, {"reason", MessageForLog(status)}});
  }
}

}  // namespace headgate
