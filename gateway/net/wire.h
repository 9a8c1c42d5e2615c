#ifndef GATEWAY_NET_WIRE_H_
#define GATEWAY_NET_WIRE_H_

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <boost/beast/core/error.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/websocket/teardown.hpp>

#include "gateway/net/connection.h"

namespace headgate {

// A TCP socket that counts how often it was asked to send. A long message goes
// out in several sends, each started once the socket had room again, so the
// count tells a slow client from one that takes nothing at all.
//
// An AsyncStream in the sense of Beast. Thread: the worker's. The socket
// outlives the Wire until a teardown under way has completed.
class Wire {
 public:
  using executor_type = TcpSocket::executor_type;

  explicit Wire(TcpSocket socket)
      : socket_(std::make_shared<TcpSocket>(std::move(socket))) {}

  executor_type get_executor() noexcept { return socket_->get_executor(); }
  const std::shared_ptr<TcpSocket>& socket() { return socket_; }
  std::uint64_t sends_started() const { return sends_started_; }

  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    return socket_->async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    ++sends_started_;
    return socket_->async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  std::shared_ptr<TcpSocket> socket_;
  std::uint64_t sends_started_ = 0;
};

// What Beast looks up to end a connection.
template <typename Handler>
void async_teardown(boost::beast::role_type role, Wire& wire,
                    Handler&& handler) {
  // The operation refers to the socket even after it was cancelled.
  boost::beast::websocket::async_teardown(
      role, *wire.socket(),
      [socket = wire.socket(),
       handler = std::decay_t<Handler>(std::forward<Handler>(handler))](
          boost::beast::error_code error) mutable { handler(error); });
}
inline void teardown(boost::beast::role_type role, Wire& wire,
                     boost::beast::error_code& error) {
  boost::beast::websocket::teardown(role, *wire.socket(), error);
}
inline void beast_close_socket(Wire& wire) {
  boost::beast::error_code ignored;
  wire.socket()->close(ignored);
}

}  // namespace headgate

#endif  // GATEWAY_NET_WIRE_H_
