#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/config/address.h"
#include "gateway/config/check.h"

namespace headgate {
namespace {

// What a grant can name; PublishStream goes with Publish.
constexpr absl::string_view kHubMethods[] = {
    "Publish",       "Send",       "Close",      "Update",
    "Join",          "Leave",      "GetSession", "ListSessions",
    "CountSessions", "GetHistory", "Watch"};

void CheckApiTls(const HubApiTlsSettings& tls, Faults& faults) {
  const std::string field = "hub.api.tls";
  if (tls.certificate.empty() || tls.key.empty()) {
    return faults.Add(field, "needs certificate and key");
  }
  CheckPem(field + ".certificate", tls.certificate, faults);
  CheckPem(field + ".key", tls.key, faults);
  CheckPem(field + ".client_ca", tls.client_ca, faults);
}

void CheckGrant(const std::string& field, const HubGrantSettings& grant,
                const HubApiSettings& api, Faults& faults) {
  if (grant.subject.empty() == grant.token_file.empty()) {
    faults.Add(field, "needs either subject or token_file");
  }
  if (!grant.subject.empty() && (!api.tls || api.tls->client_ca.empty())) {
    faults.Add(field + ".subject",
               "needs hub.api.tls.client_ca, which clients' certificates come "
               "from");
  }
  if (!grant.token_file.empty() && faults.reads_files()) {
    if (const auto token = ReadAdminToken(grant.token_file); !token.ok()) {
      faults.Add(field + ".token_file",
                 absl::StrCat(grant.token_file, " ", token.status().message()));
    }
  }
  for (std::size_t i = 0; i < grant.methods.size(); ++i) {
    if (std::count(std::begin(kHubMethods), std::end(kHubMethods),
                   grant.methods[i]) == 0) {
      faults.Add(
          absl::StrCat(field, ".methods[", i, "]"),
          absl::StrCat("must be one of ", absl::StrJoin(kHubMethods, ", "),
                       ", is \"", grant.methods[i], "\""));
    }
  }
  for (std::size_t i = 0; i < grant.groups.size(); ++i) {
    CheckGroupPattern(absl::StrCat(field, ".groups[", i, "]"), grant.groups[i],
                      faults);
  }
}

}  // namespace

void CheckHubApi(const Settings& settings, Faults& faults) {
  if (!settings.hub_api) return;
  const HubApiSettings& api = *settings.hub_api;
  const auto address = ParseListenAddress(api.address);
  if (!address.ok()) {
    faults.Add("hub.api.address", address.status().message());
  } else if (address->kind == ListenAddress::Kind::kSystemd) {
    faults.Add("hub.api.address", "must be HOST:PORT or unix:/path");
  } else if (address->kind == ListenAddress::Kind::kTcp &&
             !IsOfThisMachine(*address) && api.grants.empty() &&
             (!api.tls || api.tls->client_ca.empty())) {
    faults.Add("hub.api.address",
               absl::StrCat("is not a loopback address, ", api.address,
                            ": anyone who reaches it could publish; set "
                            "hub.api.grants or hub.api.tls.client_ca"));
  }
  if (api.tls) CheckApiTls(*api.tls, faults);
  for (std::size_t i = 0; i < api.grants.size(); ++i) {
    CheckGrant(absl::StrCat("hub.api.grants[", i, "]"), api.grants[i], api,
               faults);
  }
}

}  // namespace headgate
