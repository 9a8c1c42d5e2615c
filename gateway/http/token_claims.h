#ifndef GATEWAY_HTTP_TOKEN_CLAIMS_H_
#define GATEWAY_HTTP_TOKEN_CLAIMS_H_

#include <boost/json/object.hpp>

#include "absl/strings/string_view.h"

namespace headgate {

// The claims of an `authorization` value "Bearer JWT" (RFC 7519 section 3);
// empty where there is no such token. The signature is not verified.
boost::json::object TokenClaims(absl::string_view authorization);

}  // namespace headgate

#endif  // GATEWAY_HTTP_TOKEN_CLAIMS_H_
