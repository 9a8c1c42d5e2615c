#include "gateway/server/hub_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

namespace headgate {

namespace {

bool HasStream(const HubSettings& settings) {
  return settings.nats->history == NatsSettings::History::kJetStream;
}

std::optional<StreamSettings> StreamOf(const HubSettings& settings) {
  if (!HasStream(settings)) return std::nullopt;
  return StreamSettings::From(settings);
}

Cluster::Options OptionsOf(const HubSettings& settings, const std::string& name,
                           const std::string& instance) {
  Cluster::Options options{settings.nats->prefix, name, instance, {}, {}};
  for (const HubGroupSettings& group : settings.groups) {
    options.groups.emplace_back(group.pattern, group.history > 0);
  }
  if (HasStream(settings)) {
    const StreamSettings stream = StreamSettings::From(settings);
    options.history = {static_cast<std::uint64_t>(stream.records), stream.age,
                       settings.limits.max_history_bytes};
  }
  return options;
}

}  // namespace

NatsEngine::NatsEngine(const HubSettings& settings, const std::string& name,
                       const std::string& instance, NatsLink::Post post,
                       Run run, Presence& presence)
    : run_(std::move(run)),
      presence_(presence),
      publish_(Stats::PerEngine().publish),
      link_(*settings.nats, absl::StrCat("headgate ", name), instance,
            StreamOf(settings), Observer(), std::move(post)),
      cluster_(OptionsOf(settings, name, instance), link_, Host(),
               SteadyNow()) {}

NatsEngine::~NatsEngine() = default;

Stats::PerEngine NatsEngine::GetStats() const {
  Stats::PerEngine stats;
  stats.is_up = link_.is_up();
  stats.reconnects = ups_ == 0 ? 0 : ups_ - 1;
  stats.replicas = cluster_.replicas() + 1;
  stats.dropped = dropped_ + link_.dropped() + cluster_.malformed();
  stats.gaps = gaps_;
  stats.publish = publish_;
  return stats;
}

void NatsEngine::OnTick(absl::Time now) {
  link_.OnTick(now);
  ReportGaps();
  cluster_.OnTick(now);
  // The last records may be lost, with none behind them.
  const std::uint64_t dropped = link_.dropped();
  if (std::exchange(seen_dropped_, dropped) != dropped) cluster_.OnLost();
}

void NatsEngine::OnUp(const std::string& server, HistoryStore store) {
  ++ups_;
  is_reported_down_ = false;
  LogRepeated(LogLevel::kInfo, "hub engine up", {{"server", server}});
  cluster_.OnUp(SteadyNow(), std::move(store));
}

void NatsEngine::OnDown(const absl::Status& status) {
  if (!std::exchange(is_reported_down_, true)) {
    LogRepeated(LogLevel::kWarning, "hub engine down",
                {{"reason", MessageForLog(status)}});
  }
  cluster_.OnDown(SteadyNow());
}

void NatsEngine::OnRecord(absl::string_view bytes) {
  cluster_.OnRecord(bytes, SteadyNow());
}

void NatsEngine::OnStored(const std::string& subject, StoredRecord record) {
  cluster_.OnStored(subject, std::move(record), SteadyNow());
}

void NatsEngine::OnGap(const std::string& group, std::uint64_t after,
                       std::uint64_t before) {
  ++gaps_;
  LogRepeated(LogLevel::kWarning, "hub history has a gap",
              {{"group", group},
               {"after", absl::StrCat(after)},
               {"before", absl::StrCat(before)}});
  const auto [it, is_new] = unreported_gaps_.try_emplace(group, after, before);
  // Offsets of another stream may be lower.
  if (!is_new) it->second.second = before;
  ReportGaps();
}

void NatsEngine::ReportGaps() {
  while (!unreported_gaps_.empty()) {
    const auto [group, gap] = *unreported_gaps_.begin();
    const bool is_taken = run_(
        group.size(), [group = group, gap = gap](ClusterRequests& requests) {
          requests.ReportGap(group, gap.first, gap.second);
        });
    if (!is_taken) return;
    unreported_gaps_.erase(unreported_gaps_.begin());
  }
}

void NatsEngine::OnNobodyThere(absl::string_view subject) {
  cluster_.OnNobodyThere(subject, SteadyNow());
}

void NatsEngine::OnPublished(absl::Duration took) {
  publish_.Observe(absl::ToDoubleSeconds(took));
}

void NatsEngine::Deliver(v1::EnginePublication publication) {
  const std::size_t bytes = publication.ByteSizeLong();
  const bool is_taken = run_(
      bytes, [publication = std::move(publication)](ClusterRequests& requests) {
        requests.Deliver(publication);
      });
  if (!is_taken) OnDropped();
}

void NatsEngine::Deliver(const SharedPublication& publication) {
  const bool is_taken = run_(publication->ByteSizeLong(),
                             [publication](ClusterRequests& requests) {
                               requests.Deliver(*publication);
                             });
  if (is_taken) return;
  OnDropped();
  const std::uint64_t offset = publication->position().offset();
  OnGap(publication->to().groups(0), offset - 1, offset + 1);
}

bool NatsEngine::RunInOrder(std::function<void()> work) {
  return run_(0, [work = std::move(work)](ClusterRequests&) { work(); });
}

void NatsEngine::Carry(v1::EngineQuestion question, ReplyCallback done) {
  const std::size_t bytes = question.ByteSizeLong();
  const bool is_taken =
      run_(bytes,
           [question = std::move(question), done = std::move(done)](
               ClusterRequests& requests) { requests.Carry(question, done); });
  if (!is_taken) OnDropped();
}

void NatsEngine::OnDropped() {
  ++dropped_;
  LogRepeated(LogLevel::kWarning, "hub engine drops records",
              {{"reason", "the hubs do not keep up"}});
}

void NatsEngine::OnReplica(const std::string& gateway, bool is_there) {
  LogRepeated(LogLevel::kInfo,
              is_there ? "hub gateway found" : "hub gateway lost",
              {{"gateway", gateway}});
}

void NatsEngine::OnSameName(const std::string& gateway) {
  LogRepeated(LogLevel::kWarning, "another gateway has the same hub.gateway",
              {{"gateway", gateway}});
}

}  // namespace headgate
