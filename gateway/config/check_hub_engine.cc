#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/config/check.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxGatewayBytes = 128;
constexpr std::size_t kMaxPrefixBytes = 64;
constexpr std::size_t kLeastPinnedBytes = 1024 * 1024;
constexpr std::size_t kMostPinnedBytes = std::size_t{1} << 40;

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
  if (nats.tls) CheckPem("hub.nats.tls.ca", nats.tls->ca, faults);
}

}  // namespace

bool IsNatsCredential(absl::string_view text) {
  return text.find_first_of("\"\\") == absl::string_view::npos;
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
  const bool is_nats = hub.engine == HubSettings::Engine::kNats;
  if (is_nats && !hub.nats) {
    faults.Add("hub.nats", "is missing, engine: nats needs it");
  }
  if (!is_nats && hub.nats) {
    faults.Add("hub.nats", "has no effect without engine: nats");
  }
  if (hub.nats) CheckNats(*hub.nats, faults);
}

}  // namespace headgate
