#ifndef GATEWAY_NET_BYTES_TAKEN_H_
#define GATEWAY_NET_BYTES_TAKEN_H_

#include <cstdint>

namespace headgate {

// How much the other end of the socket has taken of what was sent on it, as far
// as the kernel knows. `sent`: bytes that were given to the kernel.
std::uint64_t BytesTaken(int fd, std::uint64_t sent);

}  // namespace headgate

#endif  // GATEWAY_NET_BYTES_TAKEN_H_
