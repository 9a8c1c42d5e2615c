#include "cmd/headgate/held_signals.h"

#include <csignal>

#include <gtest/gtest.h>

namespace headgate {
namespace {

volatile std::sig_atomic_t seen = 0;

void See(int signal) { seen = signal; }

class HeldSignals : public ::testing::Test {
 protected:
  HeldSignals() {
    seen = 0;
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      std::signal(signal, See);
    }
    HoldSignals();
  }
  ~HeldSignals() override { ReleaseSignals(); }
};

TEST_F(HeldSignals, WaitUntilTheyAreReleased) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    HoldSignals();
    std::raise(signal);
    EXPECT_EQ(seen, 0);
    ReleaseSignals();
    EXPECT_EQ(seen, signal);
    seen = 0;
  }
}

TEST_F(HeldSignals, StopIsPendingAfterSigtermAndSigintAlone) {
  EXPECT_FALSE(IsStopPending());
  std::raise(SIGHUP);
  EXPECT_FALSE(IsStopPending());
  std::raise(SIGINT);
  EXPECT_TRUE(IsStopPending());
  ReleaseSignals();
  EXPECT_FALSE(IsStopPending());
  HoldSignals();
  std::raise(SIGTERM);
  EXPECT_TRUE(IsStopPending());
}

}  // namespace
}  // namespace headgate
