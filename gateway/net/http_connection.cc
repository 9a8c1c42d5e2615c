#include <array>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "gateway/net/connection.h"
#include "gateway/net/ws_transport.h"

namespace headgate {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

using Error = boost::beast::error_code;

// The category of what is wrong with a request, as opposed to its connection.
const boost::system::error_category& kHttpErrors =
    Error(http::error::bad_method).category();

// A connection until its request is answered: with a refusal, after which it
// ends, or with 101, when a WsTransport takes the socket over.
class HttpConnection final
    : public Connection,
      public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(TcpSocket socket, const ConnectionSettings& settings,
                 ConnectionHost& host)
      : socket_(std::move(socket)),
        settings_(settings),
        host_(host),
        since_(host.now()),
        buffer_(settings.max_header_bytes + 1) {
    parser_.header_limit(static_cast<std::uint32_t>(settings.max_header_bytes));
  }

  void Start() {
    Error error;
    const auto peer = socket_.remote_endpoint(error);
    if (error) return Finish();  // Gone before it was served.
    peer_.address = peer.address().to_string();
    http::async_read_header(
        socket_, buffer_, parser_,
        beast::bind_front_handler(&HttpConnection::OnRead, shared_from_this()));
  }

  void OnTick(absl::Time now) override {
    if (state_ == State::kReading &&
        now - since_ >= settings_.handshake_timeout) {
      Refuse(HandshakeTooSlow(settings_.handshake_timeout));
    } else if (state_ == State::kRefusing &&
               now - since_ >= settings_.close_timeout) {
      Finish();
    }
  }

  // A request that is still on its way will be answered with 503; there is no
  // reason to wait for one that may never come.
  void Drain() override {
    if (state_ == State::kReading && buffer_.size() == 0) Finish();
  }
  void Abort() override { Finish(); }

 private:
  enum class State { kReading, kRefusing, kFinished };

  void OnRead(Error error, std::size_t bytes) {
    if (state_ != State::kReading) return;
    if (bytes > settings_.max_header_bytes ||
        error == http::error::header_limit ||
        error == http::error::buffer_overflow) {
      return Refuse(HeadersTooLarge(settings_.max_header_bytes));
    }
    if (error && (error.category() != kHttpErrors ||
                  error == http::error::end_of_stream ||
                  error == http::error::partial_message)) {
      return Finish();  // The client is gone.
    }
    if (error) {
      return Refuse(BadRequest("not an HTTP/1.1 request: " + error.message()));
    }
    Judge();
  }

  void Judge() {
    const HttpRequest& request = parser_.get();
    peer_.session_id = host_.NewSessionId();
    const Capacity capacity = host_.Admit();
    std::variant<Refusal, Admission> judgement =
        JudgeHandshake(request, settings_.policy, peer_, capacity);
    if (std::holds_alternative<Admission>(judgement) && buffer_.size() > 0) {
      // RFC 6455 section 4.1: the client waits for the answer.
      judgement = BadRequest("data before the handshake was answered");
    }
    auto* refusal = std::get_if<Refusal>(&judgement);
    if (refusal == nullptr) {
      return Upgrade()->Accept(request,
                               std::get<Admission>(std::move(judgement)));
    }
    if (capacity == Capacity::kFree) host_.Leave();
    if (refusal->how == Refusals::kHttp || buffer_.size() > 0) {
      return Refuse(*std::move(refusal));
    }
    host_.HandshakeRefused(*refusal, peer_.address);
    Upgrade()->AcceptAndClose(request, *refusal);
  }

  // Hands the socket over and leaves the host.
  std::shared_ptr<WsTransport> Upgrade() {
    state_ = State::kFinished;
    auto transport =
        std::make_shared<WsTransport>(std::move(socket_), settings_, host_);
    host_.Add(transport);
    host_.Remove(*this);
    return transport;
  }

  void Refuse(const Refusal& refusal) {
    host_.HandshakeRefused(refusal, peer_.address);
    state_ = State::kRefusing;
    since_ = host_.now();
    response_.version(11);
    response_.result(static_cast<unsigned>(refusal.http_status));
    for (const auto& [name, value] : refusal.headers) {
      response_.insert(name, value);
    }
    response_.set(http::field::server, "headgate");
    response_.set(http::field::content_type, "application/json");
    response_.body() = RefusalBody(refusal);
    response_.prepare_payload();
    response_.keep_alive(false);
    if (refusal.http_status == 426) {
      response_.set(http::field::connection, "close, Upgrade");
    }
    if (parser_.get().method() == http::verb::head) response_.body().clear();
    http::async_write(socket_, response_,
                      [self = shared_from_this()](Error error, std::size_t) {
                        self->OnRefused(error);
                      });
  }

  // Closing at once would reset the connection when the client is still
  // sending, and take the answer from it before it is read.
  void OnRefused(Error error) {
    if (state_ == State::kFinished) return;
    if (error) return Finish();
    Error ignored;
    socket_.shutdown(TcpSocket::shutdown_send, ignored);
    Discard();
  }

  void Discard() {
    socket_.async_read_some(
        asio::buffer(discarded_),
        [self = shared_from_this()](Error error, std::size_t) {
          if (self->state_ == State::kFinished) return;
          if (error) return self->Finish();
          self->Discard();
        });
  }

  void Finish() {
    if (state_ == State::kFinished) return;
    state_ = State::kFinished;
    Error ignored;
    socket_.close(ignored);
    host_.Remove(*this);
  }

  TcpSocket socket_;
  const ConnectionSettings& settings_;
  ConnectionHost& host_;
  Peer peer_;
  State state_ = State::kReading;
  absl::Time since_;  // The state's beginning.
  beast::flat_buffer buffer_;
  http::request_parser<http::empty_body> parser_;
  http::response<http::string_body> response_;
  std::array<char, 512> discarded_;
};

}  // namespace

void ServeConnection(TcpSocket socket, const ConnectionSettings& settings,
                     ConnectionHost& host) {
  auto connection =
      std::make_shared<HttpConnection>(std::move(socket), settings, host);
  host.Add(connection);
  connection->Start();
}

}  // namespace headgate
