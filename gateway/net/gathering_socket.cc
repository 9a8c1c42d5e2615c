#include "gateway/net/gathering_socket.h"

#include <boost/asio/error.hpp>

namespace headgate {
namespace {

// What an idle socket may keep for the next message.
constexpr std::size_t kKeptBytes = 256;

}  // namespace

void GatheringSocket::ScheduleSend() {
  if (scheduled_ || blocked_) return;
  scheduled_ = true;
  size_when_scheduled_ = gathered_.size();
  boost::asio::post(socket_.get_executor(),
                    [self = shared_from_this()] { self->SendScheduled(); });
}

void GatheringSocket::SendScheduled() {
  scheduled_ = false;
  if (blocked_ || gathered_.empty()) return;
  // Who has sent more since may be about to do so again.
  if (gathered_.size() > size_when_scheduled_) return ScheduleSend();
  SendNow();
  GoOn();
}

void GatheringSocket::SendNow() {
  if (blocked_ || error_ || gathered_.empty()) return;
  Error error;
  // Else the call would wait for room.
  if (!socket_.non_blocking()) socket_.non_blocking(true, error);
  std::size_t sent = 0;
  if (!error) sent = socket_.send(boost::asio::buffer(gathered_), 0, error);
  bytes_sent_ += sent;
  if (error && error != boost::asio::error::would_block &&
      error != boost::asio::error::try_again) {
    error_ = error;
    gathered_ = std::string();
    return;
  }
  if (sent == gathered_.size()) {
    gathered_.clear();
    if (gathered_.capacity() > kKeptBytes) std::string().swap(gathered_);
    return;
  }
  gathered_.erase(0, sent);
  blocked_ = true;
  socket_.async_wait(
      StreamSocket::wait_write,
      [self = shared_from_this()](Error error) { self->OnWritable(error); });
}

void GatheringSocket::OnWritable(Error error) {
  blocked_ = false;
  if (error) {
    if (!error_) error_ = error;
    gathered_ = std::string();
  }
  SendNow();
  GoOn();
}

void GatheringSocket::GoOn() {
  if (blocked_) return;
  if (waiting_ != nullptr) std::exchange(waiting_, nullptr)();
  if (blocked_ || !gathered_.empty()) return;
  if (on_sent_ != nullptr) std::exchange(on_sent_, nullptr)();
}

void GatheringSocket::WhenSent(std::function<void()> act) {
  on_sent_ = std::move(act);
  SendNow();
  GoOn();
}

void GatheringSocket::Close() {
  SendNow();
  Error ignored;
  socket_.close(ignored);
  if (!error_) error_ = boost::asio::error::operation_aborted;
  gathered_ = std::string();
  if (!blocked_) GoOn();
}

}  // namespace headgate
