#include "gateway/hub/roster.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headgate {

HubRoster::~HubRoster() {
  for (const auto& [name, group] : groups_) {
    Report(HubScope::kGroup, name, false);
  }
  for (const auto& [user, records] : by_user_) {
    Report(HubScope::kUser, user, false);
  }
}

void HubRoster::Report(HubScope scope, const std::string& name, bool begins) {
  if (interest_ != nullptr) interest_->OnInterest(scope, name, begins);
}

HubRecord& HubRoster::Add(HubRecord record) {
  const Who who = record.who;
  auto owned = std::make_unique<HubRecord>(std::move(record));
  HubRecord& added = *owned;
  by_session_.emplace(added.session, &added);
  records_.emplace(who, std::move(owned));
  return added;
}

HubRecord* HubRoster::Find(Who who) {
  const auto found = records_.find(who);
  return found == records_.end() ? nullptr : found->second.get();
}

HubRecord* HubRoster::FindSession(absl::string_view session) {
  const auto found = by_session_.find(session);
  return found == by_session_.end() ? nullptr : found->second;
}

void HubRoster::SetLineage(HubRecord& record,
                           std::vector<std::string> lineage) {
  for (const std::string& session : record.lineage) {
    const auto heirs = heirs_.find(session);
    if (heirs == heirs_.end()) continue;  // It was named twice.
    heirs->second.erase(&record);
    if (heirs->second.empty()) heirs_.erase(heirs);
  }
  record.lineage = std::move(lineage);
  for (const std::string& session : record.lineage) {
    heirs_[session].insert(&record);
  }
}

const absl::flat_hash_set<HubRecord*>* HubRoster::HeirsOf(
    absl::string_view session) const {
  const auto found = heirs_.find(session);
  return found == heirs_.end() ? nullptr : &found->second;
}

void HubRoster::LeaveAll(HubRecord& record) {
  while (!record.groups.empty()) Leave(record, *record.groups.back());
}

void HubRoster::Remove(Who who) {
  const auto found = records_.find(who);
  if (found == records_.end()) return;
  HubRecord& record = *found->second;
  LeaveAll(record);
  SetUser(record, "");
  by_session_.erase(record.session);
  SetLineage(record, {});
  records_.erase(found);
}

void HubRoster::SetUser(HubRecord& record, const std::string& user) {
  if (record.user == user) return;
  if (const auto old = by_user_.find(record.user); old != by_user_.end()) {
    old->second.erase(&record);
    if (old->second.empty()) {
      by_user_.erase(old);
      Report(HubScope::kUser, record.user, false);
    }
  }
  record.user = user;
  if (user.empty()) return;
  const auto [its, is_first] = by_user_.try_emplace(user);
  its->second.insert(&record);
  if (is_first) Report(HubScope::kUser, user, true);
}

const absl::flat_hash_set<HubRecord*>* HubRoster::OfUser(
    absl::string_view user) const {
  const auto found = by_user_.find(user);
  return found == by_user_.end() ? nullptr : &found->second;
}

HubGroup* HubRoster::FindGroup(absl::string_view name) {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : found->second.get();
}

std::size_t HubRoster::MembersOf(absl::string_view group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second->members.size();
}

absl::Status HubRoster::Join(HubRecord& record, absl::string_view name,
                             std::size_t max_groups) {
  HubGroup* group = FindGroup(name);
  if (group != nullptr && group->members.contains(&record)) {
    return absl::OkStatus();
  }
  if (record.groups.size() >= max_groups) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "session ", record.who, " is in max_groups (", max_groups, ") groups"));
  }
  if (group == nullptr) {
    auto& made = groups_[std::string(name)];
    made = std::make_unique<HubGroup>();
    made->name = std::string(name);
    group = made.get();
    Report(HubScope::kGroup, group->name, true);
  }
  group->members.insert(&record);
  record.groups.push_back(group);
  if (observer_ != nullptr) observer_->OnMembership(record, *group, true);
  return absl::OkStatus();
}

bool HubRoster::IsMember(const HubRecord& record,
                         absl::string_view name) const {
  return absl::c_any_of(record.groups, [name](const HubGroup* group) {
    return group->name == name;
  });
}

void HubRoster::Leave(HubRecord& record, absl::string_view name) {
  HubGroup* group = FindGroup(name);
  if (group != nullptr) Leave(record, *group);
}

void HubRoster::Leave(HubRecord& record, HubGroup& group) {
  if (group.members.erase(&record) == 0) return;
  // From the back, where LeaveAll takes them.
  const auto found =
      std::find(record.groups.rbegin(), record.groups.rend(), &group);
  record.groups.erase(std::next(found).base());
  if (observer_ != nullptr) observer_->OnMembership(record, group, false);
  if (!group.members.empty()) return;
  // After the erasure `group.name` must not be a part of what is destroyed.
  const std::string name = group.name;
  groups_.erase(name);
  Report(HubScope::kGroup, name, false);
}

std::vector<std::pair<std::string, std::size_t>> HubRoster::ListGroups(
    absl::string_view after, std::size_t limit) const {
  std::vector<const HubGroup*> behind;
  for (const auto& [name, group] : groups_) {
    if (name > after) behind.push_back(group.get());
  }
  const auto end = behind.begin() +
                   static_cast<std::ptrdiff_t>(std::min(limit, behind.size()));
  std::partial_sort(
      behind.begin(), end, behind.end(),
      [](const HubGroup* a, const HubGroup* b) { return a->name < b->name; });
  std::vector<std::pair<std::string, std::size_t>> groups;
  for (auto group = behind.begin(); group != end; ++group) {
    groups.emplace_back((*group)->name, (*group)->members.size());
  }
  return groups;
}

absl::Status CheckGroupName(absl::string_view name) {
  if (!name.empty() && name.size() <= kMaxGroupNameBytes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a group's name must have 1 to ", kMaxGroupNameBytes,
                   " bytes, this one has ", name.size()));
}

}  // namespace headgate
