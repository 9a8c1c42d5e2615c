#ifndef GATEWAY_HTTP_CORS_H_
#define GATEWAY_HTTP_CORS_H_

#include <string>
#include <vector>

#include "gateway/http/origin.h"
#include "gateway/http/request.h"

namespace headgate {

// Cross-origin requests of scripts, by the same policy as WebSockets
// (JudgeOrigin). The Fetch standard, "CORS protocol". Pure.

// Whether the request is a CORS preflight.
bool IsPreflight(const HttpRequest& request);

// The CORS fields of every response to a plain HTTP request.
HttpFields CorsFields(const HttpRequest& request, const OwnOrigin& own,
                      const std::vector<std::string>& allowed_origins);

// The fields of the response to a preflight: those of CorsFields, and the
// methods and headers that may be sent. `verbs`: those that are served at the
// path; "*" is any. Requires: the origin is allowed.
HttpFields PreflightFields(const HttpRequest& request, const OwnOrigin& own,
                           const std::vector<std::string>& allowed_origins,
                           const std::vector<std::string>& verbs);

}  // namespace headgate

#endif  // GATEWAY_HTTP_CORS_H_
