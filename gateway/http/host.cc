#include "gateway/http/host.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "gateway/config/address.h"
#include "gateway/route/route.h"

namespace headgate {

bool IsLoopbackHost(absl::string_view host) {
  static const Network kIpv4 = *Network::Parse("127.0.0.0/8");
  static const Network kIpv6 = *Network::Parse("::1");
  const std::string name = HostName(host);
  absl::string_view address = name;
  if (absl::ConsumePrefix(&address, "[")) {
    return absl::ConsumeSuffix(&address, "]") &&
           (kIpv6.Contains(address) || kIpv4.Contains(address));
  }
  return name == "localhost" || absl::EndsWith(name, ".localhost") ||
         kIpv4.Contains(name);
}

bool HostAllowed(absl::string_view host,
                 const std::vector<std::string>& allowed) {
  const std::string name = HostName(host);
  return std::any_of(
      allowed.begin(), allowed.end(), [&](absl::string_view pattern) {
        if (!absl::ConsumePrefix(&pattern, "*")) return name == pattern;
        return name.size() > pattern.size() && absl::EndsWith(name, pattern);
      });
}

}  // namespace headgate
