#include "cmd/headgate/held_signals.h"

#include <signal.h>

namespace headgate {
namespace {

sigset_t Held() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  return signals;
}

}  // namespace

void HoldSignals() {
  const sigset_t signals = Held();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

void ReleaseSignals() {
  const sigset_t signals = Held();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

bool IsStopPending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGTERM) == 1 ||
         sigismember(&pending, SIGINT) == 1;
}

}  // namespace headgate
