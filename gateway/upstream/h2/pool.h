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
#include "gateway/config/settings.h"
#include "gateway/upstream/h2/alarms.h"
#include "gateway/upstream/h2/call.h"
#include "gateway/upstream/h2/connection.h"
#include "gateway/upstream/h2/target.h"
#include "gateway/upstream/h2/tls.h"
#include "gateway/upstream/h2_upstream.h"

namespace headgate {

// The connections of one upstream, and the calls that wait for one.
//
// What has happened is told in turns: first the calls that have events, then
// what is to be written is written, until there is neither. A turn runs at the
// end of an event of the loop's, or is posted by what comes from outside.
//
// Thread:   the worker's.
// Lifetime: shared by the upstream and its calls, so that calls outlive the
//           upstream; made by std::make_shared.
class H2Pool final : public std::enable_shared_from_this<H2Pool>,
                     public H2CallHost,
                     private H2ConnectionOwner {
 public:
  H2Pool(UpstreamOptions options, boost::asio::io_context& worker);
  ~H2Pool();
  H2Pool(const H2Pool&) = delete;
  H2Pool& operator=(const H2Pool&) = delete;

  std::unique_ptr<UpstreamCall> StartCall(CallRequest request,
                                          UpstreamCallObserver& observer);
  void OnTick(absl::Time now);
  std::size_t connection_count() const { return connections_.size(); }
  bool is_failing() const;
  absl::Status tls_status() const;

 private:
  using Clock = Alarms::Clock;
  using Resolver =
      boost::asio::ip::basic_resolver<boost::asio::ip::tcp,
                                      boost::asio::io_context::executor_type>;

  // When to try again what has failed (grpc/grpc doc/connection-backoff.md).
  struct Backoff {
    int failures = 0;
    Clock::time_point retry_at;

    bool failing() const { return failures > 0; }
    bool waits(Clock::time_point now) const {
      return failing() && now < retry_at;
    }
  };
  struct Address {
    H2Endpoint endpoint;
    Backoff backoff = {};
    bool lost = false;  // It was connected to and is not any more.
  };
  struct Entry {
    std::shared_ptr<H2Connection> connection;
    bool dirty = false;  // Something is to be flushed.
    // Since when it has been seen without calls.
    absl::Time idle_since = absl::InfiniteFuture();
  };

  const Options& call_options() const override { return call_options_; }
  boost::asio::io_context& worker() override { return worker_; }
  Alarms& alarms() override { return alarms_; }
  void Enqueue(H2Call& call) override;
  void Schedule(H2Call& call) override;
  void Forget(H2Call& call) override;

  void OnConnected(H2Connection& connection) override;
  void OnDraining(H2Connection& connection) override;
  void OnLost(H2Connection& connection, bool served, absl::Status why) override;
  void OnWork(H2Connection& connection) override;
  void OnTurn() override { RunTurn(); }

  void Wake();
  void RunTurn();
  bool DeliverScheduled();
  bool FlushDirty();

  // Gives calls that wait to connections; opens connections for those that are
  // left, or ends them when none can be.
  void Dispatch();
  Entry* ConnectionWithRoom();
  // How many more calls the connections that are being made may take.
  std::size_t ExpectedRoom() const;
  bool OpenConnection(Clock::time_point now);
  void Open(const Address& address);
  // The files of TLS are others: what begins now gets new connections.
  void RetireConnections();
  void FailWaiting(const absl::Status& status);

  // Looks the target's name up, unless that was just done.
  void LookUp();
  void OnResolved(boost::system::error_code error,
                  const Resolver::results_type& results);
  void SetAddresses(std::vector<H2Endpoint> endpoints);
  void Fail(Backoff& backoff);
  Address* AddressOf(const H2Endpoint& endpoint);
  Entry* EntryOf(const H2Connection& connection);
  bool HasConnectionTo(const H2Endpoint& endpoint) const;

  const UpstreamOptions options_;
  boost::asio::io_context& worker_;
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
  absl::Status last_error_;

  Resolver resolver_;
  bool resolving_ = false;
  Backoff lookup_backoff_;
  std::optional<Clock::time_point> looked_up_;

  std::list<H2Call*> waiting_;
  std::vector<H2Call*> scheduled_;  // Null: forgotten.
  bool in_turn_ = false;
  bool turn_posted_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_POOL_H_
