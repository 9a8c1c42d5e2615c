#include "gateway/net/socket_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "gateway/net/bytes_taken.h"

namespace headgate {
namespace {

bool IsWouldBlock(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// As sendmsg(2); a single piece is cheaper without a list of them.
ssize_t Send(int socket, absl::Span<const absl::string_view> pieces) {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  std::array<iovec, ByteStream::kMostPieces> buffers;
  std::size_t count = 0;
  for (const absl::string_view piece : pieces) {
    if (piece.empty()) continue;
    if (count == buffers.size()) break;
    buffers[count++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  if (count == 1) {
    return send(socket, buffers[0].iov_base, buffers[0].iov_len, kFlags);
  }
  msghdr message = {};
  message.msg_iov = buffers.data();
  message.msg_iovlen = count;
  return sendmsg(socket, &message, kFlags);
}

}  // namespace

void SocketStream::SetUser(User* user) {
  user_ = user;
  reading_.awaited = writing_.awaited = false;
}

void SocketStream::AwaitReadable() {
  Await<StreamSocket::wait_read, &SocketStream::reading_, &User::OnReadable>();
}

void SocketStream::AwaitWritable() {
  Await<StreamSocket::wait_write, &SocketStream::writing_, &User::OnWritable>();
}

template <StreamSocket::wait_type what,
          SocketStream::Readiness SocketStream::*readiness,
          void (ByteStream::User::*event)()>
void SocketStream::Await() {
  (this->*readiness).awaited = true;
  if (std::exchange((this->*readiness).pending, true)) return;
  socket_.async_wait(what, [self = shared_from_this()](Error error) {
    (*self.*readiness).pending = false;
    if (!std::exchange((*self.*readiness).awaited, false)) return;
    if (error) self->wait_error_ = error;
    if (self->user_ != nullptr) (self->user_->*event)();
  });
}

ByteStream::Result SocketStream::Failed(int error) {
  return {Result::Kind::kFailed, 0,
          absl::UnavailableError(
              Error(error, boost::system::system_category()).message())};
}

ByteStream::Result SocketStream::Read(absl::Span<char> buffer) {
  if (wait_error_) return Failed(wait_error_.value());
  const ssize_t bytes =
      recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (bytes > 0) {
    return {Result::Kind::kDone, static_cast<std::size_t>(bytes), {}};
  }
  if (bytes == 0) {
    return {Result::Kind::kEnd, 0, absl::UnavailableError("End of file")};
  }
  if (IsWouldBlock(errno)) return {Result::Kind::kWouldBlock, 0, {}};
  return Failed(errno);
}

ByteStream::Result SocketStream::Write(
    absl::Span<const absl::string_view> pieces) {
  if (wait_error_) return Failed(wait_error_.value());
  const ssize_t bytes = Send(socket_.native_handle(), pieces);
  if (bytes >= 0) {
    bytes_written_ += static_cast<std::uint64_t>(bytes);
    return {Result::Kind::kDone, static_cast<std::size_t>(bytes), {}};
  }
  if (IsWouldBlock(errno)) return {Result::Kind::kWouldBlock, 0, {}};
  return Failed(errno);
}

void SocketStream::EndWrite() {
  Error ignored;
  socket_.shutdown(StreamSocket::shutdown_send, ignored);
}

void SocketStream::Close() {
  SetUser(nullptr);
  Error ignored;
  socket_.close(ignored);
  place_.reset();
  address_place_.reset();
}

std::uint64_t SocketStream::BytesTaken() {
  return headgate::BytesTaken(socket_.native_handle(), bytes_written_);
}

}  // namespace headgate
