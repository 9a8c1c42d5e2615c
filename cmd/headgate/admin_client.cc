#include "cmd/headgate/admin_client.h"

#include <csignal>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/none.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cmd/headgate/dial/text.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr auto kClientNoThrow = asio::as_tuple(asio::use_awaitable);
// What is read of a refusal.
constexpr std::size_t kMostRefusalBytes = 4096;

using Parser = http::response_parser<http::string_body>;
using OnBody = std::function<bool(absl::string_view)>;

asio::awaitable<absl::Status> ReadBody(AdminSocket& socket,
                                       boost::beast::flat_buffer& buffer,
                                       Parser& parser, const OnBody& on_body) {
  for (;;) {
    std::string& body = parser.get().body();
    if (!body.empty() && !on_body(body)) co_return absl::OkStatus();
    body.clear();
    if (parser.is_done()) co_return absl::OkStatus();
    auto [error, size] =
        co_await http::async_read_some(socket, buffer, parser, kClientNoThrow);
    if (error) {
      co_return absl::UnavailableError(
          absl::StrCat("the connection is lost: ", error.message()));
    }
  }
}

asio::awaitable<absl::Status> AskAdmin(asio::io_context& io, AdminUrl url,
                                       std::string token, OnBody on_body) {
  AdminSocket socket(io);
  absl::Status connected = co_await ConnectToAdmin(io, socket, url);
  if (!connected.ok()) {
    co_return absl::Status(
        connected.code(),
        absl::StrCat("no admin listener at ",
                     url.socket.empty() ? url.authority : url.socket,
                     " (--admin): ", connected.message()));
  }
  http::request<http::empty_body> request(http::verb::get, url.path, 11);
  request.set(http::field::host, url.authority);
  request.set(http::field::user_agent, "headgate");
  if (!token.empty()) {
    request.set(http::field::authorization, absl::StrCat("Bearer ", token));
  }
  request.keep_alive(false);
  auto [unsent, sent] =
      co_await http::async_write(socket, request, kClientNoThrow);
  boost::beast::flat_buffer buffer;
  Parser parser;
  parser.body_limit(boost::none);
  auto [unread, read] =
      co_await http::async_read_header(socket, buffer, parser, kClientNoThrow);
  if (unsent || unread) {
    co_return absl::UnavailableError(
        absl::StrCat("no response: ", (unsent ? unsent : unread).message()));
  }
  const unsigned status = parser.get().result_int();
  if (status == 200) {
    co_return co_await ReadBody(socket, buffer, parser, on_body);
  }
  std::string refusal;
  (void)co_await ReadBody(socket, buffer, parser,
                          [&refusal](absl::string_view piece) {
                            absl::StrAppend(&refusal, piece);
                            return refusal.size() < kMostRefusalBytes;
                          });
  absl::StripAsciiWhitespace(&refusal);
  co_return absl::FailedPreconditionError(
      absl::StrCat("HTTP ", status, " ", OneLine(refusal)));
}

}  // namespace

void AddAdminClientFlags(CLI::App& command, AdminClientFlags& flags) {
  command
      .add_option("--admin", flags.url,
                  "The gateway's admin listener: http://HOST:PORT or "
                  "unix:/SOCKET")
      ->type_name("URL")
      ->capture_default_str();
  command
      .add_option("--admin-token", flags.token,
                  "The admin listener's token; the environment hides it from "
                  "other users, a flag does not")
      ->type_name("TOKEN")
      ->envname("HEADGATE_ADMIN_TOKEN");
}

std::string QueryEscaped(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte)) {
      escaped += c;
    } else {
      absl::StrAppendFormat(&escaped, "%%%02X", byte);
    }
  }
  return escaped;
}

absl::Status GetFromAdmin(const AdminClientFlags& flags,
                          const std::string& path_and_query, OnBody on_body) {
  absl::StatusOr<AdminUrl> url = ParseAdminUrl(flags.url, "/");
  if (!url.ok()) return url.status();
  url->path = path_and_query;
  // Never destroyed: that would wait for a lookup of a name, which nothing can
  // cancel, and the process is about to end.
  asio::io_context& io = *new asio::io_context(1);
  asio::signal_set& signals = *new asio::signal_set(io, SIGINT, SIGTERM);
  std::optional<absl::Status> result;
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) io.stop();
  });
  asio::co_spawn(io, AskAdmin(io, *url, flags.token, std::move(on_body)),
                 [&](std::exception_ptr, absl::Status status) {
                   result = std::move(status);
                   io.stop();
                 });
  io.run();
  return result.value_or(absl::OkStatus());
}

}  // namespace headgate
