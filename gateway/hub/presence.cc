#include "gateway/hub/presence.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/hub/roster.h"

namespace headgate {
namespace {

// What a name takes, with what surrounds it.
std::size_t CostOf(absl::string_view session) { return session.size() + 32; }

}  // namespace

// --- Watchers ---

absl::Status Presence::Watch(const std::vector<std::string>& groups,
                             std::shared_ptr<PresenceWatcher> watcher) {
  if (groups.empty()) {
    return absl::InvalidArgumentError("groups: names none to watch");
  }
  std::size_t all = groups.size();
  for (const auto& [key, each] : watchers_) {
    if (!IsGateway(each)) all += each.groups.size();
  }
  if (all > kMostGroups) {
    return absl::ResourceExhaustedError(
        absl::StrCat("groups: more than ", kMostGroups,
                     " would be watched on this gateway"));
  }
  if (local_ >= kMostWatchers) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMostWatchers, " processes watch already"));
  }
  for (const std::string& group : groups) {
    if (absl::Status status = CheckGroupName(group); !status.ok()) {
      return status;
    }
  }
  const Key key("", ++last_number_);
  Watcher& added = watchers_[key];
  added.to = std::move(watcher);
  ++local_;
  for (const std::string& group : groups) Add(key, added, group);
  StartOver(added);
  has_changed_ = true;
  return absl::OkStatus();
}

void Presence::Add(const Key& key, Watcher& watcher, const std::string& group) {
  watcher.groups.insert(group);
  watchers_of_[group].insert(key);
}

Presence::Watchers::iterator Presence::Remove(Watchers::iterator at) {
  for (const std::string& group : at->second.groups) {
    const auto found = watchers_of_.find(group);
    found->second.erase(at->first);
    if (found->second.empty()) watchers_of_.erase(found);
  }
  if (!IsGateway(at->second)) --local_;
  return watchers_.erase(at);
}

void Presence::Announce() {
  absl::btree_set<std::string> groups;
  for (const auto& [key, watcher] : watchers_) {
    if (IsGateway(watcher)) continue;
    groups.insert(watcher.groups.begin(), watcher.groups.end());
  }
  for (auto it = elsewhere_.begin(); it != elsewhere_.end();) {
    if (groups.contains(it->first)) {
      ++it;
    } else {
      elsewhere_.erase(it++);
    }
  }
  if (groups == announced_) return;
  announced_ = std::move(groups);
  host_.AnnounceWatched({announced_.begin(), announced_.end()});
}

void Presence::StartOver(Watcher& watcher) {
  watcher.pending.clear();
  watcher.pending_bytes = 0;
  for (const std::string& group : watcher.groups) {
    watcher.pending[group].is_incomplete = true;
  }
}

// --- What happens ---

void Presence::OnJoined(const std::string& group, v1::SessionInfo session) {
  AddJoined(group, session, true);
}

void Presence::OnLeft(const std::string& group, const std::string& session) {
  AddLeft(group, session, true);
}

void Presence::AddJoined(const std::string& group,
                         const v1::SessionInfo& session, bool is_here) {
  Change(group, is_here, [&session](Digest& digest) {
    digest.left.erase(session.session());
    digest.joined[session.session()] = session;
    return CostOf(session.session()) + session.ByteSizeLong();
  });
}

void Presence::AddLeft(const std::string& group, const std::string& session,
                       bool is_here) {
  Change(group, is_here, [&session](Digest& digest) {
    digest.joined.erase(session);
    digest.left.insert(session);
    return CostOf(session);
  });
}

template <typename Act>
void Presence::Change(const std::string& group, bool is_here, Act change) {
  const auto found = watchers_of_.find(group);
  if (found == watchers_of_.end()) return;
  for (const Key& key : found->second) {
    Watcher& watcher = watchers_[key];
    if (!is_here && IsGateway(watcher)) continue;
    watcher.pending_bytes += change(watcher.pending[group]);
    if (watcher.pending_bytes > kMostPendingBytes) StartOver(watcher);
  }
}

// --- Other gateways ---

void Presence::OnWatched(const std::string& instance, std::uint64_t generation,
                         const std::vector<std::string>& groups) {
  const Key key(instance, 0);
  const auto found = watchers_.find(key);
  if (found == watchers_.end() && groups.empty()) return;
  std::set<std::string> known;
  if (found != watchers_.end()) {
    if (found->second.generation == generation) {
      known.insert(found->second.groups.begin(), found->second.groups.end());
      if (std::equal(known.begin(), known.end(), groups.begin(), groups.end()))
        return;
    }
    absl::btree_map<std::string, Digest> pending =
        std::move(found->second.pending);
    const std::size_t bytes = found->second.pending_bytes;
    Remove(found);
    if (groups.empty()) return;
    Watcher& again = watchers_[key];
    again.pending = std::move(pending);
    again.pending_bytes = bytes;
  }
  Watcher& watcher = watchers_[key];
  watcher.generation = generation;
  for (const std::string& group : groups) {
    if (watcher.groups.size() >= kMostGroups) break;
    if (!CheckGroupName(group).ok()) continue;
    Add(key, watcher, group);
    // Tells how many there are.
    if (!known.contains(group)) watcher.pending.try_emplace(group);
  }
}

void Presence::OnMemberships(const std::string& instance,
                             const v1::EngineMemberships& memberships) {
  for (const v1::WatchEvent& event : memberships.events()) {
    const std::string& group = event.group();
    const auto found = watchers_of_.find(group);
    if (found == watchers_of_.end() || !HasProcess(found->second)) continue;
    const bool has_lost = HasLost(instance, event);
    const std::optional<std::uint64_t> known =
        std::exchange(elsewhere_[group][instance], event.sessions());
    for (const v1::SessionInfo& session : event.joined()) {
      AddJoined(group, session, false);
    }
    for (const std::string& session : event.left()) {
      AddLeft(group, session, false);
    }
    if (!has_lost && known == event.sessions()) continue;
    Change(group, false, [has_lost](Digest& digest) {
      digest.is_incomplete |= has_lost;
      return 0;
    });
  }
}

bool Presence::HasLost(const std::string& instance,
                       const v1::WatchEvent& event) {
  const auto& counts = elsewhere_[event.group()];
  const auto known = counts.find(instance);
  if (known == counts.end()) return event.incomplete();
  // Those that it came with were not told as joined.
  if (!known->second) return event.sessions() > 0;
  return event.incomplete() && (*known->second > 0 || event.sessions() > 0);
}

void Presence::OnCame(const std::string& instance) {
  for (const auto& [group, keys] : watchers_of_) {
    if (HasProcess(keys)) elsewhere_[group][instance] = std::nullopt;
  }
}

void Presence::OnGone(const std::string& instance) {
  if (const auto found = watchers_.find({instance, 0});
      found != watchers_.end()) {
    Remove(found);
  }
  for (auto& [group, counts] : elsewhere_) {
    const auto its = counts.find(instance);
    if (its == counts.end()) continue;
    const bool had_members = its->second.value_or(0) > 0;
    counts.erase(its);
    if (!had_members) continue;
    Change(group, false, [](Digest& digest) {
      digest.is_incomplete = true;
      return 0;
    });
  }
}

void Presence::OnLost() {
  elsewhere_.clear();
  for (auto& [key, watcher] : watchers_) {
    if (!IsGateway(watcher)) StartOver(watcher);
  }
}

void Presence::OnCutOff() {
  for (auto& [key, watcher] : watchers_) {
    if (IsGateway(watcher)) StartOver(watcher);
  }
}

// --- Telling it ---

std::uint64_t Presence::CountOf(const std::string& group, bool everywhere) {
  std::uint64_t members = host_.MembersOf(group);
  const auto found = elsewhere_.find(group);
  if (!everywhere || found == elsewhere_.end()) return members;
  for (const auto& [instance, count] : found->second) {
    members += count.value_or(0);
  }
  return members;
}

std::vector<v1::WatchEvent> Presence::TakeEvents(Watcher& watcher) {
  std::vector<v1::WatchEvent> events;
  for (auto& [group, digest] : std::exchange(watcher.pending, {})) {
    if (!watcher.groups.contains(group)) continue;
    v1::WatchEvent& event = events.emplace_back();
    event.set_group(group);
    for (auto& [session, info] : digest.joined) {
      *event.add_joined() = std::move(info);
    }
    for (const std::string& session : digest.left) event.add_left(session);
    event.set_sessions(CountOf(group, !IsGateway(watcher)));
    event.set_incomplete(digest.is_incomplete);
  }
  watcher.pending_bytes = 0;
  return events;
}

void Presence::Flush(const Key& key, Watcher& watcher) {
  if (watcher.pending.empty()) return;
  if (!IsGateway(watcher)) {
    if (watcher.to->is_ready()) watcher.to->Take(TakeEvents(watcher));
    return;
  }
  v1::EngineMemberships memberships;
  for (v1::WatchEvent& event : TakeEvents(watcher)) {
    *memberships.add_events() = std::move(event);
  }
  if (!host_.Tell(key.first, memberships)) StartOver(watcher);
}

void Presence::OnTick() {
  for (auto it = watchers_.begin(); it != watchers_.end();) {
    if (!IsGateway(it->second) && it->second.to->is_over()) {
      it = Remove(it);
      has_changed_ = true;
    } else {
      ++it;
    }
  }
  // Before the first events, upon which processes ask all gateways.
  if (std::exchange(has_changed_, false)) Announce();
  for (auto& [key, watcher] : watchers_) Flush(key, watcher);
}

}  // namespace headgate
