#ifndef GATEWAY_HUB_CLUSTER_H_
#define GATEWAY_HUB_CLUSTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/engine.h"
#include "gateway/hub/histories.h"
#include "gateway/hub/history_page.h"
#include "gateway/hub/subjects.h"

namespace headgate {

// What a cluster needs of the broker between gateways.
class ClusterLink {
 public:
  // Whether it is connected, as far as is known.
  virtual bool is_up() const = 0;
  // Publishes a record, in the order of the calls. `done`: null, or called on
  // the hub thread when the broker has taken the record or will not; statuses
  // are HubEngine::Publish's. The result is what is known at once: then `done`
  // is not called. `reply_to`: where the broker reports that nobody has
  // subscribed to `subject`; "": nowhere.
  virtual absl::Status Publish(std::string subject, std::string reply_to,
                               std::string record,
                               HubEngine::PublishedCallback done) = 0;
  // Also after the connection was lost. What this process publishes does not
  // come back.
  virtual void Subscribe(std::string subject) = 0;
  virtual void Unsubscribe(std::string subject) = 0;

  // Publishes a record that the broker is to store. See HubEngine::Store.
  virtual void Store(std::string subject, std::string record,
                     HubEngine::StoreOptions options,
                     HubEngine::StoredCallback done) = 0;
  // See Histories::Host::Fetch.
  virtual void Fetch(std::string subject, std::uint64_t from,
                     Histories::Host::FetchedCallback done) = 0;
  // As Subscribe, to what was stored: Cluster::OnStored hears of it.
  virtual void SubscribeStored(std::string subject) = 0;
  // Connects again, for the store may be another.
  virtual void Renew() = 0;

 protected:
  ~ClusterLink() = default;
};

// What a cluster has other gateways' records done by.
class ClusterHost {
 public:
  virtual void Deliver(v1::EnginePublication publication) = 0;
  // The same for one that is stored.
  virtual void Deliver(const SharedPublication& publication) = 0;
  // Runs `work` behind what Deliver was given before. False: too much waits.
  virtual bool RunInOrder(std::function<void()> work) = 0;
  // `done` is called once, unless the cluster is destroyed before; instance and
  // number are the cluster's business.
  using ReplyCallback = std::function<void(v1::EngineReply)>;
  virtual void Carry(v1::EngineQuestion question, ReplyCallback done) = 0;
  // For the log. `same_name`: another process has this gateway's name.
  virtual void OnReplica(const std::string& gateway, bool is_there) = 0;
  virtual void OnSameName(const std::string& gateway) = 0;
  // See GroupLog::Observer.
  virtual void OnGap(const std::string& group, std::uint64_t after,
                     std::uint64_t before) = 0;
  // See Presence.
  virtual void OnWatched(const std::string& instance, std::uint64_t generation,
                         const std::vector<std::string>& groups) = 0;
  virtual void OnMemberships(const std::string& instance,
                             const v1::EngineMemberships& memberships) = 0;
  virtual void OnCame(const std::string& instance) = 0;
  virtual void OnGone(const std::string& instance) = 0;
  virtual void OnMembershipsLost() = 0;
  virtual void OnCutOff() = 0;

 protected:
  ~ClusterHost() = default;
};

// Gateways that share their hubs over a broker: who is there, which groups and
// users this one hears of, and questions to all.
//
// Pure: records in, records out. Thread: the hub thread. Lifetime: `link` and
// `host` must outlive it.
class Cluster final : public HubEngine, private Histories::Host {
 public:
  struct Options {
    std::string prefix;
    std::string gateway;   // Its name.
    std::string instance;  // Unique.
    // The first pattern that fits a group, and whether it has a history.
    std::vector<std::pair<std::string, bool>> groups = {};
    Histories::Options history = {};
  };

  Cluster(Options options, ClusterLink& link, ClusterHost& host,
          absl::Time now);
  // Tells the others that it leaves.
  ~Cluster() override;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // What has come on one of its subjects, from anybody who may publish there.
  void OnRecord(absl::string_view bytes, absl::Time now);
  // The broker's own report on `subject`: nobody has subscribed to what was
  // published with it as `reply_to`.
  void OnNobodyThere(absl::string_view subject, absl::Time now);
  // `store`: if any group has a history.
  void OnUp(absl::Time now, HistoryStore store = {});
  void OnDown(absl::Time now);
  // What SubscribeStored has brought.
  void OnStored(const std::string& subject, StoredRecord record,
                absl::Time now);
  // Records, of any subjects, were lost between the broker and here.
  void OnLost();
  // To be called some times in a second.
  void OnTick(absl::Time now);

  void Publish(const v1::EnginePublication& publication,
               PublishedCallback done) override;
  absl::Status Publish(const v1::EnginePublication& publication) override;
  bool HasHistory(absl::string_view group) const override;
  void Store(const v1::EnginePublication& publication,
             const StoreOptions& options, StoredCallback done) override;
  void Recover(const std::string& group,
               const std::optional<v1::Position>& after,
               RecoveredCallback done) override;
  void Read(const std::string& group, const std::optional<v1::Position>& after,
            std::size_t limit, PageCallback done) override;
  void Ask(v1::EngineQuestion question, absl::Duration patience,
           IsEnough is_enough, AnswersCallback done) override;
  void AnnounceWatched(const std::vector<std::string>& groups) override;
  bool Tell(const std::string& instance,
            const v1::EngineMemberships& memberships) override;
  bool is_up() const override { return link_.is_up(); }
  void OnInterest(HubScope scope, const std::string& name,
                  bool begins) override;

  // Other gateways that are there.
  std::size_t replicas() const { return replicas_.size(); }
  // Records that were none.
  std::uint64_t malformed() const { return malformed_; }

  static constexpr absl::Duration kBeatInterval = absl::Seconds(2);
  // A gateway that is not heard of for so long is not there.
  static constexpr absl::Duration kLongestSilence = absl::Seconds(10);
  // A subscription stays for so long without members.
  static constexpr absl::Duration kLinger = absl::Seconds(5);
  // So many, since clients may name groups.
  static constexpr std::size_t kMostLingering = 4096;
  static constexpr absl::Duration kPatience = absl::Milliseconds(500);
  // Anybody's beats can name gateways, and be answered.
  static constexpr std::size_t kMostReplicas = 1000;
  static constexpr std::size_t kMostQuestions = 1024;
  // Pages of histories at a time, each of which asks for one record at a time.
  static constexpr std::size_t kMostReads = 16;

 private:
  struct Replica {
    std::string gateway;
    absl::Time heard_at;
  };
  struct Question {
    absl::Time until;
    IsEnough is_enough;
    AnswersCallback done;
    Answers answers;
    // By instance: the names of those that have not answered.
    absl::btree_map<std::string, std::string> missing;
  };
  // A page that is being read.
  struct Reading {
    std::string group;
    bool is_of_this_epoch;  // Where it begins.
    std::string epoch;
    HistoryPage page;
    PageCallback done;
  };
  // A subject that hubs have members for.
  struct Subscription {
    int hubs = 0;
    absl::Time ends_at;      // If `hubs` is 0.
    std::string history_of;  // A group; "": what comes is not stored.
  };

  // Ends subscriptions that have been without members for long enough, or are
  // too many.
  void EndLingering();
  void ReadOn(const std::shared_ptr<Reading>& reading);
  absl::StatusOr<Page> PageOf(Reading& reading);
  // Whether the gateways that are there have had the time to say so.
  bool is_settled() const { return now_ >= settled_at_; }
  void Take(const v1::EngineBeat& beat);
  void TakeWatched(const v1::EngineBeat& beat);
  void Take(v1::EngineQuestion question);
  void Take(v1::EngineReply reply);
  void SendBeat(bool leaves);
  void AskForMembershipsAgain();
  // Ends the questions that `is_over`, of number and question, is true for.
  template <typename IsOver>
  void EndQuestions(IsOver is_over);
  std::string ReplySubject(absl::string_view instance,
                           std::uint64_t number) const;
  absl::Status Send(const v1::EnginePublication& publication,
                    PublishedCallback done);

  SharedPublication Parse(const std::string& group,
                          const StoredRecord& record) override;
  void OnHistoryRecord(const SharedPublication& publication) override {
    host_.Deliver(publication);
  }
  void OnHistoryGap(const std::string& group, std::uint64_t after,
                    std::uint64_t before) override {
    host_.OnGap(group, after, before);
  }
  void Fetch(const std::string& group, std::uint64_t from,
             FetchedCallback done) override {
    link_.Fetch(subjects_.Stored(group), from, std::move(done));
  }
  void OnHistoryRenewed() override { link_.Renew(); }
  Histories::Host& HistoryHost() { return *this; }

  const Options options_;
  const HubSubjects subjects_;
  ClusterLink& link_;
  ClusterHost& host_;
  absl::Time now_;
  absl::Time beat_at_;  // The next one.
  absl::Time settled_at_ = absl::InfiniteFuture();
  absl::btree_map<std::string, Replica> replicas_;  // By instance.
  absl::flat_hash_map<std::string, Subscription> subscriptions_;
  // In the order of their ends; may have members again.
  std::deque<std::pair<absl::Time, std::string>> lingering_;
  absl::btree_map<std::uint64_t, Question> questions_;
  std::uint64_t last_question_ = 0;
  std::uint64_t malformed_ = 0;
  std::size_t reads_ = 0;
  std::vector<std::string> watched_;
  std::uint64_t watch_generation_ = 0;
  Histories histories_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_CLUSTER_H_
