#ifndef GATEWAY_HTTP_HOST_H_
#define GATEWAY_HTTP_HOST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

// The Host of a request, with or without a port. Pure.

// Whether it names this machine and no DNS server can say otherwise:
// localhost, a name below it (RFC 6761 section 6.3), 127.0.0.0/8, [::1].
bool IsLoopbackHost(absl::string_view host);

// Whether one of `allowed` is for it: "api.example.com", "*.example.com" (any
// subdomain), "192.0.2.1", "[2001:db8::1]", or "*".
bool HostAllowed(absl::string_view host,
                 const std::vector<std::string>& allowed);

}  // namespace headgate

#endif  // GATEWAY_HTTP_HOST_H_
