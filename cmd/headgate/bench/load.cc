#include "cmd/headgate/bench/load.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace headgate {

StopFlag::StopFlag() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

StopFlag::~StopFlag() { close(fd_); }

void StopFlag::Raise() {
  raised_.store(true, std::memory_order_relaxed);
  static_cast<void>(eventfd_write(fd_, 1));
}

}  // namespace headgate
