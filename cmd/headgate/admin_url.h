#ifndef CMD_HEADGATE_ADMIN_URL_H_
#define CMD_HEADGATE_ADMIN_URL_H_

#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Where an admin listener is: "http://HOST[:PORT][/PATH]", or
// "unix:/SOCKET[:/PATH]" for a socket file.
struct AdminUrl {
  std::string socket;     // The file to connect to; empty: host and port.
  std::string host;       // To look up; an IPv6 address without brackets.
  std::string port;       // In decimal.
  std::string authority;  // The Host header.
  std::string path;       // With its query.
};

// `usual_path`: that of a URL without one.
absl::StatusOr<AdminUrl> ParseAdminUrl(absl::string_view url,
                                       absl::string_view usual_path);

using AdminSocket = boost::asio::generic::stream_protocol::socket;

// Looks `url` up, and connects to the first of its addresses that can be.
// `io` and `socket` must outlive it.
boost::asio::awaitable<absl::Status> ConnectToAdmin(boost::asio::io_context& io,
                                                    AdminSocket& socket,
                                                    AdminUrl url);

}  // namespace headgate

#endif  // CMD_HEADGATE_ADMIN_URL_H_
