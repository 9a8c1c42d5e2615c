#ifndef TESTS_ADMIN_FAKE_GATEWAY_H_
#define TESTS_ADMIN_FAKE_GATEWAY_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gateway/admin/gateway.h"

namespace headgate {

// One session, "id-1"; what it was asked for.
class FakeGateway final : public Gateway {
 public:
  Readiness GetReadiness() override { return readiness_; }
  std::vector<WorkerHealth> GetHealth() override { return health_; }
  void GetStats(std::function<void(const Stats&)> callback) override {
    Stats stats;
    stats.routes["/chat"].open = 3;
    Answer([callback = std::move(callback), stats] { callback(stats); });
  }
  void ListSessions(SessionFilter filter, SessionPage page,
                    std::function<void(const SessionList&)> callback) override {
    filter_ = std::move(filter);
    page_ = page;
    SessionList list;
    SessionInfo session;
    session.number = 9;
    session.id = "id-1";
    session.method = "/s/\xFF";
    session.opened_at = absl::UnixEpoch();
    list.sessions.push_back(session);
    list.matching = 7;
    list.has_more = has_more_;
    list.complete = complete_;
    Answer([callback = std::move(callback), list] { callback(list); });
  }
  void ListHubs(
      std::function<void(const std::vector<HubInfo>&)> callback) override {
    callback({{"/r/{x}", "up", "/s/m", "live", "i-1", 2, 3, 4}});
  }
  void ListHubGroups(
      HubGroupPage page,
      std::function<void(const HubGroupList&)> callback) override {
    groups_page_ = page;
    HubGroupList list;
    list.found = page.route == "/r/{x}";
    list.groups = {{"a\xFF", 1}, {"b", 2}};
    list.groups.resize(std::min(page.limit, list.groups.size()));
    callback(list);
  }
  void CloseSession(std::string id,
                    std::function<void(SessionClosed)> callback) override {
    closed_.push_back(id);
    const SessionClosed closed = !complete_     ? SessionClosed::kUnknown
                                 : id == "id-1" ? SessionClosed::kYes
                                                : SessionClosed::kNotFound;
    Answer([callback = std::move(callback), closed] { callback(closed); });
  }
  void AddTap(std::shared_ptr<TapSink> sink,
              std::function<void()> done) override {
    taps_.push_back(std::move(sink));
    Answer(std::move(done));
  }
  void RemoveTap(std::shared_ptr<const TapSink> sink) override {
    std::erase(taps_, sink);
  }
  KnownSchema GetKnownSchema(const std::string&) override { return {}; }
  std::vector<const HandshakePolicy*> policies() const override {
    return std::vector<const HandshakePolicy*>(settings_.listeners.size(),
                                               &policy_);
  }
  const Settings& settings() const override { return settings_; }
  bool draining() const override { return false; }

  void Answer(std::function<void()> answer) {
    if (!answers_at_once_) {
      answers_.push_back(std::move(answer));
    } else {
      answer();
    }
  }

  Readiness readiness_{true, ""};
  SessionFilter filter_;
  SessionPage page_;
  HubGroupPage groups_page_;
  std::vector<WorkerHealth> health_{{}, {}};
  bool has_more_ = false;
  bool complete_ = true;
  std::vector<std::string> closed_;
  Settings settings_;
  HandshakePolicy policy_;
  std::vector<std::shared_ptr<TapSink>> taps_;
  // Else answers wait in `answers_`, for the test to give.
  bool answers_at_once_ = true;
  std::vector<std::function<void()>> answers_;
};

}  // namespace headgate

#endif  // TESTS_ADMIN_FAKE_GATEWAY_H_
