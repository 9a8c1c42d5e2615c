#ifndef TESTS_ADMIN_FAKE_GATEWAY_H_
#define TESTS_ADMIN_FAKE_GATEWAY_H_

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
  void GetStats(std::function<void(const Stats&)> callback) override {
    Stats stats;
    stats.routes["/chat"].open = 3;
    Answer([callback = std::move(callback), stats] { callback(stats); });
  }
  void ListSessions(SessionFilter filter, std::size_t limit,
                    std::function<void(const SessionList&)> callback) override {
    filter_ = std::move(filter);
    limit_ = limit;
    SessionList list;
    SessionInfo session;
    session.id = "id-1";
    session.method = "/s/\xFF";
    session.opened_at = absl::UnixEpoch();
    list.sessions.push_back(session);
    list.matching = 7;
    Answer([callback = std::move(callback), list] { callback(list); });
  }
  void CloseSession(std::string id,
                    std::function<void(bool found)> callback) override {
    closed_.push_back(id);
    Answer([callback = std::move(callback), id] { callback(id == "id-1"); });
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
  std::size_t limit_ = 0;
  std::vector<std::string> closed_;
  Settings settings_;
  // Else answers wait in `answers_`, for the test to give.
  bool answers_at_once_ = true;
  std::vector<std::function<void()>> answers_;
};

}  // namespace headgate

#endif  // TESTS_ADMIN_FAKE_GATEWAY_H_
