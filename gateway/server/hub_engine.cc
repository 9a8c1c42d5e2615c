#include "gateway/server/hub_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

namespace headgate {

NatsEngine::NatsEngine(const NatsSettings& settings, const std::string& name,
                       const std::string& instance, NatsLink::Post post,
                       Run run)
    : run_(std::move(run)),
      publish_(Stats::PerEngine().publish),
      link_(settings, absl::StrCat("headgate ", name), Observer(),
            std::move(post)),
      cluster_({settings.prefix, name, instance}, link_, Host(), SteadyNow()) {}

NatsEngine::~NatsEngine() = default;

Stats::PerEngine NatsEngine::GetStats() const {
  Stats::PerEngine stats;
  stats.is_up = link_.is_up();
  stats.reconnects = ups_ == 0 ? 0 : ups_ - 1;
  stats.replicas = cluster_.replicas() + 1;
  stats.dropped = dropped_ + link_.dropped() + cluster_.malformed();
  stats.publish = publish_;
  return stats;
}

void NatsEngine::OnUp(const std::string& server) {
  ++ups_;
  is_reported_down_ = false;
  LogRepeated(LogLevel::kInfo, "hub engine up", {{"server", server}});
  cluster_.OnUp(SteadyNow());
}

void NatsEngine::OnDown(const absl::Status& status) {
  if (!std::exchange(is_reported_down_, true)) {
    LogRepeated(LogLevel::kWarning, "hub engine down",
                {{"reason", MessageForLog(status)}});
  }
  cluster_.OnDown();
}

void NatsEngine::OnRecord(absl::string_view bytes) {
  cluster_.OnRecord(bytes, SteadyNow());
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
