#include "gateway/http/token_claims.h"

#include <string>
#include <utility>
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

// The payload of a JWT in its compact form, three parts in base64url without
// padding (RFC 7515 section 3.1); empty where it is none.
std::string PayloadOf(absl::string_view token) {
  // One part more than there may be, however many dots a client sends.
  const std::vector<absl::string_view> parts =
      absl::StrSplit(token, absl::MaxSplits('.', 3));
  std::string payload;
  if (parts.size() != 3 || !absl::c_all_of(parts[1], [](char c) {
        return absl::ascii_isalnum(c) || c == '-' || c == '_';
      })) {
    return payload;
  }
  if (!absl::WebSafeBase64Unescape(parts[1], &payload)) payload.clear();
  return payload;
}

}  // namespace

boost::json::object TokenClaims(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) return {};
  const std::string payload = PayloadOf(
      absl::StripAsciiWhitespace(authorization.substr(kScheme.size())));
  boost::system::error_code error;
  boost::json::value parsed = boost::json::parse(
      boost::json::string_view(payload.data(), payload.size()), error);
  if (error || !parsed.is_object()) return {};
  return std::move(parsed.get_object());
}

}  // namespace headgate
