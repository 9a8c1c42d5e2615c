#ifndef GATEWAY_BASE_DESCRIPTOR_LIMIT_H_
#define GATEWAY_BASE_DESCRIPTOR_LIMIT_H_

#include <cstdint>

namespace headgate {

// Raises the process's limit of file descriptors to the highest that it may set
// itself (setrlimit(2): the soft limit to the hard one), and returns it. Shells
// and service managers begin with a soft one of 1024, for the sake of programs
// that use select(2). Safe for any thread.
std::uint64_t RaiseDescriptorLimit();

// The limit as it is.
std::uint64_t DescriptorLimit();

// The file descriptors that the process has open. Takes time for each of them.
std::uint64_t CountOpenDescriptors();

}  // namespace headgate

#endif  // GATEWAY_BASE_DESCRIPTOR_LIMIT_H_
