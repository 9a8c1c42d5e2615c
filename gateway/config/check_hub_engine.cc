#include <algorithm>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/base/file.h"
#include "gateway/config/check.h"
#include "gateway/route/hub_group.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxGatewayBytes = 128;
constexpr std::size_t kMaxPrefixBytes = 64;
constexpr std::size_t kLeastPinnedBytes = 1024 * 1024;
constexpr std::size_t kMostPinnedBytes = std::size_t{1} << 40;
constexpr std::size_t kLeastStreamBytes = 1024 * 1024;
constexpr int kMostHistory = 10'000;
constexpr int kMostReplicas = 5;  // NATS' limit.
// NATS refuses shorter ages and windows.
constexpr absl::Duration kLeastAge = absl::Seconds(1);
constexpr std::size_t kMostResumeKeys = 16;
constexpr absl::Duration kLeastResumeTtl = absl::Seconds(2);
constexpr absl::Duration kMostResumeTtl = absl::Hours(24);

// nats://HOST:PORT or tls://HOST:PORT; the host may be an IPv6 address in
// brackets.
bool IsServerUrl(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "nats://") &&
      !absl::ConsumePrefix(&url, "tls://")) {
    return false;
  }
  const std::size_t colon = url.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  int port = 0;
  if (!absl::SimpleAtoi(url.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return false;
  }
  absl::string_view host = url.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) {
    return absl::ConsumeSuffix(&host, "]") &&
           host.find_first_not_of("0123456789abcdefABCDEF:.%") ==
               absl::string_view::npos;
  }
  return std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
  });
}

bool IsPrefix(absl::string_view prefix) {
  if (prefix.size() > kMaxPrefixBytes) return false;
  for (const absl::string_view token : absl::StrSplit(prefix, '.')) {
    const bool is_plain =
        std::all_of(token.begin(), token.end(), [](unsigned char c) {
          return absl::ascii_isalnum(c) || c == '_' || c == '-';
        });
    if (token.empty() || !is_plain) return false;
  }
  return true;
}

void CheckNats(const NatsSettings& nats, Faults& faults) {
  if (nats.servers.empty()) faults.Add("hub.nats.servers", "needs one");
  for (std::size_t i = 0; i < nats.servers.size(); ++i) {
    if (IsServerUrl(nats.servers[i])) continue;
    // A URL may have a password in it.
    faults.Add(absl::StrCat("hub.nats.servers[", i, "]"),
               "must be nats://HOST:PORT or tls://HOST:PORT; user and "
               "password_file say who connects");
  }
  if (!IsPrefix(nats.prefix)) {
    faults.Add(
        "hub.nats.prefix",
        absl::StrCat("must be letters, digits, _ and -, with dots "
                     "between them, at most ",
                     kMaxPrefixBytes, " bytes, is \"", nats.prefix, "\""));
  }
  if (!IsNatsCredential(nats.user)) {
    faults.Add("hub.nats.user", "must be without \" and \\");
  }
  if (nats.user.empty() != nats.password_file.empty()) {
    faults.Add(nats.user.empty() ? "hub.nats.user" : "hub.nats.password_file",
               "is missing: user and password_file go together");
  } else if (!nats.password_file.empty() && faults.reads_files()) {
    const auto password = ReadAdminToken(nats.password_file);
    if (!password.ok()) {
      faults.Add(
          "hub.nats.password_file",
          absl::StrCat(nats.password_file, " ", password.status().message()));
    } else if (!IsNatsCredential(*password)) {
      faults.Add("hub.nats.password_file",
                 absl::StrCat(nats.password_file,
                              " must hold a password without \" and \\"));
    }
  }
  faults.Range("hub.nats.replicas", nats.replicas, 1, kMostReplicas);
  faults.Range("hub.nats.max_bytes", nats.max_bytes, kLeastStreamBytes,
               kMostPinnedBytes);
  faults.AtLeast("hub.nats.duplicate_window", nats.duplicate_window, kLeastAge);
  if (nats.tls) CheckPem("hub.nats.tls.ca", nats.tls->ca, faults);
}

void CheckResume(const HubResumeSettings& resume, Faults& faults) {
  const std::string files = "hub.resume.key_files";
  if (resume.key_files.empty()) faults.Add(files, "needs one");
  if (resume.key_files.size() > kMostResumeKeys) {
    faults.Add(files, absl::StrCat("has more than ", kMostResumeKeys));
  }
  for (std::size_t i = 0; i < resume.key_files.size(); ++i) {
    const std::string& path = resume.key_files[i];
    const std::string field = absl::StrCat(files, "[", i, "]");
    if (path.empty()) {
      faults.Add(field, "is empty");
    } else if (faults.reads_files()) {
      const auto key = ReadResumeKey(path);
      if (key.ok()) continue;
      faults.Add(field, absl::StrCat(path, " ", key.status().message()));
    }
  }
  faults.AtLeast("hub.resume.ttl", resume.ttl, kLeastResumeTtl);
  if (resume.ttl > kMostResumeTtl) {
    faults.Add(
        "hub.resume.ttl",
        absl::StrCat("must be at most ", absl::FormatDuration(kMostResumeTtl),
                     ", is ", absl::FormatDuration(resume.ttl)));
  }
}

// Whether `outer` fits all names that `pattern` does.
bool IsCovered(absl::string_view pattern, absl::string_view outer) {
  const bool is_prefix = absl::ConsumeSuffix(&pattern, "*");
  if (is_prefix && !absl::EndsWith(outer, "*")) return false;
  return FitsGroupPattern(pattern, outer);
}

void CheckGroups(const HubSettings& hub, Faults& faults) {
  const bool is_stored =
      hub.nats && hub.nats->history == NatsSettings::History::kJetStream;
  absl::Duration longest;
  for (std::size_t i = 0; i < hub.groups.size(); ++i) {
    const HubGroupSettings& group = hub.groups[i];
    const std::string field = absl::StrCat("hub.groups[", i, "]");
    CheckGroupPattern(field + ".pattern", group.pattern, faults);
    for (std::size_t before = 0; before < i; ++before) {
      if (!IsCovered(group.pattern, hub.groups[before].pattern)) continue;
      faults.Add(field + ".pattern",
                 absl::StrCat("no name reaches it: hub.groups[", before,
                              "].pattern fits them all"));
      break;
    }
    faults.Range(field + ".history", group.history, 0, kMostHistory);
    using Policy = SlowClientSettings::Policy;
    if (group.slow == Policy::kBlock) {
      faults.Add(field + ".slow", "block is not for groups");
    }
    if (group.slow == Policy::kKeepLatest && group.history > 1) {
      faults.Add(field + ".slow",
                 absl::StrCat("keep-latest drops what history keeps: history "
                              "must be at most 1, is ",
                              group.history));
    }
    if (group.history == 0) {
      if (group.history_age != absl::ZeroDuration()) {
        faults.Add(field + ".history_age", "has no effect without history");
      }
      continue;
    }
    faults.AtLeast(field + ".history_age", group.history_age, kLeastAge);
    longest = std::max(longest, group.history_age);
    if (!is_stored) {
      faults.Add(field + ".history", "needs hub.nats.history: jetstream");
    }
  }
  if (!is_stored) return;
  if (longest == absl::ZeroDuration()) {
    faults.Add("hub.nats.history",
               "has no effect: none of hub.groups has a history");
  } else if (hub.nats->duplicate_window > longest) {
    faults.Add("hub.nats.duplicate_window",
               "must not be longer than the longest history_age");
  }
}

// Whether the settings say what happens to publications to the groups of
// `pattern`, whatever route they are on.
bool HasPolicy(absl::string_view pattern, const HubSettings& hub) {
  const auto first =
      absl::c_find_if(hub.groups, [&](const HubGroupSettings& group) {
        return IsCovered(pattern, group.pattern);
      });
  return first != hub.groups.end() && first->slow.has_value();
}

// SlowClientSettings::Policy::kBlock is not for groups.
void CheckBlock(const std::string& field, const HubTarget& target,
                const HubSettings& hub, Faults& faults) {
  std::vector<std::string> patterns;
  for (const std::string& group : target.groups) {
    const std::size_t variable = group.find('{');
    patterns.push_back(variable == std::string::npos
                           ? group
                           : absl::StrCat(group.substr(0, variable), "*"));
  }
  for (const auto* more :
       {&target.client_join, &target.client_join_ask, &target.client_publish}) {
    patterns.insert(patterns.end(), more->begin(), more->end());
  }
  for (const std::string& pattern : patterns) {
    if (HasPolicy(pattern, hub)) continue;
    faults.Add(field, absl::StrCat("block is not for groups: hub.groups needs "
                                   "a pattern with slow for \"",
                                   pattern, "\""));
    return;
  }
}

}  // namespace

void CheckGroupPattern(const std::string& field, const std::string& pattern,
                       Faults& faults) {
  const std::size_t star = pattern.find('*');
  if (pattern.empty() ||
      (star != std::string::npos && star + 1 != pattern.size())) {
    faults.Add(field,
               absl::StrCat("must be a name, or a prefix with * behind it, is "
                            "\"",
                            pattern, "\""));
  }
}

bool IsNatsCredential(absl::string_view text) {
  return text.find_first_of("\"\\") == absl::string_view::npos;
}

absl::StatusOr<std::string> ReadResumeKey(const std::string& path) {
  absl::StatusOr<std::string> key = ReadFile(path, kResumeKeyFileBytes);
  const bool is_long = absl::IsResourceExhausted(key.status());
  if (!is_long && !key.ok()) return key;
  if (is_long || key->size() != kResumeKeyFileBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("must have ", kResumeKeyFileBytes, " bytes"));
  }
  return key;
}

void CheckHubEngine(const Settings& settings, Faults& faults) {
  const HubSettings& hub = settings.hub;
  if (hub.gateway.size() > kMaxGatewayBytes) {
    faults.Add("hub.gateway",
               absl::StrCat("must have at most ", kMaxGatewayBytes,
                            " bytes, has ", hub.gateway.size()));
  }
  faults.Range("hub.limits.max_pinned_bytes", hub.limits.max_pinned_bytes,
               kLeastPinnedBytes, kMostPinnedBytes);
  faults.Range("hub.limits.max_history_bytes", hub.limits.max_history_bytes,
               std::size_t{0}, kMostPinnedBytes);
  CheckGroups(hub, faults);
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    const auto* target = std::get_if<HubTarget>(&settings.routes[i].target);
    if (target == nullptr ||
        target->slow.policy != SlowClientSettings::Policy::kBlock) {
      continue;
    }
    CheckBlock(absl::StrCat("routes[", i, "].hub.slow.policy"), *target, hub,
               faults);
  }
  const bool is_nats = hub.engine == HubSettings::Engine::kNats;
  if (is_nats && !hub.nats) {
    faults.Add("hub.nats", "is missing, engine: nats needs it");
  }
  if (!is_nats && hub.nats) {
    faults.Add("hub.nats", "has no effect without engine: nats");
  }
  if (hub.nats) CheckNats(*hub.nats, faults);
  if (hub.resume) CheckResume(*hub.resume, faults);
}

}  // namespace headgate
