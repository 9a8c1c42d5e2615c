#include "gateway/base/line_writer.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "gateway/base/clock.h"

namespace headgate {
namespace {

// A pipe that poll calls writable takes so much without blocking.
constexpr std::size_t kMaxWriteBytes = PIPE_BUF;

// Milliseconds for poll, rounded up; -1: without end.
int PollTimeout(absl::Duration left) {
  if (left == absl::InfiniteDuration()) return -1;
  return static_cast<int>(absl::ToInt64Milliseconds(
      absl::Ceil(std::clamp(left, absl::ZeroDuration(), absl::Hours(1)),
                 absl::Milliseconds(1))));
}

}  // namespace

bool WriteWithin(int fd, absl::string_view text, absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  while (!text.empty()) {
    pollfd ready = {fd, POLLOUT, 0};
    const int count = poll(&ready, 1, PollTimeout(deadline - SteadyNow()));
    if (count == 0) return false;
    if (count < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    const ssize_t written =
        write(fd, text.data(), std::min(text.size(), kMaxWriteBytes));
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      // Another writer took the room, or poll was wrong about it.
      absl::SleepFor(absl::Milliseconds(10));
      if (SteadyNow() >= deadline) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

LineWriter::LineWriter(int fd, std::size_t max_bytes,
                       std::function<std::string(std::uint64_t)> report)
    : fd_(fd), queue_(max_bytes, std::move(report)) {
  // Signals are for other threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { Run(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LineWriter::Write(std::string line) {
  const std::lock_guard lock(mutex_);
  queue_.Push(std::move(line));
  if (std::exchange(is_idle_, false)) changed_.notify_all();
}

bool LineWriter::Flush(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  ++flushing_;
  const bool flushed = changed_.wait_for(
      lock, absl::ToChronoNanoseconds(timeout), [this] { return is_idle_; });
  --flushing_;
  return flushed;
}

std::uint64_t LineWriter::dropped() const {
  const std::lock_guard lock(mutex_);
  return queue_.dropped();
}

void LineWriter::Run() {
  pthread_setname_np(pthread_self(), "log");
  std::unique_lock lock(mutex_);
  for (;;) {
    const std::optional<LineQueue::Entry> entry = queue_.Pop();
    if (!entry) {
      is_idle_ = true;
      if (flushing_ > 0) changed_.notify_all();
      changed_.wait(lock, [this] { return !is_idle_; });
      continue;
    }
    lock.unlock();
    const bool written =
        WriteWithin(fd_, entry->text, absl::InfiniteDuration());
    lock.lock();
    if (written) {
      queue_.OnWritten();
    } else {
      queue_.OnFailed(*entry);
    }
  }
}

}  // namespace headgate
