#include "gateway/http/call_head.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/http/credentials.h"
#include "gateway/http/header_rules.h"
#include "gateway/http/token_expiry.h"

namespace headgate {
namespace {

Metadata::iterator FindAuthorizationEntry(Metadata& metadata) {
  return std::find_if(metadata.begin(), metadata.end(), [](const auto& entry) {
    return entry.first == "authorization";
  });
}

void SetAuthorization(std::string value, Metadata& metadata) {
  const auto entry = FindAuthorizationEntry(metadata);
  if (entry == metadata.end()) {
    metadata.emplace_back("authorization", std::move(value));
  } else {
    entry->second = std::move(value);
  }
}

absl::Time ExpiryOfToken(Metadata& metadata, const Route& route) {
  const auto entry = FindAuthorizationEntry(metadata);
  return route.token.expiry == TokenRule::Expiry::kCloses &&
                 entry != metadata.end()
             ? TokenExpiry(entry->second)
             : absl::InfiniteFuture();
}

}  // namespace

absl::StatusOr<CallHead> JudgeCallHead(const HeaderList& headers,
                                       const SessionRequest& session,
                                       const Route& route,
                                       absl::string_view method, Moment now) {
  absl::StatusOr<Metadata> metadata =
      MetadataFromCallHeaders(headers, route, session.metadata);
  if (!metadata.ok()) return metadata.status();
  absl::StatusOr<std::optional<std::string>> authorization =
      AuthorizationHeader(headers);
  if (!authorization.ok()) return authorization.status();
  if (*authorization && !session.has_authorization_header) {
    SetAuthorization(**std::move(authorization), *metadata);
  }
  const absl::Status size = CheckMetadataSize(*metadata, route, method.size());
  if (!size.ok()) return size;
  const absl::StatusOr<absl::Duration> timeout = TimeoutFromHeaders(headers);
  if (!timeout.ok()) return timeout.status();
  const absl::Time token_expiry = ExpiryOfToken(*metadata, route);
  if (token_expiry + route.token.leeway <= now.wall) return TokenExpired();
  return CallHead{*std::move(metadata),
                  std::min({*timeout, session.timeout, route.deadline}),
                  now.SteadyAt(token_expiry)};
}

absl::Status TokenExpired() {
  return absl::UnauthenticatedError("the token has expired");
}

absl::Status CheckMetadataSize(const Metadata& metadata, const Route& route,
                               std::size_t path_bytes) {
  const std::size_t bytes =
      route.own_metadata_bytes + path_bytes + HeaderListBytes(metadata);
  if (bytes <= route.max_metadata_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the call's metadata would make ", bytes,
      " bytes of headers, max_metadata_bytes is ", route.max_metadata_bytes));
}

}  // namespace headgate
