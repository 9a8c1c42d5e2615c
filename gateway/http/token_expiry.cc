#include "gateway/http/token_expiry.h"

#include <cmath>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

// The claims of a JWT in its compact form, three parts in base64url without
// padding (RFC 7515 section 3.1); empty where it is none.
std::string ClaimsOf(absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  std::string claims;
  if (parts.size() != 3 || !absl::c_all_of(parts[1], [](char c) {
        return absl::ascii_isalnum(c) || c == '-' || c == '_';
      })) {
    return claims;
  }
  if (!absl::WebSafeBase64Unescape(parts[1], &claims)) claims.clear();
  return claims;
}

}  // namespace

absl::Time TokenExpiry(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) {
    return absl::InfiniteFuture();
  }
  const std::string claims = ClaimsOf(
      absl::StripAsciiWhitespace(authorization.substr(kScheme.size())));
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(
      boost::json::string_view(claims.data(), claims.size()), error);
  if (error || !parsed.is_object()) return absl::InfiniteFuture();
  const boost::json::value* const expiry =
      parsed.get_object().if_contains("exp");
  if (expiry == nullptr || !expiry->is_number()) return absl::InfiniteFuture();
  const double seconds = expiry->to_number<double>();
  if (!std::isfinite(seconds)) return absl::InfiniteFuture();
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

}  // namespace headgate
