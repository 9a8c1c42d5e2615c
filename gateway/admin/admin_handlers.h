#ifndef GATEWAY_ADMIN_ADMIN_HANDLERS_H_
#define GATEWAY_ADMIN_ADMIN_HANDLERS_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/admin/gateway.h"
#include "gateway/admin/tap_stream.h"

namespace headgate {

// A request of who runs the gateway, as far as it counts.
struct AdminRequest {
  std::string method;          // "GET"
  std::string target;          // "/sessions?route=/chat", as it came.
  std::string host;            // Of the Host header, "" when there is none.
  std::string origin;          // Of the Origin header.
  std::string sec_fetch_site;  // Of the header that browsers send.
  std::string authorization;   // Of the header; never logged.
};

// The listener that a request came to.
struct AdminListener {
  bool is_loopback = false;  // Only this machine reaches it.
  AdminSettings settings;
};

struct AdminResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  // The body is a tap's lines, until the client leaves.
  std::optional<TapRequest> tap = std::nullopt;
};

using AdminResponder = std::function<void(AdminResponse)>;

// Answers a request of docs/operations.md's list; at once, or when the gateway
// has answered. What the listener does not serve is not found; what needs its
// token is refused without it.
//
// A page in the browser of whoever sits here reaches that one too, so that a
// request from a page of elsewhere is refused, and one under a name that is not
// this machine's (DNS rebinding).
//
// Thread: the gateway's.
void HandleAdmin(const AdminRequest& request, const AdminListener& listener,
                 Gateway& gateway, AdminResponder respond);

// {"code": 5, "message": "..."}
AdminResponse AdminFault(int http_status, absl::StatusCode code,
                         const std::string& message);

}  // namespace headgate

#endif  // GATEWAY_ADMIN_ADMIN_HANDLERS_H_
