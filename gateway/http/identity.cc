#include "gateway/http/identity.h"

#include <array>

#include <openssl/sha.h>
#include <boost/json/serialize.hpp>

#include "absl/strings/str_join.h"
#include "gateway/http/token_claims.h"

namespace headgate {
namespace {

// The claim's JSON, in which the string "7" is another identity than 7.
std::string ClaimOf(const std::string& name, const std::string& authorization) {
  const boost::json::object claims = TokenClaims(authorization);
  const boost::json::value* const claim = claims.if_contains(name);
  if (claim == nullptr) return "";
  const bool is_text = claim->is_string() && !claim->get_string().empty();
  return is_text || claim->is_number() ? boost::json::serialize(*claim) : "";
}

const std::string* AuthorizationOf(const Metadata& metadata) {
  for (const auto& [name, value] : metadata) {
    if (name == "authorization") return &value;
  }
  return nullptr;
}

std::string HashOf(const std::string& value) {
  constexpr std::size_t kBytes = 16;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(value.data()), value.size(),
         digest.data());
  return std::string(digest.begin(), digest.begin() + kBytes);
}

}  // namespace

std::string IdentityOf(const IdentityRule& rule, const HeaderList& headers,
                       const std::optional<std::string>& authorization) {
  std::string value;
  if (!rule.header.empty()) {
    value = absl::StrJoin(headers.Values(rule.header), ", ");
  } else if (!rule.claim.empty() && authorization) {
    value = ClaimOf(rule.claim, *authorization);
  }
  return value.empty() ? "" : HashOf(value);
}

std::string InBandIdentity(absl::string_view claim, const Metadata& call,
                           const Metadata& handshake) {
  const std::string* const authorization = AuthorizationOf(call);
  if (claim.empty() || authorization == nullptr) return "";
  const std::string* const known = AuthorizationOf(handshake);
  if (known != nullptr && *known == *authorization) return "";
  const std::string name(claim);
  const std::string client = ClaimOf(name, *authorization);
  if (client.empty()) return "";
  const bool is_counted = known != nullptr && ClaimOf(name, *known) == client;
  return is_counted ? "" : HashOf(client);
}

}  // namespace headgate
