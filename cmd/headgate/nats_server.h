#ifndef CMD_HEADGATE_NATS_SERVER_H_
#define CMD_HEADGATE_NATS_SERVER_H_

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// A nats-server of our own, as a child process on a free port of 127.0.0.1,
// without passwords and without anything on disk.
//
// A terminal's Ctrl-C does not reach it, so that it serves while the process is
// drained; it ends with the object, and when the process is killed. If it ends
// before that, the log has the reason, and the process is sent SIGINT.
//
// Thread: the main thread.
class NatsServer {
 public:
  // Returns when it listens. `folders`, in the form of PATH, are where to look
  // for it. NOT_FOUND: it is not installed. UNAVAILABLE: it does not start.
  // CANCELLED: SIGTERM or SIGINT is pending; see held_signals.h.
  static absl::StatusOr<std::unique_ptr<NatsServer>> Start(
      absl::string_view folders);
  ~NatsServer();
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;

  // "nats://127.0.0.1:PORT".
  const std::string& url() const { return url_; }
  // Whether it has ended before its time: see above.
  bool has_ended() const { return has_ended_; }

 private:
  NatsServer(pid_t pid, int output) : pid_(pid), output_(output) {}

  // What it has written so far, to stdout or stderr.
  std::string Output() const;
  absl::Status AwaitPort();
  // The watcher thread's: waits until the child has ended, without reaping it,
  // so that the destructor cannot kill another process with the same number.
  void Watch();

  const pid_t pid_;
  const int output_;  // A file in memory.
  std::string url_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> has_ended_ = false;
  std::thread watcher_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_NATS_SERVER_H_
