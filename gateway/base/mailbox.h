#ifndef GATEWAY_BASE_MAILBOX_H_
#define GATEWAY_BASE_MAILBOX_H_

#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

namespace headgate {

// What some threads have for another one, the reader. Many elements cost the
// reader one task of its event loop, and are read in slices: whatever else it
// has to do waits for a slice, and not for all that has come.
//
//   if (mailbox.Add(element, bytes) == Put::kFirst) PostToReader(Read);
//   void Read() { if (mailbox.ReadSlice(handle, is_over)) PostToReader(Read); }
//
// Thread: Add is safe for any, ReadSlice is the reader's.
template <typename T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  enum class Put {
    kFirst,         // The reader has to be told.
    kBehindOthers,  // It comes by itself.
    kFull,          // The element is dropped.
  };

  // `bytes`: what the element counts.
  Put Add(T element, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > max_bytes_ - bytes_) return Put::kFull;
    bytes_ += bytes;
    elements_.push_back({std::move(element), bytes});
    return elements_.size() > 1 ? Put::kBehindOthers : Put::kFirst;
  }

  // Has `read` take elements in their order, one at least, until none is left
  // or `is_over()`. Returns whether some are left; then it is to be called
  // again. Requires: Add has returned kFirst, or ReadSlice true, since.
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
