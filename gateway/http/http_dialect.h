#ifndef GATEWAY_HTTP_HTTP_DIALECT_H_
#define GATEWAY_HTTP_HTTP_DIALECT_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/codec/dialect.h"
#include "gateway/http/refusal.h"
#include "gateway/http/request.h"
#include "gateway/http/target.h"
#include "gateway/route/plan.h"

namespace headgate {

// The dialects of plain HTTP requests.

// Of a request that an HTTP rule serves. A client of a stream may like events
// better than lines of JSON. `kind`: of the method, where it is known.
const Dialect& HttpDialect(const HttpRequest& request,
                           std::optional<MethodKind> kind);

// Whether a request on a route with dialects is one for them, or about them:
// others are told to upgrade.
bool IsForDialects(const HttpRequest& request, const HttpTarget& target,
                   const RoutePlan& plan);

// Has `dialect` point to that of a request on such a route, by its Content-Type
// or, of a GET, its query. Null: it is not for them.
std::optional<Refusal> ChooseHttpDialect(const HttpRequest& request,
                                         const HttpTarget& target,
                                         const RoutePlan& plan,
                                         const Dialect*& dialect);

// What the head of a request in `dialect` says of the bodies.
// INVALID_ARGUMENT: a GET whose message cannot be decoded.
absl::StatusOr<BodyFormat> BodyFormatOf(const HttpRequest& request,
                                        const HttpTarget& target,
                                        const Dialect& dialect);

// Connect's version, where the client names it. INVALID_ARGUMENT: not 1.
absl::Status CheckConnectVersion(const HttpRequest& request);

}  // namespace headgate

#endif  // GATEWAY_HTTP_HTTP_DIALECT_H_
