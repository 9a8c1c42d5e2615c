#ifndef GATEWAY_UPSTREAM_H2_POOL_H_
#define GATEWAY_UPSTREAM_H2_POOL_H_

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/base/turn.h"
#include "gateway/config/settings.h"
#include "gateway/upstream/h2/alarms.h"
#include "gateway/upstream/h2/backoff.h"
#include "gateway/upstream/h2/call.h"
#include "gateway/upstream/h2/connection.h"
#include "gateway/upstream/h2/dial.h"
#include "gateway/upstream/h2/health.h"
#include "gateway/upstream/h2/target.h"
#include "gateway/upstream/h2/timing.h"
#include "gateway/upstream/h2/tls.h"
#include "gateway/upstream/h2_upstream.h"

namespace headgate {

// The connections of one upstream, and the calls that wait for one.
//
// The pool, its connections and calls are tasks of the worker's Turn: calls
// that wait get connections, observers are notified, then each connection with
// output writes it once.
//
// Several addresses: with round robin there is a connection to each, and calls
// that need another one get it where one works already; with pick_first they
// are dialled one after the other (Dial), and the first that is connected is
// the only one. A call waits no longer than connect_timeout. With health checks
// a connection counts only while its server says that it serves.
//
// Thread:   the worker's.
// Lifetime: shared by the upstream and its calls, so that calls outlive the
//           upstream; made by std::make_shared.
class H2Pool final : public std::enable_shared_from_this<H2Pool>,
                     public H2CallHost,
                     private H2ConnectionOwner,
                     private Alarms::Alarm,
                     private TurnTask {
 public:
  H2Pool(UpstreamOptions options, boost::asio::io_context& worker, Turn& turn,
         const H2Timing& timing);
  ~H2Pool();
  H2Pool(const H2Pool&) = delete;
  H2Pool& operator=(const H2Pool&) = delete;

  std::unique_ptr<UpstreamCall> StartCall(CallRequest request,
                                          UpstreamCallObserver& observer);
  void OnTick(absl::Time now);
  std::size_t connection_count() const { return connections_.size(); }
  void KeepConnected();
  bool is_up() const { return AnyUsable(); }
  bool is_failing() const;
  absl::Status tls_status() const;

 private:
  using Clock = Alarms::Clock;
  using Resolver =
      boost::asio::ip::basic_resolver<boost::asio::ip::tcp,
                                      boost::asio::io_context::executor_type>;

  struct Address {
    H2Endpoint endpoint;
    Backoff backoff = {};
    bool lost = false;  // It was connected to and is not any more.
  };
  struct Entry {
    std::shared_ptr<H2Connection> connection;
    Clock::time_point opened;
    // Null without health checks, and until it is connected.
    std::unique_ptr<H2HealthWatch> health = nullptr;
    bool took_calls = false;
    // Since when it has been seen without calls.
    absl::Time idle_since = absl::InfiniteFuture();
  };

  const Options& call_options() const override { return call_options_; }
  boost::asio::io_context& worker() override { return worker_; }
  Alarms& alarms() override { return alarms_; }
  Turn& turn() override { return turn_; }
  void Enqueue(H2Call& call) override;
  void Forget(H2Call& call) override;

  void OnConnected(H2Connection& connection) override;
  void OnDraining(H2Connection& connection) override;
  void OnLost(H2Connection& connection, bool served, absl::Status why) override;
  void OnRoom() override;

  void OnAlarm() override;
  // For the next thing that happens by the time alone.
  void SetAlarm(Clock::time_point now);

  void OnTurn() override;

  // Gives calls that wait to connections; opens connections for those that are
  // left, or ends them when none can be.
  void Dispatch();
  Entry* ConnectionWithRoom();
  // Calls may go there.
  bool IsUsable(const Entry& entry) const {
    return entry.connection->connected() &&
           (entry.health == nullptr ||
            entry.health->health() == H2HealthWatch::Health::kServing);
  }
  // Its server says that it does not serve, or nothing for too long.
  bool IsUnhealthy(const Entry& entry, Clock::time_point now) const {
    return entry.health != nullptr && entry.connection->connected() &&
           !IsUsable(entry) && !IsPending(entry, now);
  }
  bool IsUnhealthy(const H2Endpoint& endpoint, Clock::time_point now) const;
  // To an address that the target still has.
  bool AnyUsable() const;
  bool Works(const H2Endpoint& endpoint) const;
  // It may become usable soon.
  bool IsPending(const Entry& entry, Clock::time_point now) const;
  bool AnyPending(Clock::time_point now) const;
  // No further connection is opened to an address that has one.
  bool IsFull() const {
    return connections_.size() >= options_.max_connections;
  }
  // How many more calls the connections that are being made may take, those
  // aside that others need not wait for.
  std::size_t ExpectedRoom(Clock::time_point now) const;
  // To an address that works, if there is one; false when there is none to try.
  bool OpenConnection(Clock::time_point now);
  // Whether addresses are tried one after the other.
  bool dials() const { return !round_robin_ && addresses_.size() > 1; }
  // Begins with that or goes on.
  void DialOn(Clock::time_point now);
  void Open(const H2Endpoint& endpoint, Clock::duration timeout);
  void Open(const H2Endpoint& endpoint) {
    Open(endpoint, timing_.connect_timeout);
  }
  // The files of TLS are others: what begins now gets new connections.
  void RetireConnections();
  void Fail(H2Call& call, const absl::Status& status);
  void FailWaiting(const absl::Status& status);
  // Why there is no connection.
  absl::Status LastError(Clock::time_point now) const;
  void CheckHealth(Clock::time_point now);
  // Those that have waited too long.
  void FailOverdue(Clock::time_point now);

  // Looks the target's name up, unless that was just done.
  void LookUp();
  void OnResolved(boost::system::error_code error,
                  const Resolver::results_type& results);
  void SetAddresses(std::vector<H2Endpoint> endpoints);
  Address* AddressOf(const H2Endpoint& endpoint);
  Entry* EntryOf(const H2Connection& connection);
  const Address* AddressOf(const H2Endpoint& endpoint) const;
  bool HasConnectionTo(const H2Endpoint& endpoint) const;

  const UpstreamOptions options_;
  const H2Timing timing_;
  const bool round_robin_;
  boost::asio::io_context& worker_;
  Turn& turn_;
  Alarms alarms_;
  Options call_options_;
  H2ConnectionOptions connection_options_;
  std::minstd_rand random_;
  H2Target target_;
  absl::Status target_status_;  // Why it is none.
  std::unique_ptr<H2Tls> tls_;  // Null: plaintext.

  std::vector<Address> addresses_;
  std::size_t next_address_ = 0;    // Round robin.
  std::vector<Entry> connections_;  // Oldest first.
  std::optional<Dial> dial_;
  absl::Status last_error_;

  Resolver resolver_;
  bool resolving_ = false;
  Backoff lookup_backoff_;
  std::optional<Clock::time_point> looked_up_;

  std::list<H2Call*> waiting_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_POOL_H_
