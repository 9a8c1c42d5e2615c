#ifndef GATEWAY_NET_ORIGIN_H_
#define GATEWAY_NET_ORIGIN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

enum class OriginVerdict {
  kRefused,
  kAnyone,  // Allowed by "*" alone.
  kTrusted,
};

// Whether a script of `origin` may use a listener that the client called
// `host` (its Host header): when the two are the same origin, or `allowed`
// names it. RFC 6454, RFC 6455 section 10.2.
//
// "Same" compares host and port only: behind a proxy that ends TLS the
// listener does not know the scheme that the browser sees.
//
// `allowed`: exact origins ("https://example.com", "null"), patterns
// ("https://*.example.com": any subdomain, not example.com itself), or "*".
OriginVerdict JudgeOrigin(absl::string_view origin, absl::string_view host,
                          const std::vector<std::string>& allowed);

inline bool OriginAllowed(absl::string_view origin, absl::string_view host,
                          const std::vector<std::string>& allowed) {
  return JudgeOrigin(origin, host, allowed) != OriginVerdict::kRefused;
}

}  // namespace headgate

#endif  // GATEWAY_NET_ORIGIN_H_
