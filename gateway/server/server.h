#ifndef GATEWAY_SERVER_SERVER_H_
#define GATEWAY_SERVER_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/statusor.h"
#include "gateway/admin/admin_server.h"
#include "gateway/admin/gateway.h"
#include "gateway/base/clock.h"
#include "gateway/config/settings.h"
#include "gateway/net/listening_socket.h"
#include "gateway/server/configuration.h"
#include "gateway/server/listener_tls.h"
#include "gateway/server/loop_watch.h"
#include "gateway/server/memory_watch.h"
#include "gateway/server/worker.h"
#include "gateway/trace/exporter.h"
#include "gateway/upstream/builder_thread.h"

namespace headgate {

// The gateway: its listeners and its workers.
//
// Thread:   the one that runs `control`, for everything.
// Lifetime: destroying it stops it at once.
class Server final : private Gateway {
 public:
  // Listens and starts the workers. Fails, before anything is served, with
  // INVALID_ARGUMENT for settings that Validate refuses, TLS files that cannot
  // be used or too few file descriptors, and with UNAVAILABLE for an address
  // that cannot be listened on. `control` must outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      Settings settings, boost::asio::io_context& control);

  ~Server();

  // Where clients come in, "ws://127.0.0.1:8080", "wss+unix:/path", with the
  // ports that were taken for 0; a listener on a name with several addresses
  // has several.
  const std::vector<std::string>& addresses() const { return addresses_; }
  // Those of the admin listeners, "127.0.0.1:9901".
  std::vector<std::string> admin_addresses() const;
  // Of the hub API; "": it is not served.
  std::string hub_api_address() const;

  // Takes routes, upstreams, limits, timeouts and TLS over from `settings`, for
  // all that comes in from now on; open sessions keep what they were opened
  // with. Fails with INVALID_ARGUMENT, changing nothing, for settings that
  // Validate refuses or TLS files that cannot be used. `needs_restart` names
  // what else is different, and stays as it was: addresses and the number of
  // threads.
  absl::Status Reload(Settings settings,
                      std::vector<std::string>* needs_restart);
  // Counts a reload that has failed before it came here.
  void ReloadFailed();

  // Is not ready any more; after `delay` stops listening and ends the sessions
  // with Close 1001, one after the other; stops when they are gone or `timeout`
  // has passed since then; then calls `on_stopped`. To be called once.
  void Drain(absl::Duration delay, absl::Duration timeout,
             std::function<void()> on_stopped);

  // Cuts off what is left and waits for the workers.
  void Stop();

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<
      boost::asio::generic::stream_protocol,
      boost::asio::io_context::executor_type>;
  struct Listener {
    Listener(boost::asio::io_context& control, std::size_t index,
             ListeningSocket socket);
    ListeningSocket socket;  // Its file, when it is one.
    Acceptor acceptor;
    boost::asio::steady_timer retry;
    const std::size_t index;  // Of the settings' listeners.
  };
  using Tls = std::vector<std::unique_ptr<ListenerTls>>;

  explicit Server(boost::asio::io_context& control);

  absl::Status Listen(const std::vector<ListenerSettings>& settings);
  void StartWorkers();
  void Accept(Listener& listener);
  void OnAcceptFailed(Listener& listener, const std::string& why);
  void NoticeAccepting(absl::Time now);
  void AcceptLater(Listener& listener, std::chrono::milliseconds delay);
  void CloseListeners();
  void Housekeep();
  // Looks at the workers' event loops, and logs those that have stalled.
  void Watch();
  // As often as MemoryWatch wants.
  void WatchMemory();
  void LookAtMemory();
  // Closes sessions that hold so many bytes, those that hold most first, and
  // gives back to the system what they held.
  void FreeMemory(std::uint64_t bytes, bool urgent, std::uint64_t used);
  using Holders = std::vector<std::pair<Worker*, Worker::Holder>>;
  void CloseHolders(Holders holders, std::uint64_t bytes, bool urgent,
                    std::uint64_t used);
  // Reads certificates that have changed.
  void RefreshTls();
  void Configure(Settings settings);
  HubThread& Hubs();  // Makes them if there are none.
  absl::Status StartHubApi();
  // Gives each route that is a hub its id: the one it had, where it is the
  // same.
  void NumberHubs(Settings& settings);
  // Starts the hubs that `before`, which may be null, does not have, and
  // retires those that are no more.
  void RunHubs(const Configuration* before);
  // Says so in the log where they allow for fewer connections than configured.
  void WarnOfDescriptors() const;
  void BeginDrain(absl::Duration timeout);

  // Gateway.
  Readiness GetReadiness() override;
  void GetStats(std::function<void(const Stats&)> callback) override;
  std::vector<WorkerHealth> GetHealth() override;
  void ListSessions(SessionFilter filter, SessionPage page,
                    std::function<void(const SessionList&)> callback) override;
  void ListHubs(
      std::function<void(const std::vector<HubInfo>&)> callback) override;
  void ListHubGroups(
      HubGroupPage page,
      std::function<void(const HubGroupList&)> callback) override;
  void CloseSession(std::string id,
                    std::function<void(SessionClosed)> callback) override;
  void AddTap(std::shared_ptr<TapSink> sink,
              std::function<void()> done) override;
  void RemoveTap(std::shared_ptr<const TapSink> sink) override;
  KnownSchema GetKnownSchema(const std::string& upstream) override;
  std::vector<const HandshakePolicy*> policies() const override;
  const Settings& settings() const override;
  bool draining() const override { return drain_requested_; }

  // Asks each worker, and calls `done` on the control thread with the answers,
  // in the order of the workers: when all have come, or after kAnswerPatience
  // with those that have. Never, when the server stops before.
  template <typename Answer>
  using Answers = std::vector<std::optional<Answer>>;
  template <typename Answer>
  void AskWorkers(std::function<void(Worker&, std::function<void(Answer)>)> ask,
                  std::function<void(Answers<Answer>)> done);

  // A question to the workers that may have to do without some answers.
  struct Question {
    absl::Time asked;
    std::function<void()> give_up;  // Does nothing once it is answered.
  };

  boost::asio::io_context& control_;
  // Before all that posts to it.
  const std::shared_ptr<BuilderThread> builder_;
  std::shared_ptr<const Configuration> configuration_;
  Tls tls_;  // One for each of the settings' listeners; null: plain.
  Configuration::Reaches reaches_;  // One for each of them.
  ServerState state_;
  std::list<Listener> listeners_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // Posts to the workers; null until there is a hub.
  std::unique_ptr<HubThread> hubs_;
  std::uint64_t next_hub_ = 1;
  std::unique_ptr<HubApi> hub_api_;  // Null: it is not served.
  std::size_t next_worker_ = 0;
  bool accept_failing_ = false;
  absl::Time accept_failed_;  // The last time; steady.
  DescriptorUse descriptors_;
  Stats stats_;  // Of what the workers do not see.
  LoopWatch watch_;
  std::vector<bool> stalled_;  // Workers that the log has said so of.
  std::list<Question> questions_;
  // What each worker last answered, for when it does not.
  std::vector<Stats> last_stats_;
  SpanExporter exporter_;
  boost::asio::steady_timer housekeeping_;
  boost::asio::steady_timer memory_timer_;
  MemoryWatch memory_watch_;
  std::uint64_t memory_limit_ = 0;  // 0: none.
  std::uint64_t memory_used_ = 0;
  bool freeing_ = false;  // FreeMemory is under way.

  bool drain_requested_ = false;
  std::vector<std::shared_ptr<TapSink>> taps_;
  std::uint64_t ended_taps_dropped_ = 0;  // Of those that were there before.
  boost::asio::steady_timer drain_timer_;
  std::size_t busy_workers_ = 0;
  bool stopped_ = false;
  std::function<void()> on_stopped_;

  // Last: they ask all of the others.
  std::vector<std::unique_ptr<AdminServer>> admin_;
};

template <typename Answer>
void Server::AskWorkers(
    std::function<void(Worker&, std::function<void(Answer)>)> ask,
    std::function<void(Answers<Answer>)> done) {
  struct Round {
    Answers<Answer> answers;
    std::size_t missing;
    std::function<void(Answers<Answer>)> done;  // Null once it is called.
  };
  auto round = std::make_shared<Round>(Round{Answers<Answer>(workers_.size()),
                                             workers_.size(), std::move(done)});
  const auto finish = [this, round] {
    if (round->done == nullptr || stopped_) return;
    std::exchange(round->done, nullptr)(std::move(round->answers));
  };
  questions_.push_back({SteadyNow(), finish});
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    ask(*workers_[i], [this, i, round, finish](Answer answer) {
      // The workers' threads end before the server does.
      boost::asio::post(
          control_, [i, round, finish, answer = std::move(answer)]() mutable {
            if (round->done == nullptr) return;  // It came too late.
            round->answers[i] = std::move(answer);
            if (--round->missing == 0) finish();
          });
    });
  }
}

}  // namespace headgate

#endif  // GATEWAY_SERVER_SERVER_H_
