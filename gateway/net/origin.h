#ifndef GATEWAY_NET_ORIGIN_H_
#define GATEWAY_NET_ORIGIN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

// Whether a script of `origin` may connect to a listener that the client
// called `host` (its Host header): when the two are the same origin, or
// `allowed` names it. RFC 6454, RFC 6455 section 10.2.
//
// "Same" compares host and port only: behind a proxy that ends TLS the
// listener does not know the scheme that the browser sees.
//
// `allowed`: exact origins ("https://example.com", "null"), patterns
// ("https://*.example.com": any subdomain, not example.com itself), or "*".
bool OriginAllowed(absl::string_view origin, absl::string_view host,
                   const std::vector<std::string>& allowed);

}  // namespace headgate

#endif  // GATEWAY_NET_ORIGIN_H_
