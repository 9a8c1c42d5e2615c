#ifndef GATEWAY_NET_WIRE_H_
#define GATEWAY_NET_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/websocket/teardown.hpp>

#include "gateway/net/bytes_taken.h"
#include "gateway/net/gathering_socket.h"
#include "gateway/net/stream_socket.h"

namespace headgate {

// A socket, with TLS or without, that knows whether the other end takes
// anything of what is sent: that tells a slow client from one that is gone.
//
// An AsyncStream in the sense of Beast. Thread: the worker's. The socket
// outlives the Wire until what is under way on it has completed. Moving it
// leaves nothing behind that may be used.
class Wire {
 public:
  using executor_type = StreamSocket::executor_type;
  using Error = boost::beast::error_code;

  explicit Wire(StreamSocket socket)
      : state_(std::make_shared<State>(std::move(socket))) {}

  executor_type get_executor() noexcept {
    return state_->socket().get_executor();
  }
  StreamSocket& socket() { return state_->socket(); }

  bool is_tls() const { return state_->tls.has_value(); }
  // Requires: is_tls().
  SSL* tls_handle() { return state_->tls->native_handle(); }

  // Speaks TLS from here on, as a server; `handler` takes an Error. To be
  // called once, before anything was read or written.
  template <typename Handler>
  void AsyncStartTls(const std::shared_ptr<boost::asio::ssl::context>& context,
                     Handler handler) {
    state_->tls.emplace(state_->socket(), *context);
    state_->tls->async_handshake(
        boost::asio::ssl::stream_base::server,
        [state = state_, context, handler = std::move(handler)](
            Error error) mutable { handler(error); });
  }

  // Says by TLS that nothing more will be sent; `handler` takes an Error, and
  // comes once the peer has said the same. Requires: is_tls().
  template <typename Handler>
  void AsyncShutdownTls(Handler handler) {
    state_->tls->async_shutdown([state = state_, handler = std::move(handler)](
                                    Error error) mutable { handler(error); });
  }

  void Close() { state_->Close(); }

  // From here on what is sent without TLS is gathered (GatheringSocket).
  void GatherSends() { state_->gathers = true; }
  // Runs `act` when nothing is gathered any more, perhaps at once.
  void WhenSent(std::function<void()> act) { state_->WhenSent(std::move(act)); }

  // A number that changes whenever the other end takes something of what was
  // sent: what the kernel reports writable comes in leaps of a good part of its
  // buffer, which may take a slow client minutes.
  std::uint64_t BytesTaken() {
    return headgate::BytesTaken(state_->socket().native_handle(),
                                state_->bytes_sent() + state_->bytes_written);
  }

  // Runs `act` once no send is under way: at once, or when the last has
  // completed. What sends (asio::async_write) refers to the Wire by address
  // until then, also after Close, so that whoever owns it must not go sooner.
  void WhenQuiet(std::function<void()> act) {
    if (state_->sends_under_way == 0) return act();
    state_->when_quiet = std::move(act);
  }

  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (state_->tls) {
      return state_->tls->async_read_some(
          buffers, Keeping<Handler>{state_, std::forward<Handler>(handler)});
    }
    return state_->socket().async_read_some(buffers,
                                            std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    ++state_->sends_under_way;
    Sending<Handler> sending{state_, std::forward<Handler>(handler)};
    if (state_->tls) {
      return state_->tls->async_write_some(buffers, std::move(sending));
    }
    if (state_->gathers) {
      return state_->AsyncSend(buffers, std::move(sending));
    }
    return state_->socket().async_write_some(buffers, std::move(sending));
  }

 private:
  struct State final : GatheringSocket {
    using GatheringSocket::GatheringSocket;
    std::optional<boost::asio::ssl::stream<StreamSocket&>> tls;
    bool gathers = false;
    int sends_under_way = 0;
    std::uint64_t bytes_written = 0;  // Without being gathered.
    std::function<void()> when_quiet;
  };

  // An operation of TLS refers to the stream even after it was cancelled.
  template <typename Handler>
  struct Keeping {
    std::shared_ptr<State> state;
    std::decay_t<Handler> handler;
    void operator()(Error error, std::size_t bytes) { handler(error, bytes); }
  };

  // A send of several pieces starts the next within the completion of the one
  // before.
  template <typename Handler>
  struct Sending {
    std::shared_ptr<State> state;
    std::decay_t<Handler> handler;
    void operator()(Error error, std::size_t bytes) {
      const std::shared_ptr<State> kept = state;
      if (!kept->gathers) kept->bytes_written += bytes;
      handler(error, bytes);
      if (--kept->sends_under_way == 0 && kept->when_quiet != nullptr) {
        std::exchange(kept->when_quiet, nullptr)();
      }
    }
  };

  std::shared_ptr<State> state_;
};

// What Beast looks up to end a connection (RFC 6455 section 7.1.1).
template <typename Handler>
void async_teardown(boost::beast::role_type role, Wire& wire,
                    Handler&& handler) {
  if (wire.is_tls())
    return wire.AsyncShutdownTls(std::forward<Handler>(handler));
  auto kept =
      std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(handler));
  wire.WhenSent([role, wire, kept]() mutable {
    // The operation refers to the socket even after it was cancelled.
    boost::beast::websocket::async_teardown(
        role, wire.socket(),
        [wire, kept](boost::beast::error_code error) { (*kept)(error); });
  });
}
inline void teardown(boost::beast::role_type role, Wire& wire,
                     boost::beast::error_code& error) {
  boost::beast::websocket::teardown(role, wire.socket(), error);
}
inline void beast_close_socket(Wire& wire) { wire.Close(); }

}  // namespace headgate

#endif  // GATEWAY_NET_WIRE_H_
