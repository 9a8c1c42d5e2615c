#include "gateway/base/sliced_queue.h"

namespace headgate {

void SlicedQueue::OnTurn() {
  const absl::Time end = clock_() + slice_.time;
  in_slice_ = true;
  for (std::size_t done = 0; !tasks_.alone(); ++done) {
    if (done == slice_.tasks) break;
    if (done > 0 && done % kTasksPerLook == 0 && clock_() >= end) break;
    SlicedTask& task = *tasks_.next->owner;
    task.link_.Remove();
    task.OnSlice();
  }
  in_slice_ = false;
  if (!tasks_.alone()) turn_.Next(*this);
}

}  // namespace headgate
