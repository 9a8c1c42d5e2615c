#include "gateway/server/worker_upstream.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/status.h"

namespace headgate {
namespace {

// How often an upstream that has not answered is asked again.
constexpr absl::Duration kWatchInterval = absl::Seconds(1);

UpstreamOptions OptionsFrom(const UpstreamSettings& settings,
                            const Settings& general) {
  return UpstreamOptions{settings, general.limits.max_answer_bytes,
                         general.limits.max_buffered_bytes};
}

}  // namespace

WorkerUpstream::WorkerUpstream(const UpstreamSettings& settings,
                               const Settings& general, Voice voice,
                               boost::asio::io_context& io_context)
    : settings_(settings),
      options_(OptionsFrom(settings, general)),
      fetch_timeout_(general.timeouts.reflection),
      voice_(voice),
      upstream_(MakePooledUpstream(options_, io_context)) {
  SchemaSourceOptions options;
  options.reflection = settings.descriptors.reflection;
  options.files = settings.descriptors.files;
  options.refresh_after = settings.descriptors.refresh;
  options.fetch_timeout = fetch_timeout_;
  schemas_ =
      MakeSchemaSource(*upstream_, options,
                       [this](const absl::Status& status, const Schema* schema,
                              const std::vector<std::string>& warnings) {
                         OnFetched(status, schema, warnings);
                       });
}

bool WorkerUpstream::IsMadeOf(const UpstreamSettings& settings,
                              const Settings& general) const {
  const UpstreamOptions options = OptionsFrom(settings, general);
  return settings == settings_ &&
         options.max_answer_bytes == options_.max_answer_bytes &&
         options.read_ahead_bytes == options_.read_ahead_bytes &&
         general.timeouts.reflection == fetch_timeout_;
}

std::shared_ptr<const SessionContext> WorkerUpstream::MakeContext(
    const SessionLimits& limits,
    std::function<void(absl::string_view, absl::StatusCode, absl::Duration)>
        call_ended) {
  const std::shared_ptr<WorkerUpstream> self = shared_from_this();
  auto context = std::make_shared<SessionContext>();
  context->limits = limits;
  context->upstream = std::shared_ptr<Upstream>(self, upstream_.get());
  context->call_ended = std::move(call_ended);
  context->clock = absl::Now;
  context->schemas = std::shared_ptr<SchemaSource>(self, schemas_.get());
  return context;
}

void WorkerUpstream::OnTick(absl::Time now) {
  upstream_->OnTick(now);
  TellOfTls();
  if (voice_ == Voice::kSilent) return;
  const bool failing = upstream_->is_failing();
  if (failing && (state_ == State::kReachable || state_ == State::kDoubtful)) {
    BecomeUnreachable("cannot connect to it");
  }
  // While it cannot be connected to, asking would only fail those who ask for
  // descriptors in the next moment.
  if ((failing && state_ != State::kUnknown) || state_ == State::kReachable ||
      watch_ != nullptr || now < next_watch_ ||
      !settings_.descriptors.reflection) {
    return;
  }
  next_watch_ = now + kWatchInterval;
  // The name is of no method: what counts is whether the upstream answers.
  watch_ = schemas_->Resolve("/", now,
                             [this](const ResolvedMethod&) { watch_.reset(); });
}

std::optional<bool> WorkerUpstream::reachable() const {
  // Nobody asks it for descriptors: what is known is whether it can be
  // connected to.
  if (!settings_.descriptors.reflection) return !upstream_->is_failing();
  if (state_ == State::kUnknown) return std::nullopt;
  return state_ != State::kUnreachable;
}

void WorkerUpstream::OnUnavailable() {
  if (state_ == State::kReachable) state_ = State::kDoubtful;
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
  const State before = state_;
  const bool answered =
      status.ok() || status.code() == absl::StatusCode::kUnimplemented;
  state_ = answered ? State::kReachable : State::kUnreachable;
  const bool still_there = answered && before == State::kDoubtful;
  if (state_ == before || still_there) return;
  if (status.ok()) {
    Log(LogLevel::kInfo, "upstream is reachable",
        {name, target, {"methods", absl::StrCat(schema->methods().size())}});
  } else if (answered) {
    Log(LogLevel::kWarning,
        "upstream is reachable but has no server reflection: methods that no "
        "descriptor set defines count as bidirectional, and JSON is not served "
        "for them",
        {name, target});
  } else {
    BecomeUnreachable(MessageForLog(status));
  }
}

void WorkerUpstream::BecomeUnreachable(const std::string& why) {
  state_ = State::kUnreachable;
  Log(LogLevel::kWarning,
      "upstream is not reachable, calls fail with UNAVAILABLE until it is",
      {{"upstream", settings_.name},
       {"target", settings_.target},
       {"reason", why}});
}

}  // namespace headgate
