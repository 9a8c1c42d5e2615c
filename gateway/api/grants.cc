#include "gateway/api/grants.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/route/hub_group.h"

namespace headgate {
namespace {

// Takes as long for every text of the token's length.
bool IsToken(absl::string_view text, absl::string_view token) {
  if (text.size() != token.size() || token.empty()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    difference |= static_cast<unsigned char>(text[i]) ^
                  static_cast<unsigned char>(token[i]);
  }
  return difference == 0;
}

bool AllFit(const std::vector<absl::string_view>& names,
            const std::vector<std::string>& patterns) {
  return std::all_of(names.begin(), names.end(), [&](absl::string_view name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [name](const std::string& pattern) {
                         return FitsGroupPattern(name, pattern);
                       });
  });
}

bool Allows(const HubGrantSettings& grant, absl::string_view method,
            const HubApiScope& scope) {
  if (!grant.methods.empty() &&
      std::find(grant.methods.begin(), grant.methods.end(), method) ==
          grant.methods.end()) {
    return false;
  }
  if (grant.groups.empty()) return true;
  return !scope.groups.empty() && AllFit(scope.groups, grant.groups) &&
         AllFit(scope.memberships, grant.groups);
}

}  // namespace

HubGrants::HubGrants(std::vector<HubGrantSettings> grants)
    : grants_(std::move(grants)), tokens_(grants_.size()) {}

absl::Status HubGrants::Check(const HubApiCaller& caller,
                              absl::string_view method,
                              const HubApiScope& scope, absl::Time now) {
  if (grants_.empty()) return absl::OkStatus();
  bool is_known = false;
  const std::lock_guard<std::mutex> lock(mutex_);
  Refresh(now);
  for (std::size_t i = 0; i < grants_.size(); ++i) {
    if (!IsOf(caller, i)) continue;
    is_known = true;
    if (Allows(grants_[i], method, scope)) return absl::OkStatus();
  }
  if (!is_known) {
    return absl::UnauthenticatedError(
        "hub.api.grants: there is none for this client");
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "hub.api.grants: this client may not call ", method,
      scope.groups.empty() ? " without naming groups, or not at all"
                           : " for these groups"));
}

void HubGrants::Refresh(absl::Time now) {
  if (now - refreshed_ < kFileCheckInterval) return;
  refreshed_ = now;
  for (std::size_t i = 0; i < grants_.size(); ++i) {
    const std::string& file = grants_[i].token_file;
    if (file.empty()) continue;
    const FileStamp stamp = StampOf(file);
    if (stamp == tokens_[i].stamp && !tokens_[i].text.empty()) continue;
    tokens_[i] = {stamp, ReadAdminToken(file).value_or("")};
  }
}

bool HubGrants::IsOf(const HubApiCaller& caller, std::size_t grant) const {
  const HubGrantSettings& settings = grants_[grant];
  if (!settings.subject.empty()) return settings.subject == caller.subject;
  absl::string_view authorization = caller.authorization;
  if (!absl::StartsWithIgnoreCase(authorization, "bearer ")) return false;
  authorization.remove_prefix(7);
  return IsToken(authorization, tokens_[grant].text);
}

}  // namespace headgate
