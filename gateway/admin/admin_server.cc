#include "gateway/admin/admin_server.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <set>
#include <utility>
#include <vector>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/admin/admin_handlers.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/net/listening_socket.h"
#include "gateway/net/stream_socket.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Error = boost::beast::error_code;

constexpr std::size_t kMaxHeadBytes = 8 * 1024;
constexpr std::size_t kMaxBodyBytes = 4 * 1024;
// What may wait to be parsed: also what is neither head nor body, such as a
// chunk's extensions, which the parser does not limit.
constexpr std::size_t kMaxBufferedBytes = 16 * 1024;
static_assert(kMaxBufferedBytes > kMaxHeadBytes);
constexpr std::size_t kMostTaps = 4;
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);

class AdminConnection;

// What connections need of their server.
class ConnectionOwner {
 public:
  virtual void Handle(const AdminRequest& request, AdminResponder respond) = 0;
  virtual void Gone(AdminConnection& connection) = 0;
  // Counts up: what has the lower number has lasted longer.
  virtual std::uint64_t NextTurn() = 0;
  // Null: there are too many.
  virtual std::unique_ptr<TapStream> OpenTap(const TapRequest& request,
                                             std::function<void()> ready) = 0;

 protected:
  ~ConnectionOwner() = default;
};

// One connection: a request, its answer, the next request.
//
// Lifetime: shared by its owner and the operations it has started; Close cuts
// it off, after which it does not touch its owner.
class AdminConnection final
    : public std::enable_shared_from_this<AdminConnection> {
 public:
  // What it waits for; the first ones give way first.
  enum class State { kRequest, kResponseTaken, kGateway, kTap };

  AdminConnection(StreamSocket socket, absl::Duration patience,
                  ConnectionOwner& owner)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        patience_(patience),
        owner_(&owner) {}

  // What gives way first is the least: by its state, then by how long.
  std::pair<State, std::uint64_t> rank() const { return {state_, since_}; }

  void Read() {
    Enter(State::kRequest);
    is_head_ = false;
    parser_.emplace();
    parser_->header_limit(kMaxHeadBytes);
    parser_->body_limit(kMaxBodyBytes);
    Limit();
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](Error error, std::size_t) {
                       self->OnRead(error);
                     });
  }

  void Close() {
    owner_ = nullptr;
    Error ignored;
    socket_.close(ignored);
    timer_.cancel();
    tap_.reset();
  }

  bool is_tap() const { return state_ == State::kTap; }

 private:
  void Enter(State state) {
    state_ = state;
    since_ = owner_->NextTurn();
  }

  void Limit() {
    timer_.expires_after(absl::ToChronoNanoseconds(patience_));
    timer_.async_wait([self = shared_from_this()](Error cancelled) {
      if (!cancelled) self->Finish();
    });
  }

  void Finish() {
    if (owner_ == nullptr) return;
    ConnectionOwner& owner = *owner_;
    Close();
    owner.Gone(*this);
  }

  void OnRead(Error error) {
    if (owner_ == nullptr) return;
    if (error == http::error::header_limit ||
        error == http::error::body_limit) {
      keep_alive_ = false;
      return Write(AdminFault(error == http::error::body_limit ? 413 : 431,
                              absl::StatusCode::kResourceExhausted,
                              "the request is too long"));
    }
    const bool malformed =
        error && error.category() ==
                     http::make_error_code(http::error::bad_version).category();
    if (malformed && error != http::error::end_of_stream &&
        error != http::error::partial_message) {
      keep_alive_ = false;
      return Write(AdminFault(400, absl::StatusCode::kInvalidArgument,
                              "not an HTTP/1.1 request"));
    }
    if (error) return Finish();
    const auto& message = parser_->get();
    keep_alive_ = message.keep_alive();
    is_head_ = message.method() == http::verb::head;
    const auto header = [&](const char* name) {
      const auto value = message[name];
      return std::string(value.data(), value.size());
    };
    const auto target = message.target();
    const auto method = message.method_string();
    AdminRequest request;
    request.method.assign(method.data(), method.size());
    request.target.assign(target.data(), target.size());
    request.host = header("Host");
    request.origin = header("Origin");
    request.sec_fetch_site = header("Sec-Fetch-Site");
    request.authorization = header("Authorization");
    Enter(State::kGateway);
    owner_->Handle(request,
                   [self = shared_from_this()](AdminResponse response) {
                     if (self->owner_ != nullptr) {
                       self->Respond(std::move(response));
                     }
                   });
  }

  void Respond(AdminResponse response) {
    if (!response.tap || is_head_) return Write(std::move(response));
    tap_ = owner_->OpenTap(*response.tap, [self = weak_from_this()] {
      const auto connection = self.lock();
      if (connection != nullptr) connection->WriteLines();
    });
    if (tap_ == nullptr) {
      return Write(AdminFault(503, absl::StatusCode::kUnavailable,
                              "there are too many taps"));
    }
    Enter(State::kTap);
    lines_ = absl::StrCat(
        "HTTP/1.1 200 OK\r\nServer: headgate\r\nContent-Type: ",
        response.content_type,
        "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n");
    AwaitLeave();
    WriteLines();
  }

  // What a tap's client sends is dropped; that it leaves ends the tap.
  void AwaitLeave() {
    socket_.async_read_some(
        asio::buffer(ignored_),
        [self = shared_from_this()](Error error, std::size_t) {
          if (self->owner_ == nullptr) return;
          if (error) return self->Finish();
          self->AwaitLeave();
        });
  }

  // Goes on as long as there are lines; then the tap says when there are more.
  // A client that is silent hears an empty line now and then, which also shows
  // whether it is still there.
  void WriteLines() {
    if (owner_ == nullptr || is_writing_lines_) return;
    if (lines_.empty()) lines_ = tap_->Take(SteadyNow());
    if (lines_.empty()) return AwaitSilence();
    is_writing_lines_ = true;
    Limit();
    asio::async_write(socket_, asio::buffer(lines_),
                      [self = shared_from_this()](Error error, std::size_t) {
                        self->OnLinesWritten(error);
                      });
  }

  void OnLinesWritten(Error error) {
    is_writing_lines_ = false;
    lines_.clear();
    if (owner_ == nullptr) return;
    if (error) return Finish();
    WriteLines();
  }

  void AwaitSilence() {
    timer_.expires_after(absl::ToChronoNanoseconds(patience_));
    timer_.async_wait([self = shared_from_this()](Error cancelled) {
      if (cancelled || self->owner_ == nullptr) return;
      if (self->lines_.empty()) self->lines_ = "\n";
      self->WriteLines();
    });
  }

  void Write(AdminResponse response) {
    response_ = {static_cast<http::status>(response.status), 11};
    response_.set(http::field::server, "headgate");
    response_.set(http::field::content_type, response.content_type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers) {
      response_.set(name, value);
    }
    response_.keep_alive(keep_alive_);
    response_.content_length(response.body.size());
    if (!is_head_) response_.body() = std::move(response.body);
    Enter(State::kResponseTaken);
    Limit();
    http::async_write(socket_, response_,
                      [self = shared_from_this()](Error error, std::size_t) {
                        self->OnWritten(error);
                      });
  }

  void OnWritten(Error error) {
    if (owner_ == nullptr) return;
    if (error || !keep_alive_) return Finish();
    Read();
  }

  StreamSocket socket_;
  asio::steady_timer timer_;
  const absl::Duration patience_;
  ConnectionOwner* owner_;  // Null once closed.
  State state_ = State::kRequest;
  std::uint64_t since_ = 0;  // When it came into the state, by NextTurn.
  boost::beast::flat_buffer buffer_{kMaxBufferedBytes};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  bool keep_alive_ = false;
  bool is_head_ = false;
  // In kTap.
  std::unique_ptr<TapStream> tap_;
  std::string lines_;  // That are being written, or to be written next.
  bool is_writing_lines_ = false;
  std::array<char, 256> ignored_;
};

class AdminServerImpl final : public AdminServer, private ConnectionOwner {
 public:
  AdminServerImpl(std::vector<ListeningSocket> sockets,
                  const AdminSettings& settings, asio::io_context& control,
                  Gateway& gateway, std::size_t max_connections,
                  absl::Duration patience)
      : gateway_(gateway),
        control_(control),
        max_connections_(max_connections),
        patience_(patience),
        address_(sockets.front().address()) {
    listener_.settings = settings;
    // "[::1]:9901" or "127.0.0.1:9901"; who reaches a socket file is here.
    listener_.is_loopback = absl::StartsWith(address_, "127.") ||
                            absl::StartsWith(address_, "[::1]") ||
                            absl::StartsWith(address_, "unix:");
    for (ListeningSocket& socket : sockets) {
      Accept(listeners_.emplace_back(control, std::move(socket)));
    }
  }

  ~AdminServerImpl() override {
    for (Listener& listener : listeners_) {
      Error ignored;
      listener.acceptor.close(ignored);
      listener.retry.cancel();
    }
    for (const auto& connection : connections_) connection->Close();
  }

  const std::string& address() const override { return address_; }

 private:
  struct Listener {
    Listener(asio::io_context& control, ListeningSocket from)
        : socket(std::move(from)), acceptor(control), retry(control) {
      acceptor.assign(asio::generic::stream_protocol(socket.family(), 0),
                      socket.Release());
    }
    ListeningSocket socket;  // Its file, when it is one.
    asio::basic_socket_acceptor<asio::generic::stream_protocol,
                                asio::io_context::executor_type>
        acceptor;
    asio::steady_timer retry;
  };

  void Accept(Listener& listener) {
    // A connection that was accepted before the end comes after it, too.
    listener.acceptor.async_accept(
        [this, &listener, alive = std::weak_ptr<const bool>(alive_)](
            Error error, StreamSocket socket) {
          if (!alive.expired()) OnAccept(listener, error, std::move(socket));
        });
  }

  void OnAccept(Listener& listener, Error error, StreamSocket socket) {
    if (error) {
      LogRepeated(LogLevel::kError,
                  "the admin listener cannot accept a connection",
                  {{"reason", error.message()}});
      return AcceptLater(listener);
    }
    // Clients that open connections and send nothing shut out nobody: a request
    // that comes at once has been answered before as many others have come.
    if (connections_.size() >= max_connections_) GiveWay();
    listener.socket.SetOptions(socket.native_handle());
    auto connection = std::make_shared<AdminConnection>(
        std::move(socket), patience_, static_cast<ConnectionOwner&>(*this));
    connections_.insert(connection);
    connection->Read();
    Accept(listener);
  }

  void GiveWay() {
    const auto first = std::min_element(
        connections_.begin(), connections_.end(),
        [](const auto& a, const auto& b) { return a->rank() < b->rank(); });
    LogRepeated(LogLevel::kWarning,
                "an admin connection gives way to a new one",
                {{"listener", address_}});
    (*first)->Close();
    connections_.erase(first);
  }

  void AcceptLater(Listener& listener) {
    listener.retry.expires_after(kAcceptRetry);
    listener.retry.async_wait(
        [this, &listener,
         alive = std::weak_ptr<const bool>(alive_)](Error cancelled) {
          if (!cancelled && !alive.expired()) Accept(listener);
        });
  }

  void Handle(const AdminRequest& request, AdminResponder respond) override {
    HandleAdmin(request, listener_, gateway_, std::move(respond));
  }

  void Gone(AdminConnection& connection) override {
    connections_.erase(connection.shared_from_this());
  }

  std::uint64_t NextTurn() override { return ++turn_; }

  std::unique_ptr<TapStream> OpenTap(const TapRequest& request,
                                     std::function<void()> ready) override {
    const auto taps =
        std::count_if(connections_.begin(), connections_.end(),
                      [](const auto& other) { return other->is_tap(); });
    if (taps >= static_cast<std::ptrdiff_t>(kMostTaps)) return nullptr;
    return std::make_unique<TapStream>(
        request, gateway_,
        [&control = control_](std::function<void()> task) {
          asio::post(control, std::move(task));
        },
        std::move(ready));
  }

  Gateway& gateway_;
  asio::io_context& control_;
  const std::size_t max_connections_;
  const absl::Duration patience_;
  const std::string address_;
  AdminListener listener_;
  std::uint64_t turn_ = 0;
  std::list<Listener> listeners_;
  std::set<std::shared_ptr<AdminConnection>> connections_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(
    const AdminSettings& settings, asio::io_context& control, Gateway& gateway,
    std::size_t max_connections, absl::Duration patience) {
  ListenerSettings listener;
  listener.address = settings.address;
  absl::StatusOr<std::vector<ListeningSocket>> sockets = OpenListener(listener);
  if (!sockets.ok()) return sockets.status();
  return std::make_unique<AdminServerImpl>(*std::move(sockets), settings,
                                           control, gateway, max_connections,
                                           patience);
}

}  // namespace headgate
