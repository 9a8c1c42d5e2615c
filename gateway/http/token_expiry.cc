#include "gateway/http/token_expiry.h"

#include <cmath>

#include <boost/json/object.hpp>

#include "gateway/http/token_claims.h"

namespace headgate {

absl::Time TokenExpiry(absl::string_view authorization) {
  const boost::json::object claims = TokenClaims(authorization);
  const boost::json::value* const expiry = claims.if_contains("exp");
  if (expiry == nullptr || !expiry->is_number()) return absl::InfiniteFuture();
  const double seconds = expiry->to_number<double>();
  if (!std::isfinite(seconds)) return absl::InfiniteFuture();
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

}  // namespace headgate
