#include "cmd/headgate/dial/client.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/random_masks.h"
#include "client/upgrade.h"
#include "client/web_socket.h"
#include "cmd/headgate/dial/answers.h"
#include "cmd/headgate/dial/backoff.h"
#include "cmd/headgate/dial/calls.h"
#include "cmd/headgate/dial/line_reader.h"
#include "cmd/headgate/dial/output.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/base/clock.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Socket = asio::generic::stream_protocol::socket;
using SocketAddress = asio::generic::stream_protocol::endpoint;

// Completes with (error_code, result) and never throws.
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// The limit of a message from the server, in bytes.
constexpr std::size_t kMaxMessageBytes = 64 * 1024 * 1024;
// How long the other side has to end the connection once the WebSocket is
// closing.
constexpr std::chrono::seconds kCloseTimeout(2);
constexpr std::size_t kReadBytes = 64 * 1024;
// How long the other side has to close the session after the end of the last
// call: on a route with several calls it never does.
constexpr std::chrono::milliseconds kCloseGrace(500);
// After this time without a message an end that was to be expected is not.
constexpr std::chrono::seconds kPatience(5);
// gRPC codes of sessions that end on this side.
constexpr int kOk = 0;
constexpr int kCancelled = 1;
constexpr int kDeadlineExceeded = 4;
// A session that lasted as long was a success, whatever ended it.
constexpr absl::Duration kLongSession = absl::Seconds(10);

// One WebSocket. Shared by the session's coroutine and the handlers of its
// writes, which may run after the session has ended.
struct Connection {
  enum class Sending {
    kIdle,
    kWriting,  // One write to the socket is pending.
    kFailed,   // The read finds out why.
  };

  Connection(asio::io_context& io, const UpgradeRequest& request,
             ws::MaskSource& masks, const ClientWebSocket::Options& options,
             AnswerReader reader)
      : socket(io),
        web_socket(request, masks, options),
        answers(std::move(reader)) {}

  bool MayWrite() const {
    return web_socket.is_open() && web_socket.endpoint().may_write();
  }

  Socket socket;
  ClientWebSocket web_socket;
  AnswerReader answers;
  Sending sending = Sending::kIdle;
  bool is_head_next = false;  // What is written is not a line's message.

  // Our side of the call.
  bool half_closed = false;
  bool lingering = false;
  bool awaiting_end = false;
  NumberedCalls calls;
  std::optional<RpcStatus> status;  // From the last end packet.

  // How it ended, as far as known.
  std::optional<RpcStatus> closed_as;    // By our Close.
  std::optional<Closed> closed;          // By the other side's.
  std::optional<ClientFailure> failure;  // Its violation.
};

// The state of one `headgate dial`.
//
// Thread: that of `io_`, which is the one that calls Run; only OnInput comes
// from the line reader's.
class Client final : private ClientWebSocketObserver {
 public:
  explicit Client(const DialOptions& options)
      : options_(options),
        request_(options.url, options.handshake, "headgate-dial",
                 RandomUpgradeKey()),
        interactive_(isatty(STDIN_FILENO) != 0),
        input_(STDIN_FILENO, [this](LineReader::Event event) {
          asio::post(io_, [this, event = std::move(event)]() mutable {
            OnInput(std::move(event));
          });
        }) {}

  DialEnding Run() {
    signals_.async_wait([this](error_code error, int) {
      if (!error) OnSignal();
    });
    if (options_.timeout != absl::InfiniteDuration()) {
      timeout_timer_.expires_after(absl::ToChronoNanoseconds(options_.timeout));
      timeout_timer_.async_wait([this](error_code error) {
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
      const absl::Time start = SteadyNow();
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
      if (answered_ || SteadyNow() - start > kLongSession) backoff_.Reset();
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
    ClientWebSocket::Options options;
    options.max_message_bytes = kMaxMessageBytes;
    options.tls = options_.tls;
    options.server = options_.url.host;
    auto connection = std::make_shared<Connection>(
        io_, request_, masks_, options,
        AnswerReader(options_.lines, options_.verbosity));
    connecting_ = connection;
    DialEnding ending = co_await Converse(connection);
    connecting_ = nullptr;
    step_timer_.cancel();
    co_return ending;
  }

  asio::awaitable<DialEnding> Converse(std::shared_ptr<Connection> connection) {
    error_code error = co_await Connect(connection);
    if (error) co_return Unreachable{error.message()};
    LimitStep(connection);  // TLS and the handshake.
    ClientWebSocket& web_socket = connection->web_socket;
    if (!web_socket.Start()) co_return ToDialEnding(web_socket.failure());
    std::vector<char> buffer(kReadBytes);
    for (;;) {
      Flush(connection);
      std::size_t size = 0;
      std::tie(error, size) = co_await connection->socket.async_read_some(
          asio::buffer(buffer), kNoThrow);
      if (error) co_return EndingOf(*connection, error);
      if (connection->failure) continue;  // Until the other side hangs up.
      if (web_socket.Receive({buffer.data(), size}, *this)) continue;
      if (!web_socket.is_open()) {
        SendLast(*connection);
        co_return ToDialEnding(web_socket.failure());
      }
      if (connection->closed || connection->closed_as) {
        co_return EndingOf(*connection, {});  // TLS has ended.
      }
      connection->failure = web_socket.failure();
      AwaitHangup();
    }
  }

  // Closes the socket when connecting, or the handshake, takes too long.
  void LimitStep(std::shared_ptr<Connection> connection) {
    timed_out_ = false;
    step_timer_.expires_after(
        absl::ToChronoNanoseconds(options_.connect_timeout));
    step_timer_.async_wait(
        [this, connection = std::move(connection)](error_code error) {
          if (error) return;
          timed_out_ = true;
          error_code ignored;
          connection->socket.close(ignored);
        });
  }

  asio::awaitable<error_code> Connect(std::shared_ptr<Connection> connection) {
    const WsUrl& url = options_.url;
    std::vector<SocketAddress> addresses;
    if (!url.socket.empty()) {
      addresses.emplace_back(
          asio::local::stream_protocol::endpoint(url.socket));
    } else {
      tcp::resolver resolver(io_);
      auto [unresolved, found] =
          co_await resolver.async_resolve(url.host, url.port, kNoThrow);
      if (unresolved) co_return unresolved;
      for (const auto& entry : found) addresses.emplace_back(entry.endpoint());
    }
    LimitStep(connection);
    auto [unconnected, address] =
        co_await asio::async_connect(connection->socket, addresses, kNoThrow);
    if (timed_out_) co_return asio::error::timed_out;
    if (unconnected) co_return unconnected;
    if (url.socket.empty()) {
      error_code ignored;
      connection->socket.set_option(tcp::no_delay(true), ignored);
    }
    co_return error_code();
  }

  // Sends what there is, a piece at a time.
  void Flush(const std::shared_ptr<Connection>& connection) {
    if (connection->sending != Connection::Sending::kIdle ||
        !connection->web_socket.has_output()) {
      return;
    }
    connection->sending = Connection::Sending::kWriting;
    const auto pieces = connection->web_socket.Front();
    const std::array<asio::const_buffer, 2> buffers = {
        asio::buffer(pieces[0].data(), pieces[0].size()),
        asio::buffer(pieces[1].data(), pieces[1].size())};
    connection->socket.async_write_some(
        buffers, [this, connection](error_code error, std::size_t size) {
          OnSent(connection, error, size);
        });
  }

  void OnSent(const std::shared_ptr<Connection>& connection, error_code error,
              std::size_t size) {
    // A message that was not sent stays pending, for the next connection.
    if (error) {
      connection->sending = Connection::Sending::kFailed;
      return;
    }
    connection->sending = Connection::Sending::kIdle;
    connection->web_socket.OnSent(size);
    Flush(connection);
    if (connection->sending == Connection::Sending::kIdle &&
        connection->web_socket.endpoint().TakeWritten() &&
        connection == connection_) {
      if (!std::exchange(connection->is_head_next, false)) pending_.reset();
      Pump();
    }
  }

  // Gives the kernel what it takes at once: an alert of TLS.
  static void SendLast(Connection& connection) {
    if (connection.sending != Connection::Sending::kIdle ||
        !connection.web_socket.has_output()) {
      return;
    }
    const absl::string_view last = connection.web_socket.Front()[0];
    error_code ignored;
    connection.socket.non_blocking(true, ignored);
    connection.socket.write_some(asio::buffer(last.data(), last.size()),
                                 ignored);
  }

  // The WebSocket is closing: the other side is to end the connection.
  void AwaitHangup() {
    end_timer_.expires_after(kCloseTimeout);
    end_timer_.async_wait([connection = connection_](error_code error) {
      if (error) return;
      error_code ignored;
      connection->socket.close(ignored);
    });
  }

  void OnOpen(const std::string& subprotocol) override {
    step_timer_.cancel();
    connection_ = std::exchange(connecting_, nullptr);
    const auto& offered = options_.handshake.subprotocols;
    // That the codec was not selected is for the person to know.
    if (options_.lines.codec != nullptr && subprotocol != offered.front()) {
      Tell(absl::StrCat("note: the other side did not take the subprotocol ",
                        offered.front()));
    }
    if (interactive_) TellHint();
    if (options_.verbosity == Verbosity::kMetadata) TellSent();
    if (!options_.head.empty()) {
      connection_->is_head_next = true;
      Write({Opcode::kBinary, options_.head});
    }
    Pump();
  }

  void OnMessage(WireMessage message) override {
    OnMessage(*connection_, message);
  }

  void OnClose(CloseCode code, absl::string_view reason) override {
    TellNotes(connection_->answers.TakeRest());
    connection_->closed = Closed{static_cast<std::uint16_t>(code),
                                 std::string(reason), connection_->status};
    AwaitHangup();
  }

  void TellHint() const {
    const Dialect* const codec = options_.lines.codec;
    const absl::string_view keys =
        codec == &kRawDialect ? "Ctrl-D closes, Ctrl-C cancels"
                              : "Ctrl-D ends your side, Ctrl-C cancels";
    Tell(absl::StrCat("connected to ", options_.url.authority,
                      OneLine(options_.url.target), ", ",
                      codec != nullptr ? codec->name : "text", "; ", keys));
  }

  // What was sent of the call besides messages. Credentials are not shown.
  void TellSent() const {
    const auto tell = [](absl::string_view name, absl::string_view value) {
      const bool is_secret = absl::EqualsIgnoreCase(name, "authorization") ||
                             absl::EqualsIgnoreCase(name, "cookie");
      Tell(OneLine(
          absl::StrCat("> ", name, ": ", is_secret ? "(not shown)" : value)));
    };
    for (const auto& [name, value] : options_.handshake.headers) {
      tell(name, value);
    }
    if (options_.handshake.subprotocols.size() > 1) tell("authorization", "");
    for (absl::string_view line :
         absl::StrSplit(options_.head, "\r\n", absl::SkipEmpty())) {
      const std::size_t colon = line.find(": ");
      tell(line.substr(0, colon), line.substr(colon + 2));
    }
  }

  void TellNotes(const PrintedMessage& printed) const {
    if (options_.verbosity != Verbosity::kMetadata) return;
    for (const std::string& note : printed.notes) Tell(note);
  }

  void OnMessage(Connection& connection, const WireMessage& message) {
    answered_ = true;
    if (leaving_) return;  // Nobody wants to see it any more.
    PrintedMessage printed = connection.answers.Take(message);
    TellNotes(printed);
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

  DialEnding EndingOf(const Connection& connection, error_code error) const {
    // The other side responds to our Close with the same code; another one is
    // its own, and says more.
    if (connection.closed_as &&
        (!connection.closed || connection.closed->code == 1000)) {
      return ClosedByUs{*connection.closed_as};
    }
    if (connection.closed) return *connection.closed;
    if (connection.failure) return ToDialEnding(*connection.failure);
    if (error == asio::error::eof) error = {};
    const error_code why = !connection.web_socket.is_open() && timed_out_
                               ? error_code(asio::error::timed_out)
                               : error;
    return ToDialEnding(connection.web_socket.AtEnd(why ? why.message() : ""));
  }

  // Does the next thing that there is to do for the connection's write side.
  void Pump() {
    if (connection_ == nullptr || !connection_->MayWrite() ||
        connection_->web_socket.endpoint().is_writing()) {
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
    connection_->web_socket.endpoint().Write(message.opcode, message.payload);
    Flush(connection_);
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
    const bool can_half_close = options_.lines.codec != &kRawDialect;
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
      Write(HalfCloseMessage(options_.lines));
    }
  }

  // Nothing is left to come when every call has ended; but where the session is
  // one call the Close frame is on its way, and says how it ended.
  void CloseAfterLastCall() {
    if (!connection_->calls.all_ended()) return;
    grace_timer_.expires_after(kCloseGrace);
    grace_timer_.async_wait([this](error_code error) {
      if (!error && connection_ != nullptr) Close(connection_->calls.status());
    });
  }

  // Closes unless a message comes first, which starts the wait again.
  void Linger() {
    linger_timer_.expires_after(absl::ToChronoNanoseconds(*options_.linger));
    linger_timer_.async_wait([this](error_code error) {
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
    patience_timer_.async_wait([this](error_code error) {
      if (error || connection_ == nullptr || !connection_->MayWrite()) return;
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
    if (connection_ == nullptr || connection_->closed_as) return;
    connection_->closed_as = std::move(status);
    if (!connection_->MayWrite()) return;  // It is closing already.
    connection_->web_socket.endpoint().Close(CloseCode::kNormal, "");
    AwaitHangup();
    Flush(connection_);
  }

  const DialOptions& options_;
  const UpgradeRequest request_;
  const bool interactive_;
  RandomMasks masks_;

  std::optional<LineMessage> pending_;  // The next one to send.
  bool input_asked_ = false;
  bool input_ended_ = false;
  std::size_t line_number_ = 0;
  std::optional<BadInput> bad_input_;

  bool told_how_to_leave_ = false;
  bool answered_ = false;        // In this session.
  bool leaving_ = false;         // No session comes after this one.
  bool nobody_listens_ = false;  // Standard output is closed.
  bool timed_out_ = false;       // The last step of connecting.
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
  asio::steady_timer step_timer_{io_};
  std::shared_ptr<Connection> connecting_;
  std::shared_ptr<Connection> connection_;
  LineReader input_;
};

}  // namespace

DialEnding RunDial(const DialOptions& options) { return Client(options).Run(); }

}  // namespace headgate
