#ifndef GATEWAY_HTTP_TOKEN_EXPIRY_H_
#define GATEWAY_HTTP_TOKEN_EXPIRY_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

// When the token of an `authorization` value expires: `exp` of "Bearer JWT"
// (RFC 7519 section 4.1.4). InfiniteFuture where there is no such token, or
// none that says a finite number. The signature is not verified: the backend
// does that, and a forged `exp` only shortens or prolongs a session that the
// backend would accept anyway.
absl::Time TokenExpiry(absl::string_view authorization);

}  // namespace headgate

#endif  // GATEWAY_HTTP_TOKEN_EXPIRY_H_
