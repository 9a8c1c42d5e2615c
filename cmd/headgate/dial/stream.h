#ifndef CMD_HEADGATE_DIAL_STREAM_H_
#define CMD_HEADGATE_DIAL_STREAM_H_

#include <memory>
#include <utility>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/teardown.hpp>

namespace headgate {

// What a WebSocket runs on, chosen at run time: TCP or a socket file, plain or
// with TLS. An AsyncStream, as Beast has it, of which Beast's WebSocket stream
// asks nothing else.
//
// Thread: that of its io_context.
class DialStream {
 public:
  using Socket =
      boost::beast::basic_stream<boost::asio::generic::stream_protocol>;
  using Tls = boost::asio::ssl::stream<Socket&>;
  using executor_type = Socket::executor_type;

  explicit DialStream(boost::asio::io_context& io) : socket_(io) {}

  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  // Null without TLS.
  Tls* tls() { return tls_.get(); }

  // From now on what is read and written goes through TLS, whose handshake is
  // for the caller to do. Requires: no operation is pending. `context` must
  // outlive the stream.
  Tls& StartTls(boost::asio::ssl::context& context) {
    tls_ = std::make_unique<Tls>(socket_, context);
    return *tls_;
  }

  void Close() { socket_.close(); }

  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_ != nullptr) {
      return tls_->async_read_some(buffers, std::forward<Handler>(handler));
    }
    return socket_.async_read_some(buffers, std::forward<Handler>(handler));
  }

  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_ != nullptr) {
      return tls_->async_write_some(buffers, std::forward<Handler>(handler));
    }
    return socket_.async_write_some(buffers, std::forward<Handler>(handler));
  }

  // How Beast ends the connection below a WebSocket, found by these names.
  template <typename Handler>
  friend void async_teardown(boost::beast::role_type role, DialStream& stream,
                             Handler&& handler) {
    using boost::beast::websocket::async_teardown;
    if (stream.tls_ != nullptr) {
      return async_teardown(role, *stream.tls_, std::forward<Handler>(handler));
    }
    async_teardown(role, stream.socket_, std::forward<Handler>(handler));
  }
  friend void beast_close_socket(DialStream& stream) { stream.Close(); }

 private:
  Socket socket_;
  std::unique_ptr<Tls> tls_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_STREAM_H_
