#ifndef GATEWAY_BASE_WATERMARK_QUEUE_H_
#define GATEWAY_BASE_WATERMARK_QUEUE_H_

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace headgate {

// When a queue is full, in bytes: from above `high` until it has drained to
// `low`. The gap keeps a reader from toggling on every message.
struct Watermarks {
  std::size_t low_bytes = 16 * 1024;
  std::size_t high_bytes = 64 * 1024;
};

// A FIFO that knows when its owner should stop feeding it. The limit is soft,
// for Push never refuses: the owner is the one who must stop reading, and so
// holds at most `high_bytes` and the item that went over it. Empty, it keeps
// room for a few items at most: most sessions are idle.
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
    if (first_ > 0 && first_ >= entries_.size() / 2) DropTaken();
    entries_.push_back({std::move(item), bytes});
    if (bytes_ > marks_.high_bytes) full_ = true;
  }

  // Requires: !empty().
  const Item& Front() const {
    assert(!empty());
    return entries_[first_].item;
  }

  // Requires: !empty().
  Item Pop() {
    assert(!empty());
    Entry entry = std::move(entries_[first_]);
    if (++first_ == entries_.size()) DropTaken();
    bytes_ -= entry.bytes + kItemBytes;
    if (bytes_ <= marks_.low_bytes) full_ = false;
    return std::move(entry.item);
  }

  void Clear() {
    while (!empty()) Pop();
  }

  // Empty, it keeps no memory for items to come.
  void Shrink() {
    if (empty()) std::vector<Entry>().swap(entries_);
  }

  std::size_t size() const { return entries_.size() - first_; }
  bool empty() const { return first_ == entries_.size(); }
  bool full() const { return full_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Item item;
    std::size_t bytes;
  };

  static constexpr std::size_t kKeptItems = 8;

  void DropTaken() {
    entries_.erase(entries_.begin(),
                   entries_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
    if (entries_.empty() && entries_.capacity() > kKeptItems)
      std::vector<Entry>().swap(entries_);
  }

  const Watermarks marks_;
  std::vector<Entry> entries_;  // Those before `first_` are taken.
  std::size_t first_ = 0;
  std::size_t bytes_ = 0;
  bool full_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_WATERMARK_QUEUE_H_
