#ifndef GATEWAY_NET_BYTES_TAKEN_H_
#define GATEWAY_NET_BYTES_TAKEN_H_

#include <cstdint>

namespace headgate {

// How much the other end of the socket has taken of what was sent on it, as far
// as the kernel knows. `sent`: bytes that were given to the kernel.
std::uint64_t BytesTaken(int fd, std::uint64_t sent);

// Whether the other end has sent anything since the connection began; true also
// where the kernel does not know, as for sockets in the file system.
bool HasSentAnything(int fd);

}  // namespace headgate

#endif  // GATEWAY_NET_BYTES_TAKEN_H_
