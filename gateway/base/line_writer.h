#ifndef GATEWAY_BASE_LINE_WRITER_H_
#define GATEWAY_BASE_LINE_WRITER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/line_queue.h"

namespace headgate {

// Writes lines to a file descriptor from a thread of its own, so that a reader
// that has stalled (a full pipe) holds up nobody else. What waits is bounded;
// see LineQueue.
//
// Thread:   safe for any.
// Lifetime: never destroyed: its thread may be blocked in a write for ever, and
//           ends with the process.
class LineWriter {
 public:
  // Starts the thread.
  LineWriter(int fd, std::size_t max_bytes,
             std::function<std::string(std::uint64_t dropped)> report);
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Hands a line over, its newline included. Never waits for the reader.
  void Write(std::string line);

  // Waits until all lines are written or dropped, `timeout` at most. Returns
  // whether they are.
  bool Flush(absl::Duration timeout);

  // Lines that were not written, since the start.
  std::uint64_t dropped() const;

 private:
  ~LineWriter() = delete;
  void Run();

  const int fd_;
  // The standard's, for ThreadSanitizer sees its locks and not those in the
  // distribution's abseil.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  LineQueue queue_;       // Under mutex_.
  bool is_idle_ = false;  // Under mutex_: the thread waits for a line.
  int flushing_ = 0;      // Under mutex_: threads that are in Flush.
};

// Writes all of `text`; returns false when it cannot, or not within `timeout`.
// A pipe must not have other writers for the timeout to be exact.
bool WriteWithin(int fd, absl::string_view text, absl::Duration timeout);

}  // namespace headgate

#endif  // GATEWAY_BASE_LINE_WRITER_H_
