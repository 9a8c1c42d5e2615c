#ifndef GATEWAY_SERVER_SHARED_UPSTREAM_H_
#define GATEWAY_SERVER_SHARED_UPSTREAM_H_

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "gateway/upstream/schema_store.h"

namespace headgate {

// What all workers know of one upstream. Touched when calls end, never per
// message.
//
// Thread:   any.
// Lifetime: shared by the workers and the Configuration.
class SharedUpstream {
 public:
  explicit SharedUpstream(std::shared_ptr<SchemaStore> schemas)
      : schemas_(std::move(schemas)) {}

  const std::shared_ptr<SchemaStore>& schemas() const { return schemas_; }

  // A call of any worker has ended.
  void OnCallEnded(absl::StatusCode code) {
    if (code == absl::StatusCode::kOk) {
      Set(served_);
    } else if (code == absl::StatusCode::kUnavailable) {
      Set(unavailable_);
    }
  }

  // Whether there was such an end since this was last asked.
  bool TakeServed() { return Take(served_); }
  bool TakeUnavailable() { return Take(unavailable_); }

 private:
  // Most find it set, and leave the cache line to the others.
  static void Set(std::atomic<bool>& flag) {
    if (!flag.load(std::memory_order_relaxed)) {
      flag.store(true, std::memory_order_relaxed);
    }
  }
  static bool Take(std::atomic<bool>& flag) {
    return flag.load(std::memory_order_relaxed) &&
           flag.exchange(false, std::memory_order_relaxed);
  }

  const std::shared_ptr<SchemaStore> schemas_;
  std::atomic<bool> served_ = false;
  std::atomic<bool> unavailable_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_SERVER_SHARED_UPSTREAM_H_
