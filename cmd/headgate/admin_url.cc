#include "cmd/headgate/admin_url.h"

#include <sys/un.h>

#include <cstddef>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using AdminStream = asio::generic::stream_protocol;

// Completes with (error_code, result) and never throws.
constexpr auto kAdminNoThrow = asio::as_tuple(asio::use_awaitable);

absl::Status UnknownAdminUrl(absl::string_view url) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", url,
      "': must be http://HOST[:PORT][/PATH] or unix:/SOCKET[:/PATH]"));
}

// unix:/run/headgate/admin.sock:/readyz
absl::StatusOr<AdminUrl> ParseUnixUrl(absl::string_view url,
                                      absl::string_view usual_path) {
  const absl::string_view rest = absl::StripPrefix(url, "unix:");
  const std::size_t colon = rest.rfind(":/");
  if (!absl::StartsWith(rest, "/")) return UnknownAdminUrl(url);
  AdminUrl target;
  target.socket = std::string(rest.substr(0, colon));
  target.authority = "localhost";
  target.path = colon == absl::string_view::npos
                    ? std::string(usual_path)
                    : std::string(rest.substr(colon + 1));
  // One byte less than sockaddr_un has: Asio ends the path with a zero.
  if (target.socket.size() >= sizeof(sockaddr_un::sun_path) ||
      target.path.find_first_of(" \t\r\n") != std::string::npos) {
    return UnknownAdminUrl(url);
  }
  return target;
}

// Where the target may be, in the order in which it is tried.
asio::awaitable<absl::StatusOr<std::vector<AdminStream::endpoint>>> EndpointsOf(
    asio::io_context& io, const AdminUrl& target) {
  std::vector<AdminStream::endpoint> endpoints;
  if (!target.socket.empty()) {
    endpoints.emplace_back(
        asio::local::stream_protocol::endpoint(target.socket));
    co_return endpoints;
  }
  asio::ip::tcp::resolver resolver(io);
  auto [error, found] =
      co_await resolver.async_resolve(target.host, target.port, kAdminNoThrow);
  if (error) {
    co_return absl::UnavailableError(
        absl::StrCat("cannot look up '", target.host, "': ", error.message()));
  }
  for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
  co_return endpoints;
}

asio::awaitable<absl::Status> ConnectToOneOf(
    AdminStream::socket& socket,
    const std::vector<AdminStream::endpoint>& endpoints) {
  error_code error = asio::error::host_not_found;
  for (const AdminStream::endpoint& endpoint : endpoints) {
    error_code ignored;
    socket.close(ignored);
    auto [failure] = co_await socket.async_connect(endpoint, kAdminNoThrow);
    if (!failure) co_return absl::OkStatus();
    error = failure;
  }
  co_return absl::UnavailableError(
      absl::StrCat("cannot connect: ", error.message()));
}

}  // namespace

absl::StatusOr<AdminUrl> ParseAdminUrl(absl::string_view url,
                                       absl::string_view usual_path) {
  if (absl::StartsWith(url, "unix:")) return ParseUnixUrl(url, usual_path);
  const auto parsed =
      boost::urls::parse_uri(boost::urls::string_view(url.data(), url.size()));
  if (!parsed.has_value() || parsed->scheme_id() != boost::urls::scheme::http ||
      parsed->has_userinfo() || parsed->has_fragment() ||
      parsed->encoded_host().empty()) {
    return UnknownAdminUrl(url);
  }
  AdminUrl target;
  target.host = parsed->host_address();
  target.port = parsed->has_port() ? std::string(parsed->port()) : "80";
  int port = 0;
  if (!absl::SimpleAtoi(target.port, &port) || port < 1 || port > 65535) {
    return UnknownAdminUrl(url);
  }
  target.authority = std::string(parsed->encoded_host_and_port());
  target.path = std::string(parsed->encoded_target());
  if (parsed->encoded_path().empty())
    target.path.insert(0, std::string(usual_path));
  return target;
}

asio::awaitable<absl::Status> ConnectToAdmin(asio::io_context& io,
                                             AdminSocket& socket,
                                             AdminUrl url) {
  const auto endpoints = co_await EndpointsOf(io, url);
  if (!endpoints.ok()) co_return endpoints.status();
  co_return co_await ConnectToOneOf(socket, *endpoints);
}

}  // namespace headgate
