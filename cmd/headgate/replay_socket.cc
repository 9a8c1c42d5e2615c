#include "cmd/headgate/replay_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gateway/base/clock.h"

namespace headgate {
namespace {

constexpr std::size_t kMostMessageBytes = 64 * 1024 * 1024;
constexpr int kLost = 1006;  // RFC 6455 section 7.4.1.

std::string TextOf(const ClientFailure& failure) {
  if (const auto* refused = std::get_if<Refused>(&failure)) {
    return absl::StrCat("refused: HTTP ", refused->http, " ", refused->body);
  }
  if (const auto* unreachable = std::get_if<Unreachable>(&failure)) {
    return unreachable->why;
  }
  return std::get<Lost>(failure).why;
}

// Waits until the connection is made. 0, or an errno.
int Connected(int fd, const sockaddr* address, socklen_t size,
              absl::Duration timeout) {
  if (connect(fd, address, size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd wait = {fd, POLLOUT, 0};
  const int ready =
      poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (ready <= 0) return ready == 0 ? ETIMEDOUT : errno;
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

absl::StatusOr<int> ConnectTo(int family, const sockaddr* address,
                              socklen_t size, absl::Duration timeout) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::UnavailableError(std::strerror(errno));
  const int error = Connected(fd, address, size, timeout);
  if (error == 0) return fd;
  close(fd);
  return absl::UnavailableError(
      absl::StrCat("cannot connect: ", std::strerror(error)));
}

absl::StatusOr<int> ConnectTo(const WsUrl& url, absl::Duration timeout) {
  if (!url.socket.empty()) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, url.socket.data(), url.socket.size());
    return ConnectTo(AF_UNIX, reinterpret_cast<const sockaddr*>(&address),
                     sizeof(address), timeout);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int found =
      getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &list);
  if (found != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot look up ", url.host, ": ", gai_strerror(found)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list,
                                                                 freeaddrinfo);
  absl::StatusOr<int> fd = absl::UnavailableError("there is no address");
  for (const addrinfo* entry = list; entry != nullptr && !fd.ok();
       entry = entry->ai_next) {
    fd =
        ConnectTo(entry->ai_family, entry->ai_addr, entry->ai_addrlen, timeout);
  }
  return fd;
}

}  // namespace

ReplaySocket::ReplaySocket(int fd, const WsUrl& url,
                           const UpgradeHeaders& headers,
                           std::shared_ptr<const TlsContext> tls)
    : fd_(fd),
      request_(url, headers, "headgate-replay", RandomUpgradeKey()),
      web_socket_(request_, masks_,
                  {ws::Delivery::kMessages, kMostMessageBytes, std::move(tls),
                   url.host}) {}

ReplaySocket::~ReplaySocket() { close(fd_); }

absl::StatusOr<std::unique_ptr<ReplaySocket>> ReplaySocket::Open(
    const WsUrl& url, const UpgradeHeaders& headers,
    std::shared_ptr<const TlsContext> tls, absl::Duration timeout) {
  const absl::StatusOr<int> fd = ConnectTo(url, timeout);
  if (!fd.ok()) return fd.status();
  std::unique_ptr<ReplaySocket> opened(
      new ReplaySocket(*fd, url, headers, std::move(tls)));
  if (!opened->web_socket_.Start()) {
    return absl::UnavailableError(TextOf(opened->web_socket_.failure()));
  }
  const absl::Status status =
      opened->Pump([&] { return opened->is_open_; }, timeout);
  if (!status.ok()) return status;
  return opened;
}

absl::Status ReplaySocket::Send(Opcode opcode, std::string payload,
                                absl::Duration timeout) {
  ws::Endpoint& endpoint = web_socket_.endpoint();
  if (!endpoint.may_write()) {
    return absl::OutOfRangeError("the session is over");
  }
  endpoint.Write(opcode, std::move(payload));
  bool is_written = false;
  const auto done = [&] {
    is_written = is_written || endpoint.TakeWritten();
    return is_written && !web_socket_.has_output();
  };
  return Pump(done, timeout);
}

absl::StatusOr<WireMessage> ReplaySocket::Receive(absl::Duration timeout) {
  const absl::Status status =
      Pump([&] { return !received_.empty() || closed_; }, timeout);
  if (received_.empty()) {
    return closed_ ? absl::OutOfRangeError("the session is over") : status;
  }
  WireMessage message = std::move(received_.front());
  received_.pop_front();
  return message;
}

absl::StatusOr<int> ReplaySocket::AwaitClose(absl::Duration timeout) {
  const absl::Status status =
      Pump([&] { return closed_.has_value(); }, timeout);
  if (!closed_) return status;
  // Our Close frame, in response.
  (void)Pump([&] { return !web_socket_.has_output(); }, absl::Seconds(1));
  return *closed_;
}

void ReplaySocket::Close() {
  ws::Endpoint& endpoint = web_socket_.endpoint();
  if (!endpoint.may_write()) return;
  endpoint.Close(CloseCode::kNormal, "");
  (void)Pump([&] { return !web_socket_.has_output(); }, absl::Seconds(1));
}

absl::Status ReplaySocket::Pump(absl::FunctionRef<bool()> done,
                                absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  while (!done()) {
    if (closed_ && !web_socket_.has_output()) {
      return absl::UnavailableError("the session is over");
    }
    const bool wants_write = web_socket_.has_output();
    pollfd wait = {fd_,
                   static_cast<short>(POLLIN | (wants_write ? POLLOUT : 0)), 0};
    const absl::Duration left = deadline - SteadyNow();
    const int ready =
        left <= absl::ZeroDuration()
            ? 0
            : poll(&wait, 1,
                   static_cast<int>(std::min<std::int64_t>(
                       absl::ToInt64Milliseconds(left) + 1, 60'000)));
    if (ready < 0 && errno != EINTR) {
      return absl::UnavailableError(std::strerror(errno));
    }
    if (ready == 0 && SteadyNow() >= deadline) {
      return absl::DeadlineExceededError("nothing came in time");
    }
    if (ready <= 0) continue;
    absl::Status status;
    if ((wait.revents & (POLLIN | POLLERR | POLLHUP)) != 0) status = ReadSome();
    if (status.ok() && (wait.revents & POLLOUT) != 0) status = WriteSome();
    if (!status.ok() && !done()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReplaySocket::ReadSome() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t size = read(fd_, buffer.data(), buffer.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return absl::OkStatus();
  if (size <= 0) {
    if (!closed_ && is_open_) closed_ = kLost;
    return absl::UnavailableError(
        TextOf(web_socket_.AtEnd(size == 0 ? "" : std::strerror(errno))));
  }
  if (web_socket_.Receive({buffer.data(), static_cast<std::size_t>(size)},
                          *this)) {
    return absl::OkStatus();
  }
  if (!closed_ && is_open_) closed_ = kLost;
  return absl::UnavailableError(TextOf(web_socket_.failure()));
}

absl::Status ReplaySocket::WriteSome() {
  const absl::string_view piece = [&] {
    const auto pieces = web_socket_.Front();
    return pieces[0].empty() ? pieces[1] : pieces[0];
  }();
  const ssize_t size = send(fd_, piece.data(), piece.size(), MSG_NOSIGNAL);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return absl::OkStatus();
  if (size < 0) return absl::UnavailableError(std::strerror(errno));
  web_socket_.OnSent(static_cast<std::size_t>(size));
  return absl::OkStatus();
}

}  // namespace headgate
