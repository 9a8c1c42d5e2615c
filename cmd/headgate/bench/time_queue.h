#ifndef CMD_HEADGATE_BENCH_TIME_QUEUE_H_
#define CMD_HEADGATE_BENCH_TIME_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace headgate {

// The times of the messages that are outstanding on a connection, the oldest
// first. Grows to what it has held, and keeps that.
//
// Thread: one at a time.
class TimeQueue {
 public:
  std::size_t size() const { return size_; }

  void Push(std::int64_t time) {
    if (size_ == times_.size()) Grow();
    times_[(first_ + size_++) & (times_.size() - 1)] = time;
  }

  // Requires: size() > 0.
  std::int64_t Pop() {
    const std::int64_t time = times_[first_];
    first_ = (first_ + 1) & (times_.size() - 1);
    --size_;
    return time;
  }

 private:
  void Grow() {
    std::vector<std::int64_t> larger(times_.empty() ? 2 : 2 * times_.size());
    for (std::size_t i = 0; i < size_; ++i) {
      larger[i] = times_[(first_ + i) & (times_.size() - 1)];
    }
    times_.swap(larger);
    first_ = 0;
  }

  std::vector<std::int64_t> times_;  // As many as a power of two, or none.
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_TIME_QUEUE_H_
