#ifndef GATEWAY_NATS_NATS_LINK_H_
#define GATEWAY_NATS_NATS_LINK_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <nats/nats.h>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/mailbox.h"
#include "gateway/config/settings.h"
#include "gateway/hub/cluster.h"
#include "gateway/nats/stream.h"

namespace headgate {

// Hears of a link; on the hub thread.
class NatsObserver {
 public:
  // Connected to `server`, its URL without credentials. `store`: the state of
  // the stream; without a stream there is nothing in it.
  virtual void OnUp(const std::string& server, HistoryStore store) = 0;
  // The connection is lost, or an attempt has failed.
  virtual void OnDown(const absl::Status& status) = 0;
  virtual void OnRecord(absl::string_view bytes) = 0;
  // What SubscribeStored has brought.
  virtual void OnStored(const std::string& subject, StoredRecord record) = 0;
  // Records were dropped before the next one: NatsLink::dropped.
  virtual void OnLost() = 0;
  // NATS' own report that nobody has subscribed; see Cluster::OnNobodyThere.
  virtual void OnNobodyThere(absl::string_view subject) = 0;
  // Publish with `done` has taken so long.
  virtual void OnPublished(absl::Duration took) = 0;

 protected:
  ~NatsObserver() = default;
};

// A connection to NATS, made again whenever it is lost, without end.
//
// libnats holds its lock while it connects and writes, and so makes its callers
// wait: nothing but the link's own thread calls it. What the hub thread wants
// of NATS waits in a queue of at most kMostQueuedBytes, and what NATS has for
// the hub thread in its mailbox, up to kMostUnreadBytes: beyond that records
// are dropped and counted.
//
// libnats' own reconnection is not used: it keeps what is published meanwhile
// and sends it late, and gives up after a second refusal of the credentials.
//
// Thread: the hub thread, except where it says more. Lifetime: destroying it
// publishes what waits, for a moment, and ends all callbacks.
class NatsLink final : public ClusterLink {
 public:
  // Runs a task on the hub thread; safe for any thread. Tasks are not run after
  // the link's destruction, which the caller sees to.
  using Post = std::function<void(std::function<void()>)>;

  // `name`: for NATS' monitoring. `instance`: of this process, unique; part of
  // the subject of responses. `stream`: absent: no group has a history.
  NatsLink(NatsSettings settings, std::string name, std::string instance,
           std::optional<StreamSettings> stream, NatsObserver& observer,
           Post post);
  ~NatsLink();
  NatsLink(const NatsLink&) = delete;
  NatsLink& operator=(const NatsLink&) = delete;

  bool is_up() const override { return up_; }
  absl::Status Publish(std::string subject, std::string reply_to,
                       std::string record,
                       HubEngine::PublishedCallback done) override;
  void Subscribe(std::string subject) override;
  void Unsubscribe(std::string subject) override;
  void Store(std::string subject, std::string record,
             HubEngine::StoreOptions options,
             HubEngine::StoredCallback done) override;
  void Fetch(std::string subject, std::uint64_t from,
             Histories::Host::FetchedCallback done) override;
  void SubscribeStored(std::string subject) override;
  void Renew() override;  // Any thread.
  // Ends requests that have waited for kRequestTimeout. To be called some times
  // in a second.
  void OnTick(absl::Time now);

  // How many records were dropped. Any thread.
  std::uint64_t dropped() const { return dropped_; }

  static constexpr std::size_t kMostQueuedBytes = 8 * 1024 * 1024;
  static constexpr std::size_t kMostUnreadBytes = 8 * 1024 * 1024;
  // How long the hub thread reads records at a time; its other tasks run in
  // between.
  static constexpr absl::Duration kReadSlice = absl::Milliseconds(1);
  // For NATS to take a connection, and what is published.
  static constexpr absl::Duration kTimeout = absl::Seconds(2);
  // For JetStream to respond.
  static constexpr absl::Duration kRequestTimeout = absl::Seconds(5);
  static constexpr std::size_t kMostRequests = 16 * 1024;
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
  static constexpr absl::Duration kLongestPause = absl::Seconds(2);
  // A connection that has lasted for so long works.
  static constexpr absl::Duration kProof = absl::Seconds(10);

 private:
  struct Inbox;
  struct Order {
    enum class Kind {
      kPublish,
      kRequest,
      kSubscribe,
      kSubscribeStored,
      kUnsubscribe,
      kRenew
    };
    std::size_t bytes() const;

    Kind kind;
    std::string subject;
    std::string reply_to = {};
    std::string record = {};
    HubEngine::PublishedCallback done = nullptr;
    absl::Time given_at = {};
    HubEngine::StoreOptions options = {};
  };
  // A request without a response of JetStream yet.
  struct Request {
    absl::Time given_at;
    std::function<void(const absl::StatusOr<StreamReply>&)> done;
  };
  struct Subscription {
    bool is_stored = false;
    natsSubscription* its = nullptr;  // Null: not connected.
  };

  static void OnMessage(natsConnection* connection, natsSubscription*,
                        natsMsg* message, void* inbox);
  static void OnStoredMessage(natsConnection*, natsSubscription*,
                              natsMsg* message, void* inbox);
  static void OnReply(natsConnection*, natsSubscription*, natsMsg* message,
                      void* inbox);
  static void OnError(natsConnection*, natsSubscription*, natsStatus error,
                      void* inbox);
  static void OnClosed(natsConnection* connection, void* inbox);
  void Take(natsMsg* message);
  void TakeStored(natsMsg* message);
  void TakeReply(natsMsg* message);
  void OnDropped();
  // Any thread: runs `task` on the hub thread. Drops it and counts that if too
  // much waits there. `bytes`: of the record.
  void PostRecord(std::size_t bytes, std::function<void()> task);
  // The same without counting; tasks run in the order of these calls. False:
  // too much waits, which never holds for `bytes` 0.
  bool AddToMailbox(std::size_t bytes, std::function<void()> task);

  // Of the hub thread: runs tasks of mailbox_, for kReadSlice.
  void Read();
  void Ask(std::string subject, std::string body,
           HubEngine::StoreOptions options,
           std::function<void(const absl::StatusOr<StreamReply>&)> done);
  template <typename IsOver>
  void EndRequests(const absl::Status& status, IsOver is_over);
  // Any thread: to the hub thread.
  void ReportDown(const absl::Status& status);

  // Of the link's thread.
  void Run();
  // To the next of the servers.
  absl::Status Connect();
  void Serve();
  // What NATS has refused, if it has; it goes on with the connection itself.
  absl::Status Denial() const;
  // Whether what made Renew doubt the stream was nothing.
  bool IsStreamTheSame();
  void Disconnect();
  // Waits for orders, for so long; takes them all. `is_connected`: the end of
  // the connection ends the wait, too.
  std::deque<Order> TakeOrders(absl::Duration patience, bool is_connected);
  void Carry(std::deque<Order> orders);
  absl::Status Carry(Order& order);
  absl::Status SubscribeNow(const std::string& subject);
  absl::Status PublishRequest(const Order& order);
  void Give(Order order);

  const NatsSettings settings_;
  const std::optional<StreamSettings> stream_;
  const std::string inbox_subject_;  // A number follows.
  const std::string name_;
  NatsObserver& observer_;
  const Post post_;
  Inbox& inbox_;
  std::atomic<bool> up_ = false;
  std::atomic<std::size_t> max_payload_ = 0;  // Of the server.
  std::atomic<std::uint64_t> dropped_ = 0;
  std::atomic<bool> has_lost_ = false;  // Not reported with a record yet.

  Mailbox<std::function<void()>> mailbox_{kMostUnreadBytes};

  std::mutex mutex_;
  std::condition_variable wakes_;
  std::deque<Order> orders_;      // Under mutex_.
  std::size_t queued_bytes_ = 0;  // Under mutex_.
  bool stopping_ = false;         // Under mutex_.
  bool is_closed_ = false;        // Under mutex_: the connection is.

  // Of the hub thread; by number.
  absl::btree_map<std::uint64_t, Request> requests_;
  std::uint64_t last_request_ = 0;

  // Of the link's thread.
  bool is_renewing_ = false;
  natsSubscription* replies_ = nullptr;
  HistoryStore store_;
  std::size_t next_server_;
  natsConnection* connection_ = nullptr;
  absl::flat_hash_map<std::string, Subscription> subscriptions_;
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_NATS_NATS_LINK_H_
