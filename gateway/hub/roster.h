#ifndef GATEWAY_HUB_ROSTER_H_
#define GATEWAY_HUB_ROSTER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/engine.h"
#include "gateway/route/hub_group.h"

namespace headgate {

inline constexpr std::size_t kMaxDataKeys = 32;
inline constexpr std::size_t kMaxDataBytes = 4096;  // Keys and values.
inline constexpr std::size_t kMaxStateBytes = 4096;
inline constexpr std::size_t kMaxUserBytes = 256;
inline constexpr std::size_t kMaxKeyBytes = 256;  // See HubDeliver::key.

struct HubGroup;

// What the hub knows of a session.
struct HubRecord {
  enum class Phase {
    kAsking,  // Not admitted: gets nothing but a verdict.
    kIn,
    kClosing,  // It was told to end: gets nothing more.
    kGone,  // The client has left; its Left waits for the stream, or its Ack.
  };

  Who who = 0;
  HubCodec codec = HubCodec::kRaw;
  Phase phase = Phase::kIn;
  // Its Joined was given to a stream.
  bool is_told = false;
  // HubWait::kBegins was the last that its worker said, and which streams have
  // sent to it since kTaken what they wait for, by bit (the index modulo 64).
  bool is_waited_for = false;
  std::uint64_t blockers = 0;
  std::uint64_t joined_seq = 0;  // Its number; 0: it has none.

  std::string session;
  // The sessions that it goes on for, the newest first.
  std::vector<std::string> lineage;
  std::string peer;
  absl::Time opened_at;
  std::vector<Parameter> variables;
  // Of admission; of StreamWaits::StreamTime.
  absl::Time deadline = absl::InfiniteFuture();
  absl::Time expires_at = absl::InfiniteFuture();

  // Set by the backend.
  std::string user;
  std::map<std::string, std::string> data;
  std::string state;
  std::vector<HubGroup*> groups;
};

struct HubGroup {
  std::string name;
  absl::flat_hash_set<HubRecord*> members;
};

// Hears of joins and leaves.
class HubMembershipObserver {
 public:
  virtual void OnMembership(const HubRecord& record, const HubGroup& group,
                            bool joins) = 0;

 protected:
  ~HubMembershipObserver() = default;
};

// Sessions by number, id and user, and the groups they are members of.
//
// Not thread-safe. Records and groups keep their addresses.
class HubRoster {
 public:
  // `interest`: hears of groups and users, until the roster is destroyed; null:
  // nobody does. `observer`: null, or hears of members.
  explicit HubRoster(HubInterest* interest = nullptr,
                     HubMembershipObserver* observer = nullptr)
      : interest_(interest), observer_(observer) {}
  ~HubRoster();
  HubRoster(const HubRoster&) = delete;
  HubRoster& operator=(const HubRoster&) = delete;

  // Requires: `record.who` is not there.
  HubRecord& Add(HubRecord record);
  HubRecord* Find(Who who);
  HubRecord* FindSession(absl::string_view session);
  // Says which sessions it goes on for, instead of those before.
  void SetLineage(HubRecord& record, std::vector<std::string> lineage);
  // Sessions that go on for this one; null: none.
  const absl::flat_hash_set<HubRecord*>* HeirsOf(
      absl::string_view session) const;
  // Its memberships end.
  void LeaveAll(HubRecord& record);
  void Remove(Who who);

  void SetUser(HubRecord& record, const std::string& user);
  // Sessions of the user; null: none.
  const absl::flat_hash_set<HubRecord*>* OfUser(absl::string_view user) const;

  // Null: it has no members.
  HubGroup* FindGroup(absl::string_view name);
  std::size_t MembersOf(absl::string_view group) const;
  // Does nothing if it is a member. RESOURCE_EXHAUSTED above `max_groups` of
  // one session. Requires: CheckGroupName is OK.
  absl::Status Join(HubRecord& record, absl::string_view group,
                    std::size_t max_groups);
  void Leave(HubRecord& record, absl::string_view group);
  bool IsMember(const HubRecord& record, absl::string_view group) const;

  using Records = absl::flat_hash_map<Who, std::unique_ptr<HubRecord>>;
  const Records& records() const { return records_; }
  std::size_t groups() const { return groups_.size(); }
  // The members of each group, by name: of those behind `after`, the `limit`
  // first.
  std::vector<std::pair<std::string, std::size_t>> ListGroups(
      absl::string_view after, std::size_t limit) const;

 private:
  void Leave(HubRecord& record, HubGroup& group);
  void Report(HubScope scope, const std::string& name, bool begins);

  HubInterest* const interest_;
  HubMembershipObserver* const observer_;
  Records records_;
  absl::flat_hash_map<std::string, HubRecord*> by_session_;
  // By each of HubRecord::lineage.
  absl::flat_hash_map<std::string, absl::flat_hash_set<HubRecord*>> heirs_;
  absl::flat_hash_map<std::string, absl::flat_hash_set<HubRecord*>> by_user_;
  absl::flat_hash_map<std::string, std::unique_ptr<HubGroup>> groups_;
};

// INVALID_ARGUMENT unless it has 1 to kMaxGroupNameBytes bytes.
absl::Status CheckGroupName(absl::string_view name);

}  // namespace headgate

#endif  // GATEWAY_HUB_ROSTER_H_
