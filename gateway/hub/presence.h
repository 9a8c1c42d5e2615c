#ifndef GATEWAY_HUB_PRESENCE_H_
#define GATEWAY_HUB_PRESENCE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "headgate/v1/hub_engine.pb.h"
#include "headgate/v1/hub_service.pb.h"

namespace headgate {

// Who is told of joins and leaves.
class PresenceWatcher {
 public:
  virtual ~PresenceWatcher() = default;
  // It is not there any more.
  virtual bool is_over() const = 0;
  // It has taken what it was given before.
  virtual bool is_ready() const = 0;
  virtual void Take(std::vector<v1::WatchEvent> events) = 0;
};

// What the presence needs of its surroundings.
class PresenceHost {
 public:
  // Of all hubs of this gateway.
  virtual std::size_t MembersOf(const std::string& group) = 0;
  // What this gateway wants to hear of the others', instead of what it has
  // wanted before.
  virtual void AnnounceWatched(const std::vector<std::string>& groups) = 0;
  // False: it is lost.
  virtual bool Tell(const std::string& instance,
                    const v1::EngineMemberships& memberships) = 0;

 protected:
  ~PresenceHost() = default;
};

// Joins and leaves of groups that somebody watches: a process on the hub API of
// this gateway, or another gateway for its processes.
//
// What happens between two ticks is one event for each group, and so is what
// happens while a watcher is not ready: it says how things are, not how they
// have come about. A watcher that is behind by more than kMostPendingBytes has
// lost the details, which the next event tells it (`incomplete`).
//
// Pure. Not thread-safe. A watcher must not call back.
class Presence {
 public:
  explicit Presence(PresenceHost& host) : host_(host) {}

  // INVALID_ARGUMENT: no groups, or names that are none; RESOURCE_EXHAUSTED:
  // too many watchers or groups.
  absl::Status Watch(const std::vector<std::string>& groups,
                     std::shared_ptr<PresenceWatcher> watcher);

  // What happens on this gateway. Cheap where nobody watches the group.
  bool IsWatched(absl::string_view group) const {
    return !watchers_of_.empty() && watchers_of_.contains(group);
  }
  void OnJoined(const std::string& group, v1::SessionInfo session);
  void OnLeft(const std::string& group, const std::string& session);

  // --- Other gateways, by instance ---

  // What it watches from now on. `generation`: another one, and it has lost
  // what it was told before.
  void OnWatched(const std::string& instance, std::uint64_t generation,
                 const std::vector<std::string>& groups);
  void OnMemberships(const std::string& instance,
                     const v1::EngineMemberships& memberships);
  // It is there, and may have been before.
  void OnCame(const std::string& instance);
  // It is gone.
  void OnGone(const std::string& instance);
  // Anything of any of them may have been lost.
  void OnLost();
  // What they were told last may not have reached them.
  void OnCutOff();

  // To be called some twenty times in a second.
  void OnTick();

  std::size_t watchers() const { return local_; }

  // Of processes, and of groups that they watch all together.
  static constexpr std::size_t kMostWatchers = 64;
  static constexpr std::size_t kMostGroups = 1000;
  // Of what waits for a watcher; NATS takes 1 MiB at a time.
  static constexpr std::size_t kMostPendingBytes = 512 * 1024;

 private:
  // What a watcher is to be told of a group.
  struct Digest {
    std::map<std::string, v1::SessionInfo> joined;
    std::set<std::string> left;
    bool is_incomplete = false;
  };
  struct Watcher {
    std::shared_ptr<PresenceWatcher> to;  // Null: a gateway.
    std::uint64_t generation = 0;         // Of a gateway.
    absl::btree_set<std::string> groups;
    absl::btree_map<std::string, Digest> pending;
    std::size_t pending_bytes = 0;
  };
  // A gateway's instance and 0, or "" and the number of a process. Gateways
  // name themselves, but none is "".
  using Key = std::pair<std::string, std::uint64_t>;
  using Watchers = absl::btree_map<Key, Watcher>;

  static bool IsGateway(const Watcher& watcher) {
    return watcher.to == nullptr;
  }
  // Keys of processes come before those of gateways.
  static bool HasProcess(const absl::btree_set<Key>& keys) {
    return !keys.empty() && keys.begin()->first.empty();
  }
  void Add(const Key& key, Watcher& watcher, const std::string& group);
  Watchers::iterator Remove(Watchers::iterator at);
  void Announce();
  // `is_here`: it happened on this gateway, so that others are to hear of it.
  void AddJoined(const std::string& group, const v1::SessionInfo& session,
                 bool is_here);
  void AddLeft(const std::string& group, const std::string& session,
               bool is_here);
  // Whether `event` may be less than all that has happened on that gateway.
  bool HasLost(const std::string& instance, const v1::WatchEvent& event);
  // Every watcher of the group, or every one on this gateway, has a digest.
  template <typename Act>
  void Change(const std::string& group, bool is_here, Act change);
  void StartOver(Watcher& watcher);
  std::vector<v1::WatchEvent> TakeEvents(Watcher& watcher);
  std::uint64_t CountOf(const std::string& group, bool everywhere);
  void Flush(const Key& key, Watcher& watcher);

  PresenceHost& host_;
  Watchers watchers_;
  std::size_t local_ = 0;
  std::uint64_t last_number_ = 0;
  bool has_changed_ = false;  // Processes, since the last tick.
  absl::btree_set<std::string> announced_;
  absl::flat_hash_map<std::string, absl::btree_set<Key>> watchers_of_;
  // Of groups that processes here watch: members on other gateways, by
  // instance; absent: it has come since, and has not said yet.
  absl::flat_hash_map<
      std::string, absl::btree_map<std::string, std::optional<std::uint64_t>>>
      elsewhere_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_PRESENCE_H_
