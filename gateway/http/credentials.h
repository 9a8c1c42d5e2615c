#ifndef GATEWAY_HTTP_CREDENTIALS_H_
#define GATEWAY_HTTP_CREDENTIALS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/codec.h"
#include "gateway/http/request.h"
#include "gateway/route/route.h"

namespace headgate {

// The entries of Sec-WebSocket-Protocol: names of codecs, and credentials in
// two forms that scripts in a browser can send.
struct Subprotocols {
  // Names of dialects among the entries, in the client's order.
  struct Offer {
    const Dialect* dialect;
    absl::string_view entry;  // As the client spells it.
  };
  std::vector<Offer> dialects;
  // The first that begins with "headgate." and is not one of the gateway's.
  std::optional<absl::string_view> unknown;
  bool bearer_offered = false;
  // The entry after the first "Bearer"; absent when there is none.
  std::optional<absl::string_view> bearer_token;
  // What follows "base64url.bearer.authorization.k8s.io." in each such entry.
  std::vector<absl::string_view> kubernetes_tokens;
};

// Views into what `headers` view. An entry that is a token is never taken for a
// codec.
Subprotocols ParseSubprotocols(const HeaderList& headers);

// The one Authorization header; absent: there is none. UNAUTHENTICATED when it
// is malformed.
absl::StatusOr<std::optional<std::string>> AuthorizationHeader(
    const HeaderList& headers);

// Where a token comes from, in the order of docs/protocol.md ("Credentials").
enum class CredentialSource {
  kNone,
  kHeader,
  kKubernetes,  // The subprotocol of Kubernetes' API server.
  kBearer,      // The subprotocols "Bearer" and the token.
  kCookie,
  kQuery,
};

// The value of the session's `authorization` metadata: the first source of
// docs/protocol.md ("Credentials") that `headers` uses; absent when it uses
// none. UNAUTHENTICATED when that source is malformed; the message never
// contains any of it. `query_token` is the value of the route's query
// parameter. `source` becomes the one that counts, unless it is null.
// Requires: the Origin check passed, because cookies count only after it.
absl::StatusOr<std::optional<std::string>> FindAuthorization(
    const HeaderList& headers, const Subprotocols& subprotocols,
    const Route& route, const std::optional<std::string>& query_token,
    CredentialSource* source = nullptr);

}  // namespace headgate

#endif  // GATEWAY_HTTP_CREDENTIALS_H_
