#include "cmd/headgate/bench/endpoints.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// Fewer than Linux has local ports by default, 28232.
constexpr std::size_t kConnectionsPerAddress = 20000;

absl::Status Failure(int error) {
  std::string why = std::generic_category().message(error);
  if (error == EADDRNOTAVAIL) {
    absl::StrAppend(&why, ": no local port is left for this address");
  }
  return absl::UnavailableError(why);
}

bool IsLoopback(const Endpoint& endpoint) {
  if (endpoint.address.ss_family != AF_INET) return false;
  sockaddr_in in;
  std::memcpy(&in, &endpoint.address, sizeof(in));
  return ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

// The n-th address of 127.0.0.0/8, bound without a port: which one is free is
// known only when the other end is.
bool BindLoopback(int fd, std::size_t n) {
  const int on = 1;
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<std::uint32_t>(n));
  return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ==
             0 &&
         bind(fd, reinterpret_cast<const sockaddr*>(&in), sizeof(in)) == 0;
}

}  // namespace

absl::StatusOr<std::vector<Endpoint>> Resolve(const WsUrl& url) {
  if (!url.socket.empty()) {
    sockaddr_un file = {};
    file.sun_family = AF_UNIX;
    url.socket.copy(file.sun_path, sizeof(file.sun_path) - 1);
    Endpoint endpoint;
    std::memcpy(&endpoint.address, &file, sizeof(file));
    endpoint.size = sizeof(file);
    return std::vector<Endpoint>{endpoint};
  }
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot find ", url.host, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found,
                                                                 freeaddrinfo);
  std::vector<Endpoint> endpoints;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Endpoint endpoint;
    std::memcpy(&endpoint.address, one->ai_addr, one->ai_addrlen);
    endpoint.size = one->ai_addrlen;
    endpoints.push_back(endpoint);
  }
  if (endpoints.empty()) {
    return absl::UnavailableError(
        absl::StrCat("cannot find ", url.host, ": it has no address"));
  }
  return endpoints;
}

absl::StatusOr<int> StartConnecting(const Endpoint& to, std::size_t number) {
  const int fd = socket(to.address.ss_family,
                        SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failure(errno);
  const int on = 1;
  if (to.address.ss_family != AF_UNIX) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  const std::size_t local = number / kConnectionsPerAddress;
  const bool ready =
      (local == 0 || !IsLoopback(to) || BindLoopback(fd, local)) &&
      (connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.size) ==
           0 ||
       errno == EINPROGRESS);
  if (!ready) {
    const int error = errno;
    close(fd);
    return Failure(error);
  }
  return fd;
}

}  // namespace headgate
