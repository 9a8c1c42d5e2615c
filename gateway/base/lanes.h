#ifndef GATEWAY_BASE_LANES_H_
#define GATEWAY_BASE_LANES_H_

#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

namespace headgate {

// Queues that are served in turn, so that a flood in one of them delays what
// each element of another by one element only. Each keeps its order. The caller
// limits what they hold.
//
// Not thread-safe.
template <typename T, std::size_t kLanes>
class Lanes {
 public:
  void Push(std::size_t lane, T element) {
    lanes_[lane].push_back(std::move(element));
    ++size_;
  }

  // The first element of the next lane that has one; absent: all are empty.
  std::optional<T> Pop() {
    for (std::size_t i = 0; i < kLanes; ++i) {
      std::deque<T>& lane = lanes_[next_];
      next_ = (next_ + 1) % kLanes;
      if (lane.empty()) continue;
      std::optional<T> element(std::move(lane.front()));
      lane.pop_front();
      --size_;
      return element;
    }
    return std::nullopt;
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  void Clear() {
    for (std::deque<T>& lane : lanes_) lane.clear();
    size_ = 0;
  }

 private:
  std::array<std::deque<T>, kLanes> lanes_;
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_LANES_H_
