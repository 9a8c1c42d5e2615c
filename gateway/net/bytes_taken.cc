#include "gateway/net/bytes_taken.h"

// A file of its own, because this header does not go with <netinet/tcp.h>,
// whose tcp_info is an older one.
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

namespace headgate {

std::uint64_t BytesTaken(int fd, std::uint64_t sent) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  // tcp(7): what was acknowledged since the connection began.
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
      size >= offsetof(tcp_info, tcpi_bytes_acked) +
                  sizeof(info.tcpi_bytes_acked)) {
    return info.tcpi_bytes_acked;
  }
  int waiting = 0;
  if (ioctl(fd, SIOCOUTQ, &waiting) != 0) return sent;
  return sent - static_cast<std::uint64_t>(waiting);
}

bool HasSentAnything(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
         size < offsetof(tcp_info, tcpi_bytes_received) +
                    sizeof(info.tcpi_bytes_received) ||
         info.tcpi_bytes_received > 0;
}

}  // namespace headgate
