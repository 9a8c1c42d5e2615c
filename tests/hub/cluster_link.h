#ifndef TESTS_HUB_CLUSTER_LINK_H_
#define TESTS_HUB_CLUSTER_LINK_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gateway/hub/cluster.h"
#include "gateway/hub/presence.h"

namespace headgate {

// A broker in one process: what NATS does with the records of several clusters,
// and a clock that stands still.
class FakeBroker {
 public:
  struct Published {
    std::string subject;
    std::string reply_to;
    std::string record;
  };

  // A gateway's end. Answers questions with its own name as a session's id.
  class Node final : public ClusterLink,
                     public ClusterHost,
                     private PresenceHost {
   public:
    Node(FakeBroker& broker, const std::string& name) : broker_(broker) {
      broker.nodes_.push_back(this);
      cluster_ = std::make_unique<Cluster>(
          Cluster::Options{"hg",
                           name,
                           "i-" + name,
                           {{"live:*", false}, {"h:*", true}},
                           {100, absl::Hours(1)}},
          *this, *this, broker.now);
      cluster_->OnUp(broker.now, {"epoch", false});
    }
    ~Node() {
      cluster_.reset();
      broker_.nodes_.erase(
          std::find(broker_.nodes_.begin(), broker_.nodes_.end(), this));
    }
    Cluster& cluster() { return *cluster_; }

    bool is_up() const override { return up; }
    absl::Status Publish(std::string subject, std::string reply_to,
                         std::string record,
                         HubEngine::PublishedCallback done) override {
      if (!up) return absl::UnavailableError("away");
      if (is_mute) return absl::OkStatus();
      broker_.wire_.push_back(
          {this, {std::move(subject), std::move(reply_to), std::move(record)}});
      if (done != nullptr) done(absl::OkStatus());
      return absl::OkStatus();
    }
    void Subscribe(std::string subject) override {
      subjects.insert(std::move(subject));
    }
    void Unsubscribe(std::string subject) override { subjects.erase(subject); }

    void Deliver(v1::EnginePublication publication) override {
      delivered.push_back(publication.payload().text());
    }
    void Deliver(const SharedPublication& publication) override {
      Deliver(*publication);
    }
    bool RunInOrder(std::function<void()> work) override {
      work();
      return true;
    }
    void Carry(v1::EngineQuestion question, ReplyCallback done) override {
      asked.push_back(std::move(question));
      if (is_silent) return;
      v1::EngineReply reply;
      if (knows_nobody) {
        reply.mutable_status()->set_code(
            static_cast<int>(absl::StatusCode::kNotFound));
      }
      reply.mutable_count()->set_sessions(1);
      done(std::move(reply));
    }
    void OnReplica(const std::string& gateway, bool is_there) override {
      log.push_back((is_there ? "+" : "-") + gateway);
    }
    void OnSameName(const std::string& gateway) override {
      log.push_back("=" + gateway);
    }

    void OnGap(const std::string& group, std::uint64_t after,
               std::uint64_t before) override {
      delivered.push_back(group + " gap " + std::to_string(after) + "-" +
                          std::to_string(before));
    }

    void OnWatched(const std::string& instance, std::uint64_t generation,
                   const std::vector<std::string>& groups) override {
      presence.OnWatched(instance, generation, groups);
    }
    void OnMemberships(const std::string& instance,
                       const v1::EngineMemberships& memberships) override {
      presence.OnMemberships(instance, memberships);
    }
    void OnCame(const std::string& instance) override {
      presence.OnCame(instance);
    }
    void OnGone(const std::string& instance) override {
      presence.OnGone(instance);
    }
    void OnMembershipsLost() override { presence.OnLost(); }
    void OnCutOff() override { presence.OnCutOff(); }

    void Store(std::string subject, std::string record, HubEngine::StoreOptions,
               HubEngine::StoredCallback done) override {
      auto& stored = broker_.stored_[subject];
      const std::uint64_t last = stored.empty() ? 0 : stored.back().offset;
      stored.push_back({++broker_.last_offset_, last, std::move(record)});
      const std::string out = "hg.out" + subject.substr(subject.find('.', 3));
      for (Node* to : std::vector<Node*>(broker_.nodes_)) {
        if (!to->up || !to->subjects.contains(out)) continue;
        if (to->is_deaf) continue;
        to->cluster().OnStored(out, stored.back(), broker_.now);
      }
      HubEngine::Stored result;
      result.offset = broker_.last_offset_;
      done(result);
    }
    void Fetch(std::string subject, std::uint64_t from,
               Histories::Host::FetchedCallback done) override {
      if (is_slow) {
        slow_fetches_.push_back([this, subject = std::move(subject), from,
                                 done = std::move(done)]() mutable {
          Fetch(std::move(subject), from, std::move(done));
        });
        return;
      }
      if (!up) return done(absl::UnavailableError("away"));
      ++fetches;
      const auto& stored = broker_.stored_[subject];
      if (from == 0 && !stored.empty()) return done(stored.back());
      for (const StoredRecord& record : stored) {
        if (from > 0 && record.offset >= from) return done(record);
      }
      done(std::nullopt);
    }
    // Answers those that wait; from now on they do not.
    void AnswerFetches() {
      is_slow = false;
      for (auto& fetch : std::exchange(slow_fetches_, {})) fetch();
    }
    void SubscribeStored(std::string subject) override {
      subjects.insert(std::move(subject));
    }
    void Renew() override { log.push_back("renew"); }

    bool up = true;
    bool is_mute = false;  // What it publishes is lost on the way.
    bool is_deaf = false;  // Live records are lost on the way.
    bool is_slow = false;  // Fetches wait for AnswerFetches.
    bool is_silent = false;
    bool knows_nobody = false;
    int fetches = 0;
    std::set<std::string> subjects;
    std::vector<std::string> delivered;
    std::vector<v1::EngineQuestion> asked;
    std::vector<std::string> log;
    std::map<std::string, std::size_t> members;  // By group.
    Presence presence{PresenceSide()};

   private:
    std::size_t MembersOf(const std::string& group) override {
      return members[group];
    }
    void AnnounceWatched(const std::vector<std::string>& groups) override {
      cluster().AnnounceWatched(groups);
    }
    bool Tell(const std::string& instance,
              const v1::EngineMemberships& memberships) override {
      return cluster().Tell(instance, memberships);
    }
    PresenceHost& PresenceSide() { return *this; }

    FakeBroker& broker_;
    std::unique_ptr<Cluster> cluster_;
    std::vector<std::function<void()>> slow_fetches_;
  };

  // Carries what was published, until there is no more.
  void Run() {
    while (!wire_.empty()) {
      const auto [from, published] = std::move(wire_.front());
      wire_.pop_front();
      seen.push_back(published.subject);
      bool has_found = false;
      for (Node* to : std::vector<Node*>(nodes_)) {
        if (to == from || !to->up || !Takes(*to, published.subject)) continue;
        has_found = true;
        to->cluster().OnRecord(published.record, now);
      }
      if (!has_found && !published.reply_to.empty()) {
        from->cluster().OnNobodyThere(published.reply_to, now);
      }
    }
  }
  void Advance(absl::Duration by) {
    for (absl::Duration done; done < by; done += absl::Milliseconds(50)) {
      now += absl::Milliseconds(50);
      for (Node* node : std::vector<Node*>(nodes_)) {
        node->cluster().OnTick(now);
        node->presence.OnTick();
      }
      Run();
    }
  }

  // What is stored; offsets go on.
  void DeleteAll() { stored_.clear(); }
  // By an empty stream; offsets start again at 1.
  void Replace() {
    stored_.clear();
    last_offset_ = 0;
  }
  // The last record is lost, and its offset given again.
  void Undo() {
    for (auto& [subject, records] : stored_) {
      if (!records.empty() && records.back().offset == last_offset_) {
        records.pop_back();
      }
    }
    --last_offset_;
  }

  absl::Time now = absl::UnixEpoch();
  std::vector<std::string> seen;  // Subjects, in order.

 private:
  static bool Takes(const Node& node, const std::string& subject) {
    if (node.subjects.contains(subject)) return true;
    const std::size_t dot = subject.rfind('.');
    return node.subjects.contains(subject.substr(0, dot) + ".*");
  }

  std::vector<Node*> nodes_;
  std::map<std::string, std::vector<StoredRecord>> stored_;  // By subject.
  std::uint64_t last_offset_ = 0;
  std::deque<std::pair<Node*, Published>> wire_;
};

}  // namespace headgate

#endif  // TESTS_HUB_CLUSTER_LINK_H_
