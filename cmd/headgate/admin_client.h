#ifndef CMD_HEADGATE_ADMIN_CLIENT_H_
#define CMD_HEADGATE_ADMIN_CLIENT_H_

#include <functional>
#include <string>

#include <CLI/App.hpp>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "cmd/headgate/admin_url.h"

namespace headgate {

// The flags of commands that ask an admin listener.
struct AdminClientFlags {
  std::string url = "http://127.0.0.1:9901";
  std::string token;
};

// Adds --admin and --admin-token. `flags` must outlive the parsing.
void AddAdminClientFlags(CLI::App& command, AdminClientFlags& flags);

// "%41" for what has a meaning in a query.
std::string QueryEscaped(absl::string_view text);

// GETs `path_and_query` of the admin listener, and gives its body to `on_body`
// as it comes, until the listener ends it or `on_body` returns false. SIGINT
// and SIGTERM end it, too, with OK. INVALID_ARGUMENT: the flags' URL is none;
// FAILED_PRECONDITION: the listener refuses, with its reason; UNAVAILABLE: it
// cannot be reached, or the connection is lost.
absl::Status GetFromAdmin(const AdminClientFlags& flags,
                          const std::string& path_and_query,
                          std::function<bool(absl::string_view)> on_body);

}  // namespace headgate

#endif  // CMD_HEADGATE_ADMIN_CLIENT_H_
