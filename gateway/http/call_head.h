#ifndef GATEWAY_HTTP_CALL_HEAD_H_
#define GATEWAY_HTTP_CALL_HEAD_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/clock.h"
#include "gateway/base/metadata.h"
#include "gateway/http/request.h"
#include "gateway/http/session_request.h"
#include "gateway/route/route.h"

namespace headgate {

// What a call is started with.
struct CallHead {
  Metadata metadata;
  absl::Duration timeout;
  // As SessionRequest::token_expiry, of the credentials that count.
  absl::Time token_expiry;
};

// The head of a call whose headers come in-band, by the rules for those of a
// request: they are added to what the handshake has determined, and the
// credentials among them to those of docs/protocol.md, "Credentials", behind
// the handshake's own Authorization header. `route` and `method`, as
// "/package.Service/Method", are the call's. INVALID_ARGUMENT and
// UNAUTHENTICATED name the header that is at fault, RESOURCE_EXHAUSTED the
// limit; UNAUTHENTICATED also says that the token has expired at `now`.
absl::StatusOr<CallHead> JudgeCallHead(const HeaderList& headers,
                                       const SessionRequest& session,
                                       const Route& route,
                                       absl::string_view method, Moment now);
// Of a call whose token has expired.
absl::Status TokenExpired();

// RESOURCE_EXHAUSTED for a call whose header list would be longer than every
// upstream accepts: a server may close the connection over one, which ends all
// calls on it. `path_bytes`: the length of the method's path.
absl::Status CheckMetadataSize(const Metadata& metadata, const Route& route,
                               std::size_t path_bytes);

}  // namespace headgate

#endif  // GATEWAY_HTTP_CALL_HEAD_H_
