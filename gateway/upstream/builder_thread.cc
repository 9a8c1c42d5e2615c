#include "gateway/upstream/builder_thread.h"

#include <utility>

namespace headgate {

BuilderThread::BuilderThread() : thread_([this] { Run(); }) {}

void BuilderThread::Post(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stopping_) {
      tasks_.push_back(std::move(task));
      posted_.notify_one();
      return;
    }
  }
  task();
}

void BuilderThread::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    posted_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void BuilderThread::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    posted_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      // What it holds is freed without the lock, too.
    }
    lock.lock();
  }
}

}  // namespace headgate
