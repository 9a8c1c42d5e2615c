#include "gateway/hub/audience.h"

#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headgate {
namespace {

constexpr int kMostFilterValues = 16;
constexpr int kMostFilters = 16;
// What an audience may name; the work for one is proportional to it.
constexpr int kMostGroups = 1024;
constexpr int kMostNames = 64 * 1024;

absl::Status CheckFilter(const v1::DataFilter& filter) {
  using Op = v1::DataFilter;
  if (filter.values_size() > kMostFilterValues) {
    return absl::InvalidArgumentError(
        absl::StrCat("filters: more than ", kMostFilterValues, " values"));
  }
  for (const std::string& value : filter.values()) {
    if (value.size() > kMaxDataBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "filters: a value is longer than ", kMaxDataBytes, " bytes"));
    }
  }
  const bool is_comparison =
      filter.op() == Op::LESS || filter.op() == Op::GREATER;
  double number = 0;
  if (is_comparison && (filter.values_size() != 1 ||
                        !absl::SimpleAtod(filter.values(0), &number))) {
    return absl::InvalidArgumentError(
        "filters: LESS and GREATER take one decimal number");
  }
  if (filter.op() == Op::OP_UNSPECIFIED ||
      !v1::DataFilter::Op_IsValid(filter.op())) {
    return absl::InvalidArgumentError("filters: op is missing");
  }
  return absl::OkStatus();
}

bool Compares(const v1::DataFilter& filter, const std::string& value) {
  double actual = 0;
  double bound = 0;
  if (!absl::SimpleAtod(value, &actual) ||
      !absl::SimpleAtod(filter.values(0), &bound)) {
    return false;
  }
  return filter.op() == v1::DataFilter::LESS ? actual < bound : actual > bound;
}

bool Fits(const v1::DataFilter& filter, const HubRecord& record) {
  using Op = v1::DataFilter;
  const auto found = record.data.find(filter.key());
  const bool is_there = found != record.data.end();
  switch (filter.op()) {
    case Op::PRESENT:
      return is_there;
    case Op::ABSENT:
      return !is_there;
    case Op::EQUAL:
      return is_there && absl::c_linear_search(filter.values(), found->second);
    case Op::NOT_EQUAL:
      return !is_there ||
             !absl::c_linear_search(filter.values(), found->second);
    case Op::PREFIX:
      return is_there &&
             absl::c_any_of(filter.values(), [&](const std::string& prefix) {
               return absl::StartsWith(found->second, prefix);
             });
    case Op::LESS:
    case Op::GREATER:
      return is_there && Compares(filter, found->second);
    default:
      return false;
  }
}

absl::Status CheckNumber(absl::string_view field, int number, int most) {
  if (number <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": are ", number, ", at most ", most, " are taken"));
}

absl::Status CheckAudience(const v1::Audience& audience) {
  absl::Status status =
      CheckNumber("groups", audience.groups_size(), kMostGroups);
  status.Update(CheckNumber("filters", audience.filters_size(), kMostFilters));
  const auto names = [&status](absl::string_view field, int number) {
    status.Update(CheckNumber(field, number, kMostNames));
  };
  names("sessions", audience.sessions_size());
  names("whos", audience.whos_size());
  names("users", audience.users_size());
  names("except_sessions", audience.except_sessions_size());
  names("except_whos", audience.except_whos_size());
  if (!status.ok()) return status;
  for (const v1::DataFilter& filter : audience.filters()) {
    status.Update(CheckFilter(filter));
  }
  return status;
}

// An audience, prepared for asking each session.
class Conditions {
 public:
  Conditions(const v1::Audience& audience, HubRoster& roster)
      : audience_(audience), roster_(roster) {
    for (const std::uint32_t who : audience.whos()) Take(whos_, who);
    for (const std::string& id : audience.sessions()) {
      if (HubRecord* record = roster.FindSession(id)) Insert(sessions_, record);
    }
    for (const std::string& name : audience.groups()) {
      if (HubGroup* group = roster.FindGroup(name)) groups_.insert(group);
    }
    users_.insert(audience.users().begin(), audience.users().end());
    for (const std::uint32_t who : audience.except_whos()) {
      if (const HubRecord* record = roster.Find(who)) Except(record->session);
    }
    for (const std::string& id : audience.except_sessions()) Except(id);
  }

  std::vector<HubRecord*> Find() {
    if (!audience_.whos().empty()) return Among(whos_);
    if (!audience_.sessions().empty()) return Among(sessions_);
    if (!audience_.users().empty()) {
      for (const absl::string_view user : users_) {
        if (const auto* records = roster_.OfUser(user)) AddAll(*records);
      }
    } else if (!audience_.groups().empty()) {
      for (const HubGroup* group : groups_) AddAll(group->members);
    } else {
      for (const auto& [who, record] : roster_.records()) Add(record.get());
    }
    return std::move(found_);
  }

  bool IsMeant(HubRecord* record) const {
    if (!except_.empty() && except_.contains(record)) return false;
    if (!audience_.whos().empty() && !whos_.contains(record)) return false;
    if (!audience_.sessions().empty() && !sessions_.contains(record)) {
      return false;
    }
    if (!audience_.groups().empty() && !IsInGroups(record)) return false;
    if (!audience_.users().empty() && !users_.contains(record->user)) {
      return false;
    }
    return absl::c_all_of(audience_.filters(),
                          [record](const v1::DataFilter& filter) {
                            return Fits(filter, *record);
                          });
  }

 private:
  using Set = absl::flat_hash_set<HubRecord*>;

  static void Insert(Set& set, HubRecord* record) { set.insert(record); }
  // It, and those that have resumed it.
  void Except(const std::string& session) {
    if (HubRecord* record = roster_.FindSession(session)) {
      except_.insert(record);
    }
    if (const auto* heirs = roster_.HeirsOf(session)) {
      except_.insert(heirs->begin(), heirs->end());
    }
  }
  void Take(Set& set, Who who) {
    if (HubRecord* record = roster_.Find(who)) set.insert(record);
  }

  std::vector<HubRecord*> Among(const Set& records) {
    AddAll(records);
    return std::move(found_);
  }

  void AddAll(const Set& records) {
    for (HubRecord* record : records) Add(record);
  }

  void Add(HubRecord* record) {
    if (record->phase != HubRecord::Phase::kIn || !IsMeant(record)) return;
    // Only what several groups or users name can come twice.
    const bool may_repeat =
        audience_.groups_size() > 1 || audience_.users_size() > 1;
    if (may_repeat && !seen_.insert(record).second) return;
    found_.push_back(record);
  }

  bool IsInGroups(HubRecord* record) const {
    if (groups_.size() < record->groups.size()) {
      return absl::c_any_of(groups_, [record](const HubGroup* group) {
        return group->members.contains(record);
      });
    }
    return absl::c_any_of(record->groups, [this](HubGroup* group) {
      return groups_.contains(group);
    });
  }

  const v1::Audience& audience_;
  HubRoster& roster_;
  Set whos_;
  Set sessions_;
  Set except_;
  absl::flat_hash_set<HubGroup*> groups_;
  absl::flat_hash_set<absl::string_view> users_;
  Set seen_;
  std::vector<HubRecord*> found_;
};

}  // namespace

absl::StatusOr<std::vector<HubRecord*>> FindAudience(
    const v1::Audience& audience, HubRoster& roster) {
  if (absl::Status status = CheckAudience(audience); !status.ok()) {
    return status;
  }
  return Conditions(audience, roster).Find();
}

bool IsMeant(const v1::Audience& audience, HubRecord& record,
             HubRoster& roster) {
  return CheckAudience(audience).ok() &&
         Conditions(audience, roster).IsMeant(&record);
}

absl::Status CheckStored(const v1::Audience& audience) {
  if (audience.groups_size() != 1) {
    return absl::InvalidArgumentError(
        "groups: a group with history is published to alone");
  }
  return CheckAudience(audience);
}

}  // namespace headgate
