#include "gateway/upstream/h2/alarms.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AlarmsTest : public ::testing::Test {
 protected:
  struct Bell final : Alarms::Alarm {
    Bell(AlarmsTest& t, std::string n) : test(t), name(std::move(n)) {}
    void OnAlarm() override {
      test.log_.push_back(name);
      if (on_alarm) on_alarm();
    }
    AlarmsTest& test;
    std::string name;
    std::function<void()> on_alarm;
  };

  // The loop returns when no alarm is set.
  void Run() {
    worker_.restart();
    worker_.run_for(std::chrono::seconds(20));
    EXPECT_TRUE(worker_.stopped());
  }
  void Set(Bell& bell, int milliseconds) {
    alarms_->Set(bell, start_ + std::chrono::milliseconds(milliseconds));
  }

  const Alarms::Clock::time_point start_ = Alarms::Clock::now();
  boost::asio::io_context worker_{1};
  std::optional<Alarms> alarms_{worker_};
  std::vector<std::string> log_;
  Bell a_{*this, "a"}, b_{*this, "b"}, c_{*this, "c"};
};

TEST_F(AlarmsTest, RingInTheOrderOfTheirTimes) {
  Set(a_, 3);
  Set(b_, 1);
  Set(c_, 2);
  Run();
  EXPECT_THAT(log_, ElementsAre("b", "c", "a"));
}

TEST_F(AlarmsTest, NoneRingsTooEarly) {
  Set(a_, 30);
  Set(b_, 1);
  Run();
  EXPECT_GE(Alarms::Clock::now() - start_, std::chrono::milliseconds(30));
}

TEST_F(AlarmsTest, SetAnewTheEarlierTimeIsForgotten) {
  Set(a_, 1);
  Set(a_, 20);
  Set(b_, 10);
  Run();
  EXPECT_THAT(log_, ElementsAre("b", "a"));
}

TEST_F(AlarmsTest, CancelledOnesAreSilentAndNoWork) {
  Set(a_, 3'600'000);
  Set(b_, 1);
  alarms_->Cancel(a_);
  alarms_->Cancel(a_);
  Run();
  EXPECT_THAT(log_, ElementsAre("b"));
  Set(a_, 3'600'000);
  alarms_->Cancel(a_);
  Run();
}

TEST_F(AlarmsTest, MaySetAndCancelWhenOneRings) {
  a_.on_alarm = [this] {
    alarms_->Cancel(b_);
    Set(c_, 5);
  };
  Set(a_, 1);
  Set(b_, 1);
  Run();
  EXPECT_THAT(log_, ElementsAre("a", "c"));
}

TEST_F(AlarmsTest, NoneRingsAfterTheEnd) {
  Set(a_, 1);
  alarms_.reset();
  Run();
  EXPECT_THAT(log_, IsEmpty());
}

}  // namespace
}  // namespace headgate
