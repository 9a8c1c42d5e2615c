#ifndef GATEWAY_BASE_WATERMARK_QUEUE_H_
#define GATEWAY_BASE_WATERMARK_QUEUE_H_

#include <cassert>
#include <cstddef>
#include <deque>
#include <utility>

namespace headgate {

// When a queue is full, in bytes: from above `high` until it has drained to
// `low`. The gap keeps a reader from toggling on every message.
struct Watermarks {
  std::size_t low_bytes = 16 * 1024;
  std::size_t high_bytes = 64 * 1024;
};

// A FIFO that knows when its owner should stop feeding it. The limit is soft,
// for Push never refuses: the owner is the one who must stop reading, and so
// holds at most `high_bytes` and the item that went over it.
//
// Not thread-safe.
template <typename Item>
class WatermarkQueue {
 public:
  // What an item costs besides its bytes, so that empty ones count as well.
  static constexpr std::size_t kItemBytes = sizeof(Item);

  explicit WatermarkQueue(Watermarks marks) : marks_(marks) {}

  // `bytes` is what the item holds outside itself.
  void Push(Item item, std::size_t bytes) {
    bytes_ += bytes + kItemBytes;
    entries_.push_back({std::move(item), bytes});
    if (bytes_ > marks_.high_bytes) full_ = true;
  }

  // Requires: !empty().
  const Item& Front() const {
    assert(!entries_.empty());
    return entries_.front().item;
  }

  // Requires: !empty().
  Item Pop() {
    assert(!entries_.empty());
    Entry entry = std::move(entries_.front());
    entries_.pop_front();
    bytes_ -= entry.bytes + kItemBytes;
    if (bytes_ <= marks_.low_bytes) full_ = false;
    return std::move(entry.item);
  }

  bool empty() const { return entries_.empty(); }
  bool full() const { return full_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Item item;
    std::size_t bytes;
  };

  const Watermarks marks_;
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
  bool full_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_WATERMARK_QUEUE_H_
