#ifndef GATEWAY_BASE_SLICED_QUEUE_H_
#define GATEWAY_BASE_SLICED_QUEUE_H_

#include <cstddef>
#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "gateway/base/link.h"
#include "gateway/base/turn.h"

namespace headgate {

// Something that waits in a SlicedQueue. Destroying it removes it.
class SlicedTask {
 public:
  SlicedTask(const SlicedTask&) = delete;
  SlicedTask& operator=(const SlicedTask&) = delete;

  // May add any task, this one as well, and destroy any, this one as well as
  // its last act.
  virtual void OnSlice() = 0;

  bool is_queued() const { return !link_.alone(); }

 protected:
  SlicedTask() = default;
  ~SlicedTask() = default;

 private:
  friend class SlicedQueue;

  Link<SlicedTask> link_;
};

// Many small tasks that come up together, such as 10,000 sockets with something
// to send: in their order, a slice of them in each event loop iteration, so
// that whatever else is ready waits for one slice and not for all of them. The
// first slice runs at the end of the iteration in which they were added.
//
// Thread:   the Turn's.
// Lifetime: the turn must outlive it; tasks may outlive it, and then do not
//           run.
class SlicedQueue final : private TurnTask {
 public:
  struct Slice {
    std::size_t tasks = 256;
    absl::Duration time = absl::Milliseconds(1);
  };

  // `clock` is read once for a slice, and then for every kTasksPerLook tasks.
  SlicedQueue(Turn& turn, std::function<absl::Time()> clock, Slice slice)
      : turn_(turn), clock_(std::move(clock)), slice_(slice) {}
  SlicedQueue(Turn& turn, std::function<absl::Time()> clock)
      : SlicedQueue(turn, std::move(clock), Slice()) {}
  ~SlicedQueue() { tasks_.Clear(); }

  static constexpr std::size_t kTasksPerLook = 16;

  // Runs `task` once. Has no effect on one that waits already.
  void Add(SlicedTask& task) {
    if (task.is_queued()) return;
    task.link_.owner = &task;
    if (tasks_.alone() && !in_slice_) turn_.AtEnd(*this);
    task.link_.InsertBefore(tasks_);
  }
  bool empty() const { return tasks_.alone(); }
  absl::Time now() const { return clock_(); }

 private:
  void OnTurn() override;

  Turn& turn_;
  const std::function<absl::Time()> clock_;
  const Slice slice_;
  Link<SlicedTask> tasks_;
  bool in_slice_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_SLICED_QUEUE_H_
