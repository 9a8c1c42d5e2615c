#ifndef GATEWAY_HTTP_IDENTITY_H_
#define GATEWAY_HTTP_IDENTITY_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/http/request.h"

namespace headgate {

// What identifies a client for `limits.max_sessions_per_identity`. At most one
// of the two is set; none: clients have no identity.
struct IdentityRule {
  std::string claim;   // Of the bearer token's payload, at its top level.
  std::string header;  // Of the request.
};

// The client's identity, the first 16 bytes of a SHA-256; empty: it has none. A
// claim identifies a client if it is a number or a string that is not empty, a
// header if it is not empty. `authorization` is that of the session's metadata.
// The token's signature is not verified.
std::string IdentityOf(const IdentityRule& rule, const HeaderList& headers,
                       const std::optional<std::string>& authorization);

// The client whom the credentials of a call name by the claim, where the call
// has some that the handshake had not: those that came in-band. Empty: there is
// none, or clients have no identity by a claim.
std::string InBandIdentity(absl::string_view claim, const Metadata& call,
                           const Metadata& handshake);

}  // namespace headgate

#endif  // GATEWAY_HTTP_IDENTITY_H_
