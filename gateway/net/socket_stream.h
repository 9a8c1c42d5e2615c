#ifndef GATEWAY_NET_SOCKET_STREAM_H_
#define GATEWAY_NET_SOCKET_STREAM_H_

#include <cstdint>
#include <memory>

#include <boost/system/error_code.hpp>

#include "gateway/net/byte_stream.h"
#include "gateway/net/place.h"
#include "gateway/net/stream_socket.h"

namespace headgate {

// A connected TCP or Unix socket.
class SocketStream final : public ByteStream,
                           public std::enable_shared_from_this<SocketStream> {
 public:
  // The places are given back when the socket is closed; each may be null.
  SocketStream(StreamSocket socket, std::unique_ptr<Place> place,
               std::unique_ptr<Place> address_place)
      : socket_(std::move(socket)),
        place_(std::move(place)),
        address_place_(std::move(address_place)) {}

  // The place of its address among the connections, where it is counted later
  // than the connection.
  void Hold(std::unique_ptr<Place> address_place) {
    address_place_ = std::move(address_place);
  }

  void SetUser(User* user) override;
  void AwaitReadable() override;
  void AwaitWritable() override;
  Result Read(absl::Span<char> buffer) override;
  Result Write(absl::Span<const absl::string_view> pieces) override;
  void EndWrite() override;
  void Close() override;
  std::uint64_t BytesTaken() override;
  // The kernel counts what was acknowledged from the SYN on.
  std::uint64_t BytesWritten() const override { return bytes_written_ + 1; }
  std::size_t held_bytes() const override { return 0; }
  StreamSocket::executor_type executor() override {
    return socket_.get_executor();
  }

 private:
  using Error = boost::system::error_code;

  // One direction's readiness. An operation of the loop's outlives the wish for
  // it, and serves the next one.
  struct Readiness {
    bool awaited = false;
    bool pending = false;  // The loop waits for it.
  };

  template <StreamSocket::wait_type what, Readiness SocketStream::*readiness,
            void (User::*event)()>
  void Await();
  static Result Failed(int error);

  StreamSocket socket_;
  std::unique_ptr<Place> place_;
  std::unique_ptr<Place> address_place_;
  User* user_ = nullptr;
  Readiness reading_;
  Readiness writing_;
  Error wait_error_;  // The loop cannot wait for the socket.
  std::uint64_t bytes_written_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_NET_SOCKET_STREAM_H_
