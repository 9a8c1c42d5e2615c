#include "gateway/api/api_listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/log.h"
#include "gateway/net/bytes_taken.h"

namespace headgate {
namespace {

// Where there are no descriptors; connections wait in the sockets' queues.
constexpr int kAcceptRetryMs = 100;
// One that has sent something since is not closed for another.
constexpr std::uint32_t kQuietMs = 1000;

// For how long it has sent nothing; 0 where the kernel does not say.
std::uint32_t QuietMs(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_last_data_recv;
}

}  // namespace

ApiListener::ApiListener(std::vector<ListeningSocket> sockets,
                         std::vector<int> fds, int stop,
                         std::size_t max_connections)
    : sockets_(std::move(sockets)),
      fds_(std::move(fds)),
      stop_(stop),
      max_connections_(max_connections) {}

absl::StatusOr<std::unique_ptr<ApiListener>> ApiListener::Open(
    const std::string& address, std::size_t max_connections) {
  ListenerSettings settings;
  settings.address = address;
  absl::StatusOr<std::vector<ListeningSocket>> sockets = OpenListener(settings);
  if (!sockets.ok()) return sockets.status();
  const int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop < 0) return absl::UnavailableError("there are no descriptors left");
  std::vector<int> fds;
  for (ListeningSocket& socket : *sockets) fds.push_back(socket.Release());
  return std::unique_ptr<ApiListener>(new ApiListener(
      *std::move(sockets), std::move(fds), stop, max_connections));
}

ApiListener::~ApiListener() {
  Stop();
  for (const int fd : fds_) close(fd);
  for (const int fd : connections_) close(fd);
  close(stop_);
}

void ApiListener::Start(Serve serve) {
  serve_ = std::move(serve);
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "hub-api");
    Run();
  });
}

void ApiListener::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_, 1);
  thread_.join();
}

void ApiListener::Run() {
  bool has_descriptors = true;
  for (;;) {
    std::vector<pollfd> polled = {{stop_, POLLIN, 0}};
    for (const int fd : fds_) {
      polled.push_back(
          {fd, static_cast<short>(has_descriptors ? POLLIN : 0), 0});
    }
    // Without events: POLLHUP is reported always.
    for (const int fd : connections_) polled.push_back({fd, 0, 0});
    poll(polled.data(), polled.size(), has_descriptors ? -1 : kAcceptRetryMs);
    if (polled[0].revents != 0) return;

    std::vector<int> open;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      const pollfd& connection = polled[1 + fds_.size() + i];
      if ((connection.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        close(connection.fd);
      } else {
        open.push_back(connection.fd);
      }
    }
    connections_ = std::move(open);

    has_descriptors = true;
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if ((polled[1 + i].revents & POLLIN) != 0) {
        has_descriptors = Accept(fds_[i]) && has_descriptors;
      }
    }
  }
}

bool ApiListener::Accept(int fd) {
  const int accepted =
      accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (accepted < 0) {
    return errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
           errno != ENOMEM;
  }
  if (connections_.size() >= max_connections_ && !MakeRoom()) {
    LogRepeated(LogLevel::kWarning, "hub API has too many connections",
                {{"most", absl::StrCat(max_connections_)}});
    close(accepted);
    return true;
  }
  const int kept = fcntl(accepted, F_DUPFD_CLOEXEC, 0);
  if (kept < 0) {
    close(accepted);
    return false;
  }
  sockets_.front().SetOptions(accepted);
  connections_.push_back(kept);
  serve_(accepted);
  return true;
}

bool ApiListener::MakeRoom() {
  std::size_t quietest = connections_.size();
  // Those that have said nothing at all come first: anybody can open them, and
  // calls may be quiet for as long as they like.
  std::pair<bool, std::uint32_t> longest = {false, kQuietMs};
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const std::pair<bool, std::uint32_t> quiet = {
        !HasSentAnything(connections_[i]), QuietMs(connections_[i])};
    if (quiet < longest) continue;
    longest = quiet;
    quietest = i;
  }
  if (quietest == connections_.size()) return false;
  shutdown(connections_[quietest], SHUT_RDWR);
  close(connections_[quietest]);
  connections_.erase(connections_.begin() +
                     static_cast<std::ptrdiff_t>(quietest));
  return true;
}

}  // namespace headgate
