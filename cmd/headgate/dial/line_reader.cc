#include "cmd/headgate/dial/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace headgate {

LineReader::LineReader(int fd, std::function<void(Event)> handler)
    : fd_(fd), handler_(std::move(handler)) {
  // Without the pipe the destructor waits for the input's end; that is the
  // worst that can come of a failure.
  if (pipe2(wake_, O_CLOEXEC) != 0) wake_[0] = wake_[1] = -1;
  thread_ = std::thread([this] { Run(); });
}

LineReader::~LineReader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (wake_[1] >= 0) close(wake_[1]);
  thread_.join();
  if (wake_[0] >= 0) close(wake_[0]);
}

void LineReader::Next() {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_one();
}

void LineReader::Run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return wanted_ || stopping_; });
      if (stopping_) return;
      wanted_ = false;
    }
    Event event = ReadEvent();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    handler_(std::move(event));
  }
}

LineReader::Event LineReader::ReadEvent() {
  constexpr std::size_t kReadBytes = 64 * 1024;
  for (;;) {
    const std::size_t newline = buffer_.find('\n', searched_);
    if (newline != std::string::npos) {
      Line line{buffer_.substr(0, newline)};
      buffer_.erase(0, newline + 1);
      searched_ = 0;
      return line;
    }
    searched_ = buffer_.size();
    if (buffer_.size() > kMaxLineBytes) return TooLong{};
    if (at_end_) {
      if (buffer_.empty()) return End{};
      searched_ = 0;
      return Line{std::exchange(buffer_, "")};
    }
    if (WaitForInput() == Wait::kStopped) return End{};
    buffer_.resize(searched_ + kReadBytes);
    const ssize_t got = read(fd_, buffer_.data() + searched_, kReadBytes);
    buffer_.resize(searched_ + (got > 0 ? got : 0));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) at_end_ = true;
  }
}

LineReader::Wait LineReader::WaitForInput() {
  pollfd fds[] = {{fd_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
  while (poll(fds, 2, -1) < 0) {
    if (errno != EINTR) return Wait::kStopped;
  }
  return fds[1].revents != 0 ? Wait::kStopped : Wait::kReadable;
}

}  // namespace headgate
