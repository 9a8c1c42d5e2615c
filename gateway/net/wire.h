#ifndef GATEWAY_NET_WIRE_H_
#define GATEWAY_NET_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/error.hpp>

#include "gateway/net/bytes_taken.h"
#include "gateway/net/place.h"
#include "gateway/net/stream_socket.h"

namespace headgate {

// A socket, with TLS or without, that knows whether the other end takes
// anything of what is sent: that tells a slow client from one that is gone.
//
// An AsyncStream in the sense of Asio. Thread: the worker's. The socket
// outlives the Wire until what is under way on it has completed. Moving it
// leaves nothing behind that may be used.
class Wire {
 public:
  using executor_type = StreamSocket::executor_type;
  using Error = boost::beast::error_code;

  // `place`: given back when the socket is closed; may be null.
  explicit Wire(StreamSocket socket, std::unique_ptr<Place> place = nullptr)
      : state_(std::make_shared<State>(std::move(socket), std::move(place))) {}

  // A second place, given back with the first.
  void Hold(std::unique_ptr<Place> place) {
    state_->address_place = std::move(place);
  }

  executor_type get_executor() noexcept {
    return state_->socket.get_executor();
  }
  StreamSocket& socket() { return state_->socket; }

  bool is_tls() const { return state_->tls.has_value(); }
  // Requires: is_tls().
  SSL* tls_handle() { return state_->tls->native_handle(); }

  // Speaks TLS from here on, as a server; `handler` takes an Error. To be
  // called once, before anything was read or written.
  template <typename Handler>
  void AsyncStartTls(const std::shared_ptr<boost::asio::ssl::context>& context,
                     Handler handler) {
    state_->tls.emplace(state_->socket, *context);
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

  void Close() {
    Error ignored;
    state_->socket.close(ignored);
    state_->place.reset();
    state_->address_place.reset();
  }

  // Without TLS one can wait until the socket can be read or written, and do so
  // then: who waits needs no buffer. `handler` takes an Error. What
  // ReadNow and WriteNow cannot do at once fails with would_block.
  template <typename Handler>
  void AsyncWait(StreamSocket::wait_type what, Handler&& handler) {
    state_->socket.async_wait(what, std::forward<Handler>(handler));
  }
  std::size_t ReadNow(boost::asio::mutable_buffer buffer, Error& error) {
    if (!NeverWait(error)) return 0;
    return state_->socket.read_some(buffer, error);
  }
  template <typename Buffers>
  std::size_t WriteNow(const Buffers& buffers, Error& error) {
    if (!NeverWait(error)) return 0;
    const std::size_t bytes = state_->socket.write_some(buffers, error);
    state_->bytes_written += bytes;
    return bytes;
  }

  // A number that changes whenever the other end takes something of what was
  // sent: what the kernel reports writable comes in leaps of a good part of its
  // buffer, which may take a slow client minutes.
  std::uint64_t BytesTaken() {
    return headgate::BytesTaken(state_->socket.native_handle(),
                                state_->bytes_written);
  }

  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (state_->tls) {
      return state_->tls->async_read_some(
          buffers, Keeping<Handler>{state_, std::forward<Handler>(handler)});
    }
    return state_->socket.async_read_some(buffers,
                                          std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    Sending<Handler> sending{state_, std::forward<Handler>(handler)};
    if (state_->tls) {
      return state_->tls->async_write_some(buffers, std::move(sending));
    }
    return state_->socket.async_write_some(buffers, std::move(sending));
  }

 private:
  struct State {
    State(StreamSocket s, std::unique_ptr<Place> p)
        : place(std::move(p)), socket(std::move(s)) {}

    std::unique_ptr<Place> place;
    std::unique_ptr<Place> address_place;
    StreamSocket socket;
    std::optional<boost::asio::ssl::stream<StreamSocket&>> tls;
    std::uint64_t bytes_written = 0;
  };

  bool NeverWait(Error& error) {
    error = {};
    if (!state_->socket.non_blocking()) {
      state_->socket.non_blocking(true, error);
    }
    return !error;
  }

  // An operation of TLS refers to the stream even after it was cancelled.
  template <typename Handler>
  struct Keeping {
    std::shared_ptr<State> state;
    std::decay_t<Handler> handler;
    void operator()(Error error, std::size_t bytes) { handler(error, bytes); }
  };

  template <typename Handler>
  struct Sending {
    std::shared_ptr<State> state;
    std::decay_t<Handler> handler;
    void operator()(Error error, std::size_t bytes) {
      state->bytes_written += bytes;
      handler(error, bytes);
    }
  };

  std::shared_ptr<State> state_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_WIRE_H_
