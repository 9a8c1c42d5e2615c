#ifndef GATEWAY_UPSTREAM_BUILDER_THREAD_H_
#define GATEWAY_UPSTREAM_BUILDER_THREAD_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace headgate {

// The thread that reads, builds and frees descriptors, which would hold up a
// worker: a server with thousands of types takes seconds.
//
// Thread: any, but Stop and the destructor must not be called by a task.
class BuilderThread {
 public:
  BuilderThread();
  ~BuilderThread() { Stop(); }
  BuilderThread(const BuilderThread&) = delete;
  BuilderThread& operator=(const BuilderThread&) = delete;

  // Tasks run in the order of the posts. After Stop they run in Post.
  void Post(std::function<void()> task);
  // Returns when all tasks have run.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_BUILDER_THREAD_H_
