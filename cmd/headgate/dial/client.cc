#include "cmd/headgate/dial/client.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cmd/headgate/dial/backoff.h"
#include "cmd/headgate/dial/calls.h"
#include "cmd/headgate/dial/line_reader.h"
#include "cmd/headgate/dial/output.h"
#include "cmd/headgate/dial/stream.h"
#include "cmd/headgate/dial/text.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using Endpoint = asio::generic::stream_protocol::endpoint;

// Completes with (error_code, result) and never throws.
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// The longest message that is taken, in bytes.
constexpr std::size_t kMaxMessageBytes = 64 * 1024 * 1024;
// How long the other side has for its Close frame after ours.
constexpr std::chrono::seconds kCloseTimeout(2);
// How long the other side has to close the session after the end of the last
// call: on a route with several calls it never does.
constexpr std::chrono::milliseconds kCloseGrace(500);
// After this time without a message an end that was to be expected is not.
constexpr std::chrono::seconds kPatience(5);
// gRPC codes of sessions that end on this side.
constexpr int kOk = 0;
constexpr int kCancelled = 1;
constexpr int kDeadlineExceeded = 4;
// How often it is looked whether the session has come to its end.
constexpr std::chrono::milliseconds kEndCheck(250);
// A session that lasted as long was a success, whatever ended it.
constexpr absl::Duration kLongSession = absl::Seconds(10);

// One WebSocket. Shared by the session's coroutine and the handlers of its
// writes, which may come after the session has ended.
struct Connection {
  explicit Connection(asio::io_context& io) : ws(io) {}

  websocket::stream<DialStream> ws;
  std::string outgoing;  // What is being written.
  bool writing = false;  // Beast allows one write at a time,
  bool closing = false;  // and one Close.
  bool half_closed = false;
  bool lingering = false;
  bool awaiting_end = false;
  bool close_received = false;
  bool given_up = false;  // The other side did not hang up.
  NumberedCalls calls;
  std::optional<RpcStatus> status;  // From the last end packet.
  RpcStatus closed_as;              // Of our Close, when there was one.
};

websocket::stream_base::timeout Timeouts(std::chrono::nanoseconds handshake) {
  return {handshake, websocket::stream_base::none(), false};
}

// The state of one `headgate dial`.
//
// Thread: that of `io_`, which is the one that calls Run; only OnInput comes
// from the line reader's.
class Client {
 public:
  explicit Client(const DialOptions& options)
      : options_(options),
        interactive_(isatty(STDIN_FILENO) != 0),
        input_(STDIN_FILENO, [this](LineReader::Event event) {
          asio::post(io_, [this, event = std::move(event)]() mutable {
            OnInput(std::move(event));
          });
        }) {}

  DialEnding Run() {
    signals_.async_wait([this](beast::error_code error, int) {
      if (!error) OnSignal();
    });
    if (options_.timeout != absl::InfiniteDuration()) {
      timeout_timer_.expires_after(absl::ToChronoNanoseconds(options_.timeout));
      timeout_timer_.async_wait([this](beast::error_code error) {
        if (!error) OnTimeout();
      });
    }
    asio::co_spawn(io_, Sessions(), asio::detached);
    io_.run();
    return std::move(ending_);
  }

 private:
  // Session after session, until one ends for good.
  asio::awaitable<void> Sessions() {
    for (;;) {
      const absl::Time start = absl::Now();
      answered_ = false;
      ending_ = co_await Session();
      connection_ = nullptr;
      linger_timer_.cancel();
      patience_timer_.cancel();
      grace_timer_.cancel();
      end_timer_.cancel();
      if (bad_input_.has_value()) ending_ = *bad_input_;
      if (options_.on_loss == OnLoss::kEnd || leaving_ || !IsPassing(ending_)) {
        break;
      }
      if (answered_ || absl::Now() - start > kLongSession) backoff_.Reset();
      // All that were asked to come back after the same time must not do so in
      // the same moment.
      const absl::Duration wait =
          RetryAfter(ending_).value_or(absl::ZeroDuration()) +
          backoff_.Next(std::uniform_real_distribution<>(0, 1)(random_));
      Tell(absl::StrCat(
          Describe(ending_), "; connecting again in ",
          absl::FormatDuration(absl::Trunc(wait, absl::Milliseconds(1)))));
      retry_timer_.expires_after(absl::ToChronoNanoseconds(wait));
      co_await retry_timer_.async_wait(kNoThrow);
      if (leaving_) break;
    }
    if (!nobody_listens_) Tell(Describe(ending_));
    io_.stop();
  }

  asio::awaitable<DialEnding> Session() {
    auto connection = std::make_shared<Connection>(io_);
    connecting_ = connection;
    std::optional<DialEnding> failure = co_await Connect(*connection);
    connecting_ = nullptr;
    if (failure.has_value()) co_return *std::move(failure);

    connection_ = connection;
    connection->ws.control_callback(
        [&received = connection->close_received](websocket::frame_type kind,
                                                 beast::string_view) {
          if (kind == websocket::frame_type::close) received = true;
        });
    WatchForTheEnd(connection, kCloseTimeout);
    if (interactive_) TellHint();
    Pump();
    beast::flat_buffer buffer;
    for (;;) {
      auto [error, size] = co_await connection->ws.async_read(buffer, kNoThrow);
      if (error) co_return EndingOf(*connection, error);
      OnMessage(*connection,
                {connection->ws.got_text() ? Opcode::kText : Opcode::kBinary,
                 beast::buffers_to_string(buffer.data())});
      buffer.consume(buffer.size());
    }
  }

  // After a Close frame, or a violation of the protocol, Beast waits for the
  // other side to hang up, and would do so for ever, as it would for a message
  // that nobody takes before our Close: this hangs up when `left` of that time
  // has passed.
  void WatchForTheEnd(std::shared_ptr<Connection> connection,
                      std::chrono::milliseconds left) {
    end_timer_.expires_after(kEndCheck);
    end_timer_.async_wait([this, connection = std::move(connection),
                           left](beast::error_code error) mutable {
      if (error || connection != connection_) return;
      if (!connection->ws.is_open() || connection->closing) left -= kEndCheck;
      if (left <= std::chrono::milliseconds(0)) {
        connection->given_up = true;
        return connection->ws.next_layer().Close();
      }
      WatchForTheEnd(std::move(connection), left);
    });
  }

  asio::awaitable<std::optional<DialEnding>> Connect(Connection& connection) {
    const WsUrl& url = options_.url;
    auto& ws = connection.ws;
    DialStream::Socket& socket = ws.next_layer().socket();
    const auto timeout = absl::ToChronoNanoseconds(options_.connect_timeout);

    std::vector<Endpoint> endpoints;
    if (!url.socket.empty()) {
      endpoints.emplace_back(
          asio::local::stream_protocol::endpoint(url.socket));
    } else {
      tcp::resolver resolver(io_);
      auto [unresolved, found] =
          co_await resolver.async_resolve(url.host, url.port, kNoThrow);
      if (unresolved) co_return Unreachable{unresolved.message()};
      for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
    }
    socket.expires_after(timeout);
    auto [unconnected, endpoint] =
        co_await socket.async_connect(endpoints, kNoThrow);
    if (unconnected) co_return Unreachable{unconnected.message()};
    if (url.socket.empty()) {
      beast::error_code ignored;
      socket.socket().set_option(tcp::no_delay(true), ignored);
    }
    if (options_.tls != nullptr) {
      DialStream::Tls& tls = ws.next_layer().StartTls(*options_.tls);
      absl::Status expected = ExpectHost(tls, url.host, options_.tls_peer);
      if (!expected.ok()) {
        co_return Unreachable{std::string(expected.message())};
      }
      socket.expires_after(timeout);
      auto [untrusted] = co_await tls.async_handshake(
          asio::ssl::stream_base::client, kNoThrow);
      if (untrusted) {
        co_return Unreachable{absl::StrCat("TLS: ", WhyNoTls(tls, untrusted))};
      }
    }
    socket.expires_never();

    ws.set_option(Timeouts(timeout));
    ws.set_option(websocket::stream_base::decorator(
        [this](websocket::request_type& request) { Decorate(request); }));
    ws.auto_fragment(false);
    ws.write_buffer_bytes(64 * 1024);
    ws.read_message_max(kMaxMessageBytes);
    websocket::response_type response;
    auto [refused] = co_await ws.async_handshake(response, url.authority,
                                                 url.target, kNoThrow);
    if (refused) co_return RefusalOf(refused, response);
    ws.set_option(Timeouts(kCloseTimeout));
    co_return CheckSubprotocol(response);
  }

  void Decorate(websocket::request_type& request) const {
    const UpgradeHeaders& handshake = options_.handshake;
    request.set(http::field::user_agent, "headgate-dial");
    if (!handshake.subprotocols.empty()) {
      request.set(http::field::sec_websocket_protocol,
                  absl::StrJoin(handshake.subprotocols, ", "));
    }
    for (const auto& [name, value] : handshake.headers) {
      // A request has one Host.
      if (beast::iequals(name, "Host")) {
        request.set(name, value);
      } else {
        request.insert(name, value);
      }
    }
  }

  // An answer other than 101 is a refusal; all else is no answer to the
  // handshake.
  static DialEnding RefusalOf(beast::error_code error,
                              const websocket::response_type& response) {
    const beast::error_code declined = websocket::error::upgrade_declined;
    if (error.category() == declined.category() &&
        response.result_int() != 101) {
      const auto retry_after = response[http::field::retry_after];
      return Refused{static_cast<int>(response.result_int()), response.body(),
                     std::string(retry_after.data(), retry_after.size())};
    }
    return Unreachable{absl::StrCat("in the handshake: ", error.message())};
  }

  // RFC 6455 section 4.1: a subprotocol that was not offered fails the
  // connection. That the codec was not taken is for the person to know.
  std::optional<DialEnding> CheckSubprotocol(
      const websocket::response_type& response) const {
    const auto& offered = options_.handshake.subprotocols;
    const auto field = response[http::field::sec_websocket_protocol];
    const std::string chosen(field.data(), field.size());
    if (!chosen.empty() &&
        std::find(offered.begin(), offered.end(), chosen) == offered.end()) {
      return Unreachable{absl::StrCat(
          "the subprotocol that was chosen was not offered: ", chosen)};
    }
    if (options_.lines.codec.has_value() && chosen != offered.front()) {
      Tell(absl::StrCat("note: the other side did not take the subprotocol ",
                        offered.front()));
    }
    return std::nullopt;
  }

  void TellHint() const {
    const auto& codec = options_.lines.codec;
    const absl::string_view keys =
        codec == CodecKind::kRaw ? "Ctrl-D closes, Ctrl-C cancels"
                                 : "Ctrl-D ends your side, Ctrl-C cancels";
    Tell(absl::StrCat(
        "connected to ", options_.url.authority, OneLine(options_.url.target),
        ", ", codec.has_value() ? CodecName(*codec) : "text", "; ", keys));
  }

  void OnMessage(Connection& connection, const WireMessage& message) {
    answered_ = true;
    if (leaving_) return;  // Nobody wants to see it any more.
    PrintedMessage printed = PrintMessage(message, options_.lines);
    for (const CallEnded& ended : printed.ends) {
      connection.status = ended.status;
      connection.calls.OnEnded(ended);
    }
    if (!printed.fault.ok()) {
      Tell(absl::StrCat("an answer is not what the codec has: ",
                        OneLine(printed.fault.message())));
    }
    if (!WriteOut(STDOUT_FILENO, printed.text)) {
      nobody_listens_ = true;
      Leave({kCancelled, "nobody reads the output"});
    }
    if (connection.lingering) Linger();
    if (connection.awaiting_end) AwaitEnd();
    if (connection.half_closed) CloseAfterLastCall();
  }

  DialEnding EndingOf(const Connection& connection, beast::error_code error) {
    const auto& reason = connection.ws.reason();
    const bool told =
        error == websocket::error::closed || connection.close_received;
    // The other side answers our Close with the same code; another one is
    // its own, and says more.
    if (connection.closing && (!told || reason.code == 1000)) {
      return ClosedByUs{connection.closed_as};
    }
    if (told) {
      const std::string text(reason.reason.data(), reason.reason.size());
      // 1005, "no status", is what Beast has for a Close frame without one.
      return Closed{reason.code == 0 ? std::uint16_t{1005} : reason.code, text,
                    connection.status};
    }
    std::string why = "connection broken without a Close frame";
    if (error == websocket::error::message_too_big) {
      why =
          absl::StrCat("a message is longer than ", kMaxMessageBytes, " bytes");
    } else if (connection.given_up) {
      why = "the other side broke the WebSocket protocol";
    } else if (error != asio::error::eof &&
               error != asio::ssl::error::stream_truncated) {
      absl::StrAppend(&why, " (", error.message(), ")");
    }
    return Lost{std::move(why)};
  }

  // Does the next thing that there is to do for the connection's write side.
  void Pump() {
    if (connection_ == nullptr || connection_->writing ||
        connection_->closing) {
      return;
    }
    if (pending_.has_value()) {
      if (pending_->who.has_value()) connection_->calls.OnSent(*pending_->who);
      return Write(pending_->wire);
    }
    if (input_ended_) return FinishInput();
    if (!input_asked_) {
      input_asked_ = true;
      input_.Next();
    }
  }

  void Write(const WireMessage& message) {
    connection_->writing = true;
    connection_->outgoing = message.payload;
    connection_->ws.text(message.opcode == Opcode::kText);
    connection_->ws.async_write(
        asio::buffer(connection_->outgoing),
        [this, connection = connection_](beast::error_code error, std::size_t) {
          connection->writing = false;
          // What failed is for the reader to find out; a message that was not
          // sent stays pending, for the next connection.
          if (error || connection != connection_) return;
          pending_.reset();
          Pump();
        });
  }

  void OnInput(LineReader::Event event) {
    input_asked_ = false;
    if (std::holds_alternative<LineReader::End>(event)) {
      input_ended_ = true;
    } else if (std::holds_alternative<LineReader::TooLong>(event)) {
      return Stop(absl::StrCat("a line is longer than ",
                               LineReader::kMaxLineBytes, " bytes"));
    } else {
      ++line_number_;
      auto message =
          MessageOfLine(std::get<LineReader::Line>(event).text, options_.lines);
      if (message.ok()) {
        pending_ = *std::move(message);
      } else {
        const std::string why = absl::StrCat("line ", line_number_, " ",
                                             message.status().message());
        // A person can type it again.
        if (!interactive_) return Stop(why);
        Tell(why);
      }
    }
    Pump();
  }

  void FinishInput() {
    const bool can_half_close = options_.lines.codec != CodecKind::kRaw;
    if (options_.linger.has_value() && !connection_->lingering) {
      connection_->lingering = true;
      Linger();
    }
    if (options_.at_end == AtEnd::kStay) return;
    // A person who has typed Ctrl-D does not want to wait.
    if (!can_half_close && interactive_) return Close({});
    if (!connection_->awaiting_end) {
      connection_->awaiting_end = true;
      AwaitEnd();
    }
    if (can_half_close && !connection_->half_closed) {
      connection_->half_closed = true;
      CloseAfterLastCall();
      Write({Opcode::kText, ""});
    }
  }

  // Nothing is left to come when every call has ended; but where the session is
  // one call the Close frame is on its way, and says how it ended.
  void CloseAfterLastCall() {
    if (!connection_->calls.all_ended()) return;
    grace_timer_.expires_after(kCloseGrace);
    grace_timer_.async_wait([this](beast::error_code error) {
      if (!error && connection_ != nullptr) Close(connection_->calls.status());
    });
  }

  // Closes unless a message comes first, which starts the wait again.
  void Linger() {
    linger_timer_.expires_after(absl::ToChronoNanoseconds(*options_.linger));
    linger_timer_.async_wait([this](beast::error_code error) {
      if (error) return;
      RpcStatus status = connection_->calls.status();
      if (status.code == kOk) {
        status.message = absl::StrCat("ended here, --linger ",
                                      absl::FormatDuration(*options_.linger));
      }
      Close(std::move(status));
    });
  }

  // Says, once, what can be done when nothing comes any more.
  void AwaitEnd() {
    if (told_how_to_leave_) return;
    patience_timer_.expires_after(kPatience);
    patience_timer_.async_wait([this](beast::error_code error) {
      if (error || connection_ == nullptr || connection_->closing) return;
      told_how_to_leave_ = true;
      Tell(
          "note: waiting for the other side to end the session; Ctrl-C ends it "
          "here, --linger and --timeout do so by themselves");
    });
  }

  void OnSignal() {
    signals_.clear();  // A second signal kills.
    Leave({kCancelled, "interrupted"});
  }

  void OnTimeout() {
    Leave({kDeadlineExceeded,
           absl::StrCat("not over within --timeout ",
                        absl::FormatDuration(options_.timeout))});
  }

  void Stop(std::string why) {
    bad_input_ = BadInput{std::move(why)};
    Leave({kCancelled, ""});
  }

  // Ends for good, as `status` where nothing else has ended it.
  void Leave(RpcStatus status) {
    leaving_ = true;
    if (connection_ != nullptr) return Close(std::move(status));
    if (bad_input_.has_value()) {
      ending_ = *bad_input_;
    } else {
      ending_ = GivenUp{std::move(status)};
    }
    if (connecting_ == nullptr) {
      retry_timer_.cancel();
      return;
    }
    // Looking up a name cannot be interrupted, so it is left behind.
    Tell(Describe(ending_));
    io_.stop();
  }

  void Close(RpcStatus status) {
    if (connection_ == nullptr || connection_->closing) return;
    connection_->closing = true;
    connection_->closed_as = std::move(status);
    connection_->ws.async_close(websocket::close_code::normal,
                                [connection = connection_](beast::error_code) {
                                  // The reader reports how it ended.
                                });
  }

  const DialOptions& options_;
  const bool interactive_;

  std::optional<LineMessage> pending_;  // The next one to send.
  bool input_asked_ = false;
  bool input_ended_ = false;
  std::size_t line_number_ = 0;
  std::optional<BadInput> bad_input_;

  bool told_how_to_leave_ = false;
  bool answered_ = false;        // In this session.
  bool leaving_ = false;         // No session comes after this one.
  bool nobody_listens_ = false;  // Standard output is closed.
  DialEnding ending_;
  Backoff backoff_;
  std::mt19937 random_{std::random_device()()};

  // Handlers and the coroutine hold what is above, so it goes first, after the
  // reader, which posts to it.
  asio::io_context io_{1};
  asio::signal_set signals_{io_, SIGINT, SIGTERM};
  asio::steady_timer linger_timer_{io_};
  asio::steady_timer patience_timer_{io_};
  asio::steady_timer grace_timer_{io_};
  asio::steady_timer timeout_timer_{io_};
  asio::steady_timer retry_timer_{io_};
  asio::steady_timer end_timer_{io_};
  std::shared_ptr<Connection> connecting_;
  std::shared_ptr<Connection> connection_;
  LineReader input_;
};

}  // namespace

DialEnding RunDial(const DialOptions& options) { return Client(options).Run(); }

}  // namespace headgate
