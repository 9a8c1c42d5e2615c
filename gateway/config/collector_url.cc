#include "gateway/config/collector_url.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/config/address.h"

namespace headgate {

absl::StatusOr<CollectorUrl> ParseCollectorUrl(absl::string_view text) {
  if (absl::StartsWithIgnoreCase(text, "https://")) {
    return absl::InvalidArgumentError(
        "must be an http:// URL; TLS to a collector is not supported");
  }
  const absl::Status malformed = absl::InvalidArgumentError(
      "must be a URL such as http://127.0.0.1:4318/v1/traces");
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (!printable || !absl::ConsumePrefix(&text, "http://")) return malformed;
  const absl::string_view authority = text.substr(0, text.find('/'));
  const absl::string_view target = text.substr(authority.size());
  if (authority.find_first_of("@?#*\\") != absl::string_view::npos ||
      absl::StrContains(target, "#")) {
    return malformed;
  }
  // An IPv6 address has colons of its own, and brackets around them.
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != absl::string_view::npos &&
                        !absl::StrContains(authority.substr(colon), "]");
  const auto address = ParseAddress(has_port ? std::string(authority)
                                             : absl::StrCat(authority, ":80"));
  if (!address.ok() || address->host.empty() || address->port == 0) {
    return malformed;
  }
  return CollectorUrl{address->host, absl::StrCat(address->port),
                      std::string(authority),
                      target.empty() ? "/" : std::string(target)};
}

}  // namespace headgate
