#ifndef GATEWAY_BASE_MAILBOX_H_
#define GATEWAY_BASE_MAILBOX_H_

#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

namespace headgate {

// A queue from any threads to one other, the reader. However many elements
// wait, they take one task of the reader's event loop, which reads them in
// slices: other tasks wait for one slice, not for all elements.
//
//   if (mailbox.Add(element, bytes) == Put::kFirst) PostToReader(Read);
//   void Read() { if (mailbox.ReadSlice(handle, is_over)) PostToReader(Read); }
//
// Thread: any for Add, the reader's for ReadSlice.
template <typename T>
class Mailbox {
 public:
  // `max_bytes`: of elements that wait.
  explicit Mailbox(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  enum class Put {
    kFirst,         // The caller has to notify the reader.
    kBehindOthers,  // The reader is to come already.
    kFull,          // The element was dropped.
  };

  // `bytes`: what the element counts towards `max_bytes` until it is read.
  Put Add(T element, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > max_bytes_ - bytes_) return Put::kFull;
    bytes_ += bytes;
    elements_.push_back({std::move(element), bytes});
    return elements_.size() > 1 ? Put::kBehindOthers : Put::kFirst;
  }

  // Calls `read` with elements in order, at least one, until none is left or
  // `is_over()`. True: some are left, and the caller calls it again later.
  // Requires: the last call returned true, or Add has returned kFirst since.
  template <typename Read, typename IsOver>
  bool ReadSlice(Read read, IsOver is_over) {
    while (true) {
      Element next;
      bool is_last = false;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        next = std::move(elements_.front());
        elements_.pop_front();
        bytes_ -= next.bytes;
        is_last = elements_.empty();
      }
      read(std::move(next.element));
      if (is_last) return false;
      if (is_over()) return true;
    }
  }

 private:
  struct Element {
    T element = {};
    std::size_t bytes = 0;
  };

  const std::size_t max_bytes_;
  std::mutex mutex_;
  std::deque<Element> elements_;  // Under mutex_.
  std::size_t bytes_ = 0;         // Under mutex_.
};

}  // namespace headgate

#endif  // GATEWAY_BASE_MAILBOX_H_
