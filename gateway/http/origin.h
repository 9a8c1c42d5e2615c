#ifndef GATEWAY_HTTP_ORIGIN_H_
#define GATEWAY_HTTP_ORIGIN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

enum class OriginVerdict {
  kRefused,
  kAnyone,  // Allowed by "*" alone.
  kTrusted,
};

// A listener's own origin, as the current request names it.
struct OwnOrigin {
  enum class Scheme {
    kHttp,
    kHttps,
    kEither,  // A proxy in front of the listener may have terminated TLS.
  };
  Scheme scheme = Scheme::kHttp;
  std::string host;  // With its port, as the client has sent it.
};

// Whether a script of `origin` may use a listener whose own origin is `own`:
// when scheme, host and port are the same (RFC 6454 section 5), or `allowed`
// names it. RFC 6455 section 10.2.
//
// `allowed`: exact origins ("https://example.com", "null"), patterns
// ("https://*.example.com": any subdomain, not example.com itself;
// "http://localhost:*": any port), or "*".
OriginVerdict JudgeOrigin(absl::string_view origin, const OwnOrigin& own,
                          const std::vector<std::string>& allowed);

inline bool OriginAllowed(absl::string_view origin, const OwnOrigin& own,
                          const std::vector<std::string>& allowed) {
  return JudgeOrigin(origin, own, allowed) != OriginVerdict::kRefused;
}

}  // namespace headgate

#endif  // GATEWAY_HTTP_ORIGIN_H_
