#ifndef GATEWAY_BASE_PROCESS_MEMORY_H_
#define GATEWAY_BASE_PROCESS_MEMORY_H_

#include <cstdint>
#include <string>

namespace headgate {

// The memory that the process may use: the least of the limits of its cgroup
// and of those above it (version 2: memory.max and memory.high; version 1:
// memory.limit_in_bytes), and of the machine's memory. 0 when nothing is known.
// `root`: in front of /proc and /sys, for tests.
std::uint64_t AvailableMemory(const std::string& root = "");

// What the process has of it that only it can give back: resident pages that no
// file is behind, bytes. Takes some microseconds.
std::uint64_t UsedMemory();

// The same of the text of /proc/self/statm.
std::uint64_t ParseStatm(const std::string& statm, std::uint64_t page_bytes);

// Gives pages back to the system that hold nothing but freed memory, which the
// allocator keeps for itself. Takes milliseconds for each GiB.
void TrimMemory();

}  // namespace headgate

#endif  // GATEWAY_BASE_PROCESS_MEMORY_H_
