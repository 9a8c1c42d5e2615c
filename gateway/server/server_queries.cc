// What operators ask of a Server, by its admin listener.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gateway/server/server.h"

namespace headgate {

const Settings& Server::settings() const { return configuration_->settings; }

Readiness Server::GetReadiness() {
  if (drain_requested_) return {false, "draining"};
  const std::vector<WorkerHealth> workers = GetHealth();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (!workers[i].stalled) continue;
    return {false,
            absl::StrCat("the event loop of worker ", i, " has stalled")};
  }
  if (!state_.upstream_reachable) return {false, "no upstream is reachable"};
  return {true, ""};
}

std::vector<WorkerHealth> Server::GetHealth() {
  Watch();
  std::vector<WorkerHealth> workers;
  for (const LoopWatch::Loop& loop : watch_.loops()) {
    workers.push_back({loop.silence, loop.stalled()});
  }
  return workers;
}

void Server::GetStats(std::function<void(const Stats&)> callback) {
  AskWorkers<Stats>(
      [](Worker& worker, std::function<void(Stats)> answer) {
        worker.GetStats(std::move(answer));
      },
      [this, callback = std::move(callback)](Answers<Stats> answers) {
        Stats all = stats_;
        all.connection_limit =
            static_cast<std::uint64_t>(configuration_->connections.most);
        if (hubs_ != nullptr) {
          all.hubs = hubs_->GetStats();
          all.hub_engine = hubs_->GetEngineStats();
          for (const auto& [key, count] : hubs_->api_counts()) {
            all.hub_api_requests[{std::string(key.first),
                                  absl::StatusCodeToString(key.second)}] =
                count;
          }
        }
        all.memory_used = memory_used_;
        all.memory_limit = memory_limit_;
        all.spans_exported = exporter_.exported();
        all.spans_failed = exporter_.failed();
        all.spans_dropped = state_.spans->dropped();
        all.taps = taps_.size();
        all.tap_events_dropped = ended_taps_dropped_;
        for (const auto& tap : taps_) all.tap_events_dropped += tap->dropped();
        const std::vector<WorkerHealth> health = GetHealth();
        for (std::size_t i = 0; i < answers.size(); ++i) {
          if (answers[i]) last_stats_[i] = *std::move(answers[i]);
          all.Merge(last_stats_[i]);
          all.workers[i].silence = absl::ToDoubleSeconds(health[i].silence);
        }
        for (std::size_t i = 0; i < tls_.size(); ++i) {
          if (tls_[i] == nullptr) continue;
          all.listeners[settings().listeners[i].address].certificate_expiry =
              tls_[i]->context()->certificate_expiry();
        }
        // What has not been used yet is there, too.
        for (const ListenerSettings& listener : settings().listeners) {
          all.listeners[listener.address];
        }
        for (const Route& route : settings().routes) {
          all.routes[RouteName(route)];
        }
        callback(all);
      });
}

void Server::ListHubs(
    std::function<void(const std::vector<HubInfo>&)> callback) {
  if (hubs_ == nullptr) {
    return boost::asio::post(
        control_, [callback = std::move(callback)] { callback({}); });
  }
  hubs_->List(
      [this, callback = std::move(callback)](std::vector<HubInfo> hubs) {
        boost::asio::post(
            control_, [callback, hubs = std::move(hubs)] { callback(hubs); });
      });
}

void Server::ListHubGroups(HubGroupPage page,
                           std::function<void(const HubGroupList&)> callback) {
  if (hubs_ == nullptr) {
    return boost::asio::post(
        control_, [callback = std::move(callback)] { callback({}); });
  }
  hubs_->ListGroups(std::move(page), [this, callback = std::move(callback)](
                                         HubGroupList list) {
    boost::asio::post(control_,
                      [callback, list = std::move(list)] { callback(list); });
  });
}

void Server::ListSessions(SessionFilter filter, SessionPage page,
                          std::function<void(const SessionList&)> callback) {
  AskWorkers<SessionList>(
      [filter = std::move(filter), page](
          Worker& worker, std::function<void(SessionList)> answer) {
        worker.ListSessions(filter, page, std::move(answer));
      },
      [page, callback = std::move(callback)](Answers<SessionList> answers) {
        SessionList all;
        for (std::optional<SessionList>& list : answers) {
          all.complete &= list.has_value();
          if (list) all.Merge(*std::move(list));
        }
        all.Cut(page.limit);
        callback(all);
      });
}

void Server::CloseSession(std::string id,
                          std::function<void(SessionClosed)> callback) {
  AskWorkers<bool>(
      [id = std::move(id)](Worker& worker, std::function<void(bool)> answer) {
        worker.CloseSession(id, std::move(answer));
      },
      [callback = std::move(callback)](const Answers<bool>& answers) {
        SessionClosed closed = SessionClosed::kNotFound;
        for (const std::optional<bool>& answer : answers) {
          if (!answer) closed = SessionClosed::kUnknown;
        }
        for (const std::optional<bool>& answer : answers) {
          if (answer.value_or(false)) closed = SessionClosed::kYes;
        }
        callback(closed);
      });
}

void Server::AddTap(std::shared_ptr<TapSink> sink, std::function<void()> done) {
  taps_.push_back(sink);
  AskWorkers<bool>(
      [sink = std::move(sink)](Worker& worker,
                               std::function<void(bool)> answer) {
        worker.AddTap(sink, std::move(answer));
      },
      [done = std::move(done)](const Answers<bool>&) { done(); });
}

void Server::RemoveTap(std::shared_ptr<const TapSink> sink) {
  if (std::erase(taps_, sink) != 0) ended_taps_dropped_ += sink->dropped();
  for (const auto& worker : workers_) worker->RemoveTap(sink);
}

KnownSchema Server::GetKnownSchema(const std::string& upstream) {
  // It only looks at what is there: no change is waited for.
  class Looker final : public SchemaStore::Subscriber {
   public:
    void OnState(std::shared_ptr<const SchemaStore::State>,
                 SchemaStore::Change) override {}
  };
  KnownSchema known;
  const std::vector<UpstreamSettings>& upstreams = settings().upstreams;
  for (std::size_t i = 0; i < upstreams.size(); ++i) {
    if (upstreams[i].name != upstream) continue;
    Looker looker;
    std::shared_ptr<const SchemaStore::State> state;
    const auto subscription =
        configuration_->upstreams[i]->schemas()->Subscribe(
            [](const std::function<void()>&) {}, looker, &state);
    known.may_grow = upstreams[i].descriptors.reflection;
    if (state == nullptr) continue;
    known.schema = Schema::Share(state->schema);
    known.http_rules = state->http_rules;
    known.may_grow &= state->knowledge != SchemaStore::Knowledge::kFetched;
  }
  return known;
}

std::vector<const HandshakePolicy*> Server::policies() const {
  std::vector<const HandshakePolicy*> policies;
  for (const auto& listener : configuration_->listeners) {
    policies.push_back(&listener->policy);
  }
  return policies;
}

}  // namespace headgate
