#ifndef GATEWAY_NET_GATHERING_SOCKET_H_
#define GATEWAY_NET_GATHERING_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/error.hpp>

#include "gateway/net/stream_socket.h"

namespace headgate {

// A socket that sends with one call what one turn of the loop has for it: a
// call of the kernel costs more than a short message does otherwise.
//
// What is short is copied, and counts as sent; no more than kMostGathered is
// held so. What fails later fails the sends after it. Longer pieces go out from
// where they are.
//
// Thread:   the worker's. At most one AsyncSend is pending.
// Lifetime: shared with what is under way on it.
class GatheringSocket : public std::enable_shared_from_this<GatheringSocket> {
 public:
  using Error = boost::beast::error_code;

  static constexpr std::size_t kMostCopied = 4 * 1024;
  static constexpr std::size_t kMostGathered = 16 * 1024;

  explicit GatheringSocket(StreamSocket socket) : socket_(std::move(socket)) {}

  StreamSocket& socket() { return socket_; }
  // Bytes that the kernel has taken.
  std::uint64_t bytes_sent() const { return bytes_sent_; }

  // `handler` takes an Error and how many bytes were taken, as that of
  // async_write_some does; `buffers` must live until then.
  template <typename Buffers, typename Handler>
  void AsyncSend(const Buffers& buffers, Handler handler) {
    const std::size_t size = boost::asio::buffer_size(buffers);
    const bool is_long = size > kMostCopied;
    if (is_long || gathered_.size() + size > kMostGathered) SendNow();
    if (error_) return Complete(std::move(handler), 0);
    if (is_long && !blocked_) return SendInPlace(buffers, std::move(handler));
    if (is_long || gathered_.size() + size > kMostGathered) {
      waiting_ = [this, buffers,
                  kept = std::make_shared<Handler>(std::move(handler))] {
        AsyncSend(buffers, std::move(*kept));
      };
      return;
    }
    const std::size_t before = gathered_.size();
    gathered_.resize(before + size);
    boost::asio::buffer_copy(boost::asio::buffer(&gathered_[before], size),
                             buffers);
    ScheduleSend();
    Complete(std::move(handler), size);
  }

  // Runs `act` once the kernel has taken everything, or takes nothing more.
  void WhenSent(std::function<void()> act);

  // Gives the kernel what it still takes at once. What is pending fails.
  void Close();

 private:
  template <typename Handler>
  void Complete(Handler handler, std::size_t bytes) {
    boost::asio::post(
        socket_.get_executor(),
        boost::beast::bind_front_handler(std::move(handler), error_, bytes));
  }

  // Requires: nothing is gathered.
  template <typename Buffers, typename Handler>
  void SendInPlace(const Buffers& buffers, Handler handler) {
    blocked_ = true;
    socket_.async_write_some(
        buffers, [self = shared_from_this(), handler = std::move(handler)](
                     Error error, std::size_t bytes) mutable {
          self->bytes_sent_ += bytes;
          self->OnWritable(error);
          handler(error, bytes);
        });
  }

  void ScheduleSend();
  void SendScheduled();
  // Sends what is gathered, as far as the kernel takes it.
  void SendNow();
  void OnWritable(Error error);
  // Goes on with what waited for the kernel to take everything.
  void GoOn();

  StreamSocket socket_;
  std::string gathered_;
  Error error_;           // Of an earlier send; nothing is sent after it.
  bool blocked_ = false;  // Waits for the kernel, or sends in place.
  bool scheduled_ = false;
  std::size_t size_when_scheduled_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::function<void()> waiting_;  // The AsyncSend that found no room.
  std::function<void()> on_sent_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_GATHERING_SOCKET_H_
