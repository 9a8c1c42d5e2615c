#ifndef GATEWAY_BASE_LINE_QUEUE_H_
#define GATEWAY_BASE_LINE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace headgate {

// Lines that wait to be written, bounded by bytes. Lines that do not fit, and
// lines that could not be written, are dropped and counted; a line that reports
// how many were dropped follows once writing works again.
//
// After the first dropped line the queue takes no more until half of it has
// been written: a slow reader sees long runs of lines, not a report behind
// each.
//
// Thread: one at a time.
class LineQueue {
 public:
  struct Entry {
    std::string text;
    std::uint64_t reports = 0;  // A report, of so many dropped lines.
  };

  // `report` makes the line that reports dropped lines.
  LineQueue(std::size_t max_bytes,
            std::function<std::string(std::uint64_t dropped)> report)
      : max_bytes_(max_bytes), report_(std::move(report)) {}

  // Returns false when the line was dropped.
  bool Push(std::string line);

  // The next line to write; absent: there is nothing to write.
  std::optional<Entry> Pop();
  // What became of the line that Pop returned last.
  void OnWritten() { is_broken_ = false; }
  void OnFailed(const Entry& entry);

  std::size_t bytes() const { return bytes_; }
  // In all, since the start.
  std::uint64_t dropped() const { return dropped_; }

 private:
  void Drop();

  const std::size_t max_bytes_;
  const std::function<std::string(std::uint64_t)> report_;
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;  // Of entries_.
  std::uint64_t dropped_ = 0;
  std::uint64_t unreported_ = 0;
  bool is_dropping_ = false;  // It is full, and has not been half empty since.
  bool is_broken_ = false;    // The last line could not be written.
};

}  // namespace headgate

#endif  // GATEWAY_BASE_LINE_QUEUE_H_
