#ifndef GATEWAY_HTTP_CORS_H_
#define GATEWAY_HTTP_CORS_H_

#include <string>
#include <vector>

#include "gateway/http/origin.h"
#include "gateway/http/request.h"

namespace headgate {

// Cross-origin requests of scripts, by the same policy as WebSockets
// (JudgeOrigin). The Fetch standard, "CORS protocol". Pure.

// Whether a browser asks beforehand what a script may send.
bool IsPreflight(const HttpRequest& request);

// What every answer to a plain request says of its origin.
HttpFields CorsFields(const HttpRequest& request, const OwnOrigin& own,
                      const std::vector<std::string>& allowed_origins);

// The answer to a preflight: what CorsFields says, and what may be sent.
// `verbs`: those that are served at the path, "*" being any.
// Requires: the origin is allowed.
HttpFields PreflightFields(const HttpRequest& request, const OwnOrigin& own,
                           const std::vector<std::string>& allowed_origins,
                           const std::vector<std::string>& verbs);

}  // namespace headgate

#endif  // GATEWAY_HTTP_CORS_H_
