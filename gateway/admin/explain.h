#ifndef GATEWAY_ADMIN_EXPLAIN_H_
#define GATEWAY_ADMIN_EXPLAIN_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/admin/gateway.h"
#include "gateway/base/clock.h"
#include "gateway/config/settings.h"
#include "gateway/http/handshake.h"

namespace headgate {

// What a request would lead to, by the steps of the handshake
// (gateway/http/handshake.h) in the order of HttpDispatcher: the listener,
// then the refusal and the setting that decides, or the route, the call, the
// codec, credentials, limits and timeouts. The places that sessions take
// (max_sessions and the like) are free. No token and no value of a header is
// part of it.
//
// {"outcome": "session" | "refused" | "console" | "options" | "unknown", ...};
// docs/operations.md lists the members.
//
// INVALID_ARGUMENT: `query` is not a request to one of the listeners.
// `policies`: of each of settings.listeners. `schema_of` has what is known of
// the upstream of that name. Pure.
absl::StatusOr<boost::json::object> Explain(
    const Settings& settings,
    const std::vector<const HandshakePolicy*>& policies,
    const ExplainQuery& query,
    const std::function<KnownSchema(const std::string& upstream)>& schema_of,
    Moment now);

}  // namespace headgate

#endif  // GATEWAY_ADMIN_EXPLAIN_H_
