#include "gateway/server/handshake_gate.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class NamedWaiter final : public HandshakeWaiter {
 public:
  NamedWaiter(std::string name, std::vector<std::string>& log)
      : name_(std::move(name)), log_(log) {}
  void OnHandshakeAllowed() override { log_.push_back(name_); }

 private:
  const std::string name_;
  std::vector<std::string>& log_;
};

class HandshakeGateTest : public ::testing::Test {
 protected:
  // Keeps those that have to wait.
  bool Arrive(const std::string& name) {
    const auto waiter = std::make_shared<NamedWaiter>(name, log_);
    if (gate_.Admit(now_, waiter)) return true;
    waiting_.push_back(waiter);
    return false;
  }
  void After(absl::Duration passed) {
    now_ += passed;
    gate_.OnTick(now_);
  }

  HandshakeGate gate_;
  absl::Time now_ = absl::UnixEpoch();
  std::vector<std::string> log_;
  std::vector<std::shared_ptr<NamedWaiter>> waiting_;
};

TEST_F(HandshakeGateTest, WithoutARateNobodyWaits) {
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(Arrive("any"));
}

TEST_F(HandshakeGateTest, ASecondsWorthMayBeginAtOnceAndTheRestInOrder) {
  gate_.SetRate(2);
  EXPECT_TRUE(Arrive("a"));
  EXPECT_TRUE(Arrive("b"));
  EXPECT_FALSE(Arrive("c"));
  EXPECT_FALSE(Arrive("d"));
  After(absl::Milliseconds(499));
  EXPECT_THAT(log_, IsEmpty());
  After(absl::Milliseconds(1));
  EXPECT_THAT(log_, ElementsAre("c"));
  now_ += absl::Milliseconds(500);
  EXPECT_FALSE(Arrive("e")) << "d has waited longer";
  After(absl::ZeroDuration());
  After(absl::Milliseconds(500));
  EXPECT_THAT(log_, ElementsAre("c", "d", "e"));
}

TEST_F(HandshakeGateTest, ThoseThatAreGoneCostNothing) {
  gate_.SetRate(1);
  EXPECT_TRUE(Arrive("a"));
  EXPECT_FALSE(Arrive("b"));
  EXPECT_FALSE(Arrive("c"));
  EXPECT_FALSE(Arrive("d"));
  waiting_[0].reset();
  waiting_[1].reset();
  After(absl::Seconds(1));
  EXPECT_THAT(log_, ElementsAre("d"));
  EXPECT_EQ(gate_.waiting(), 0u);
}

TEST_F(HandshakeGateTest, ARateThatIsTakenAwayLetsAllGoOn) {
  gate_.SetRate(1);
  EXPECT_TRUE(Arrive("a"));
  EXPECT_FALSE(Arrive("b"));
  EXPECT_FALSE(Arrive("c"));
  gate_.SetRate(0);
  After(absl::ZeroDuration());
  EXPECT_THAT(log_, ElementsAre("b", "c"));
}

}  // namespace
}  // namespace headgate
