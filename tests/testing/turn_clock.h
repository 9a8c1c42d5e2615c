#ifndef TESTS_TESTING_TURN_CLOCK_H_
#define TESTS_TESTING_TURN_CLOCK_H_

#include <chrono>
#include <functional>

#include "gateway/base/turn.h"

namespace headgate::testing {

// The time of a Turn, which passes when a test says so: how long the machine
// takes for what a test does is not what it is about. It outlives the Turn.
class TurnClock {
 public:
  std::function<Turn::Clock::time_point()> now() {
    return [this] { return now_; };
  }
  // As long as one task should work in an iteration of the event loop.
  void WorkLong(Turn& turn) {
    const Turn::Work work(turn);
    now_ += Turn::kLong;
  }
  void Advance(Turn::Clock::duration time) { now_ += time; }

 private:
  Turn::Clock::time_point now_{std::chrono::hours(1)};
};

}  // namespace headgate::testing

#endif  // TESTS_TESTING_TURN_CLOCK_H_
