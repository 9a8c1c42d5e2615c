#include "gateway/net/listening_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gateway/config/address.h"

namespace headgate {
namespace {

constexpr int kFirstPassedDescriptor = 3;  // sd_listen_fds(3)

using Sockets = std::vector<ListeningSocket>;

absl::Status CannotListen(absl::string_view address, absl::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", address, ": ", why));
}

// NOT_FOUND when the machine has no such address.
absl::Status CannotListen(absl::string_view address, int error) {
  const absl::Status status = CannotListen(address, std::strerror(error));
  if (error != EAFNOSUPPORT && error != EADDRNOTAVAIL) return status;
  return absl::NotFoundError(status.message());
}

// "127.0.0.1:8080", "unix:/path".
std::string NameOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return FormatAddress(text, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return FormatAddress(text, ntohs(v6.sin6_port));
  }
  return absl::StrCat("unix:",
                      reinterpret_cast<const sockaddr_un&>(address).sun_path);
}

// Takes a socket that listens over.
absl::StatusOr<ListeningSocket> Adopt(int fd, std::string unlink_path) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    close(fd);
    return CannotListen(absl::StrCat("descriptor ", fd), error);
  }
  return ListeningSocket(fd, address.ss_family, NameOf(address),
                         std::move(unlink_path));
}

absl::Status ListenTcp(const addrinfo& address, bool both_families,
                       bool reuse_port, Sockets& sockets) {
  sockaddr_storage storage = {};
  std::memcpy(&storage, address.ai_addr, address.ai_addrlen);
  const auto fail = [&](int fd) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return CannotListen(NameOf(storage), error);
  };
  const int fd =
      socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(fd);
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (reuse_port &&
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) != 0) {
    return fail(fd);
  }
  if (address.ai_family == AF_INET6) {
    const int only = both_families ? 0 : 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
  }
  if (bind(fd, address.ai_addr, address.ai_addrlen) != 0 ||
      listen(fd, SOMAXCONN) != 0) {
    return fail(fd);
  }
  absl::StatusOr<ListeningSocket> socket = Adopt(fd, "");
  if (!socket.ok()) return socket.status();
  sockets.push_back(*std::move(socket));
  return absl::OkStatus();
}

absl::StatusOr<Sockets> OpenTcp(const ListenerSettings& settings,
                                const Address& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const bool any = address.host.empty();
  const std::string port = absl::StrCat(address.port);
  addrinfo* list = nullptr;
  const int found = getaddrinfo(any ? "::" : address.host.c_str(), port.c_str(),
                                &hints, &list);
  if (found != 0) return CannotListen(settings.address, gai_strerror(found));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list,
                                                                 freeaddrinfo);
  // A name such as localhost may have an address of a family that the machine
  // does not have; the others will do.
  Sockets sockets;
  absl::Status status;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    status = ListenTcp(*entry, any, settings.reuse_port, sockets);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  if (!sockets.empty()) return sockets;
  if (!any) return status;
  // A machine without IPv6.
  ListenerSettings v4 = settings;
  v4.address = FormatAddress("0.0.0.0", address.port);
  return OpenTcp(v4, {"0.0.0.0", address.port});
}

// The number of a user or group that is told by name or number; absent where
// there is none. `find`: by name.
template <typename Find>
std::optional<unsigned> IdOf(const std::string& name, Find find) {
  unsigned id = 0;
  if (absl::SimpleAtoi(name, &id)) return id;
  return find();
}

// Gives the socket file to whom it is for, before anybody can connect to it.
absl::Status SetAccess(const std::string& path,
                       const SocketFileSettings& settings) {
  const std::string name = absl::StrCat("unix:", path);
  uid_t user = static_cast<uid_t>(-1);  // Stays as it is.
  gid_t group = static_cast<gid_t>(-1);
  if (!settings.user.empty()) {
    const auto id = IdOf(settings.user, [&]() -> std::optional<unsigned> {
      const passwd* const found = getpwnam(settings.user.c_str());
      if (found == nullptr) return std::nullopt;
      return found->pw_uid;
    });
    if (!id) {
      return CannotListen(name,
                          absl::StrCat("there is no user ", settings.user));
    }
    user = *id;
  }
  if (!settings.group.empty()) {
    const auto id = IdOf(settings.group, [&]() -> std::optional<unsigned> {
      const struct group* const found = getgrnam(settings.group.c_str());
      if (found == nullptr) return std::nullopt;
      return found->gr_gid;
    });
    if (!id) {
      return CannotListen(name,
                          absl::StrCat("there is no group ", settings.group));
    }
    group = *id;
  }
  if ((!settings.user.empty() || !settings.group.empty()) &&
      lchown(path.c_str(), user, group) != 0) {
    return CannotListen(name, absl::StrCat("its user and group cannot be set: ",
                                           std::strerror(errno)));
  }
  const std::optional<unsigned> mode = settings.ModeBits();
  if (mode && chmod(path.c_str(), *mode) != 0) {
    return CannotListen(
        name, absl::StrCat("its mode cannot be set: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Sockets> OpenUnix(const std::string& path,
                                 const SocketFileSettings& settings) {
  const std::string name = absl::StrCat("unix:", path);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const auto open_socket = [] {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  };
  // What a process that died has left behind: nobody answers there.
  const int probe = open_socket();
  if (probe < 0) return CannotListen(name, errno);
  struct stat found = {};
  const bool stale =
      lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode) &&
      connect(probe, generic, sizeof(address)) != 0 && errno == ECONNREFUSED;
  close(probe);
  if (stale) unlink(path.c_str());

  const int fd = open_socket();
  if (fd < 0) return CannotListen(name, errno);
  if (bind(fd, generic, sizeof(address)) != 0) {
    const int error = errno;
    close(fd);
    return CannotListen(name, error);
  }
  absl::StatusOr<ListeningSocket> socket = Adopt(fd, path);
  if (!socket.ok()) return socket.status();
  if (absl::Status access = SetAccess(path, settings); !access.ok()) {
    return access;
  }
  if (listen(fd, SOMAXCONN) != 0) return CannotListen(name, errno);
  Sockets sockets;
  sockets.push_back(*std::move(socket));
  return sockets;
}

std::pair<std::uint64_t, std::uint64_t> InodeOf(const std::string& path) {
  struct stat found = {};
  if (path.empty() || lstat(path.c_str(), &found) != 0) return {};
  return {found.st_dev, found.st_ino};
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int SocketOption(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// Whether a descriptor that the service manager has passed can be accepted
// from.
absl::Status CheckPassed(int fd) {
  const auto fault = [fd](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("descriptor ", fd, " ", what,
                     ", and a listening stream socket of IP or ",
                     "a socket file is needed"));
  };
  struct stat found = {};
  if (fstat(fd, &found) != 0) return fault("was not passed");
  if (!S_ISSOCK(found.st_mode)) return fault("is not a socket");
  const int family = SocketOption(fd, SO_DOMAIN);
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) {
    return fault("is a socket of another family");
  }
  switch (SocketOption(fd, SO_TYPE)) {
    case SOCK_STREAM:
      break;
    case SOCK_SEQPACKET:
      return fault("is a SOCK_SEQPACKET socket (ListenSequentialPacket=)");
    case SOCK_DGRAM:
      return fault("is a SOCK_DGRAM socket (ListenDatagram=)");
    default:
      return fault("is a socket of another type");
  }
  if (SocketOption(fd, SO_ACCEPTCONN) != 1) {
    return fault("is a socket that does not listen (Accept=yes?)");
  }
  return absl::OkStatus();
}

// sd_listen_fds_with_names(3): descriptors from 3 on, and their names.
absl::StatusOr<Sockets> OpenSystemd(const std::string& name) {
  const std::string address = absl::StrCat("systemd:", name);
  int count = 0;
  long pid = 0;
  const bool is_for_us =
      absl::SimpleAtoi(Environment("LISTEN_PID"), &pid) && pid == getpid();
  const std::string fds = Environment("LISTEN_FDS");
  if (is_for_us && !fds.empty() &&
      (!absl::SimpleAtoi(fds, &count) || count < 0)) {
    return CannotListen(
        address, absl::StrCat("LISTEN_FDS must be a number of sockets, is \"",
                              absl::CHexEscape(fds), "\""));
  }
  const std::vector<std::string> names =
      absl::StrSplit(Environment("LISTEN_FDNAMES"), ':');
  Sockets sockets;
  for (int i = 0; i < count; ++i) {
    const bool is_named = static_cast<std::size_t>(i) < names.size();
    if (!is_named || names[i] != name) continue;
    const int fd = kFirstPassedDescriptor + i;
    if (absl::Status usable = CheckPassed(fd); !usable.ok()) {
      return CannotListen(address, usable.message());
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    absl::StatusOr<ListeningSocket> socket = Adopt(fd, "");
    if (!socket.ok()) return socket.status();
    sockets.push_back(*std::move(socket));
  }
  if (!sockets.empty()) return sockets;
  return CannotListen(
      address, count == 0
                   ? "the service manager has passed no sockets"
                   : absl::StrCat("the service manager has passed only: ",
                                  absl::StrJoin(names, ", ")));
}

}  // namespace

ListeningSocket::ListeningSocket(int fd, int family, std::string address,
                                 std::string unlink_path)
    : fd_(fd),
      family_(family),
      address_(std::move(address)),
      unlink_path_(std::move(unlink_path)),
      inode_(InodeOf(unlink_path_)) {}

ListeningSocket::~ListeningSocket() {
  if (fd_ >= 0) close(fd_);
  RemoveFile();
}

SocketReach ReachOfAddress(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return SocketReach::kFile;
  return absl::StartsWith(address, "127.") ||
                 absl::StartsWith(address, "[::1]:") ||
                 absl::StartsWith(address, "localhost:")
             ? SocketReach::kLoopback
             : SocketReach::kNetwork;
}

void ListeningSocket::SetOptions(int accepted) const {
  if (family_ == AF_UNIX) return;
  const auto set = [accepted](int level, int option, int value) {
    setsockopt(accepted, level, option, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 * 1024);
}

SocketReach ListeningSocket::reach() const {
  if (family_ == AF_UNIX) return SocketReach::kFile;
  return ReachOfAddress(address_);
}

void ListeningSocket::RemoveFile() {
  const std::string path = std::exchange(unlink_path_, "");
  if (!path.empty() && InodeOf(path) == inode_) unlink(path.c_str());
}

absl::StatusOr<Sockets> OpenListener(const ListenerSettings& settings) {
  const ListenAddress address = *ParseListenAddress(settings.address);
  switch (address.kind) {
    case ListenAddress::Kind::kTcp:
      return OpenTcp(settings, address.tcp);
    case ListenAddress::Kind::kUnix:
      return OpenUnix(address.name, settings.file);
    case ListenAddress::Kind::kSystemd:
      break;
  }
  return OpenSystemd(address.name);
}

}  // namespace headgate
