#include "cmd/headgate/probe.h"

#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/none.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cmd/headgate/admin_url.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/config/units.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Stream = asio::generic::stream_protocol;

constexpr char kProbeFooter[] = R"(URL:
  http://HOST[:PORT][/PATH]
  unix:/SOCKET[:/PATH]      the path PATH over the socket file /SOCKET
Without a path it asks /readyz.

Exit status: 0 when the answer has a status of 200 to 299; 1 when it has another
one, the first line of its body on stderr, or when there is no answer in time; 64
for a command line that cannot be understood.

Examples:
  headgate probe
  headgate probe --timeout 500ms http://127.0.0.1:9901/healthz
  headgate probe http://10.0.0.7:9901
  headgate probe unix:/run/headgate/admin.sock:/healthz)";

constexpr int kUsageError = 64;  // EX_USAGE of sysexits.h.
constexpr char kUsualPath[] = "/readyz";
// What is read of a failure's body, to find its first line.
constexpr std::size_t kMaxBodyBytes = 4096;

// Completes with (error_code, result) and never throws.
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// The first line of a body that is read only as far as it takes to see it.
asio::awaitable<std::string> FirstLine(
    Stream::socket& socket, boost::beast::flat_buffer& buffer,
    http::response_parser<http::string_body>& parser) {
  const std::string& body = parser.get().body();
  while (!parser.is_done() && body.size() < kMaxBodyBytes &&
         body.find('\n') == std::string::npos) {
    auto [error, size] =
        co_await http::async_read_some(socket, buffer, parser, kNoThrow);
    if (error) break;
  }
  std::string line = body.substr(0, kMaxBodyBytes);
  line.erase(line.find_last_not_of("\r\n", line.find('\n')) + 1);
  co_return OneLine(line);
}

// OK when the answer is a success, else why it is none. Parameters are copies:
// when time is up this is left where it is, and nobody comes back to it.
asio::awaitable<absl::Status> Ask(asio::io_context& io, AdminUrl target) {
  Stream::socket socket(io);
  absl::Status connected = co_await ConnectToAdmin(io, socket, target);
  if (!connected.ok()) co_return connected;

  http::request<http::empty_body> request(http::verb::get, target.path, 11);
  request.set(http::field::host, target.authority);
  request.set(http::field::user_agent, "headgate-probe");
  request.keep_alive(false);
  auto [unsent, sent] = co_await http::async_write(socket, request, kNoThrow);
  if (unsent) {
    co_return absl::UnavailableError(
        absl::StrCat("cannot ask: ", unsent.message()));
  }

  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);  // FirstLine has its own.
  auto [unread, read] =
      co_await http::async_read_header(socket, buffer, parser, kNoThrow);
  if (unread) {
    co_return absl::UnavailableError(
        absl::StrCat("no answer: ", unread.message()));
  }
  const unsigned status = parser.get().result_int();
  if (status >= 200 && status < 300) co_return absl::OkStatus();
  const std::string line = co_await FirstLine(socket, buffer, parser);
  co_return absl::FailedPreconditionError(
      absl::StrCat(status, line.empty() ? "" : " ", line));
}

absl::Status Probe(const AdminUrl& target, absl::Duration timeout) {
  // Never destroyed: that would wait for a lookup of a name, which nothing can
  // cancel, and the process is about to end.
  static asio::io_context& io = *new asio::io_context(1);
  std::optional<absl::Status> result;
  asio::co_spawn(io, Ask(io, target),
                 [&result](std::exception_ptr, absl::Status status) {
                   result = std::move(status);
                 });
  io.run_for(absl::ToChronoNanoseconds(timeout));
  if (result.has_value()) return *result;
  return absl::DeadlineExceededError(
      absl::StrCat("no answer within ", absl::FormatDuration(timeout)));
}

int RunProbe(const std::string& url, const std::string& timeout_text) {
  const auto fail = [](absl::string_view why) {
    std::cerr << "headgate probe: " << why << std::endl;
  };
  const absl::StatusOr<absl::Duration> timeout = ParseDuration(timeout_text);
  if (!timeout.ok() || *timeout < absl::Milliseconds(1) ||
      *timeout > absl::Hours(1)) {
    fail(absl::StrCat("--timeout '", timeout_text,
                      "': must be a duration from 1ms to 1h"));
    return kUsageError;
  }
  const absl::StatusOr<AdminUrl> target = ParseAdminUrl(url, kUsualPath);
  if (!target.ok()) {
    fail(target.status().message());
    return kUsageError;
  }
  const absl::Status status = Probe(*target, *timeout);
  if (status.ok()) return 0;
  fail(absl::StrCat(url, ": ", status.message()));
  return 1;
}

}  // namespace

void AddProbe(CLI::App& app, std::function<int()>& run) {
  struct Flags {
    std::string url = "http://127.0.0.1:9901/readyz";
    std::string timeout = "2s";
  };
  const auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "probe", "Asks a gateway whether it is ready, for health checks");
  command->footer(kProbeFooter);
  command->add_option("URL", flags->url, "What is asked")
      ->type_name("")
      ->capture_default_str();
  command
      ->add_option("--timeout", flags->timeout,
                   "For the whole of it: looking up, connecting, the answer")
      ->type_name("DURATION")
      ->capture_default_str();
  command->callback([&run, flags] {
    run = [flags] { return RunProbe(flags->url, flags->timeout); };
  });
}

}  // namespace headgate
