#include "gateway/base/turn.h"

#include <utility>

namespace headgate {
namespace {

// How often what comes up meanwhile is done in the same iteration.
constexpr int kMaxRounds = 16;

}  // namespace

Turn::~Turn() {
  while (!soon_.alone()) soon_.next->Remove();
  while (!at_end_.alone()) at_end_.next->Remove();
}

void Turn::Run() {
  if (running_) return;
  running_ = true;
  for (int round = 0; round < kMaxRounds; ++round) {
    while (round < kMaxRounds && RunAll(soon_)) ++round;
    if (!RunAll(at_end_) && soon_.alone()) break;
  }
  // Their destructors may bury others.
  while (!dead_.empty()) {
    const std::vector<std::shared_ptr<void>> dead = std::exchange(dead_, {});
  }
  running_ = false;
  if (!soon_.alone() || !at_end_.alone()) WakeUp();
}

void Turn::OnWoken() {
  woken_ = false;
  Run();
}

bool Turn::RunAll(TurnTask::Link& list) {
  if (list.alone()) return false;
  // Those that are put off meanwhile wait for the next round.
  TurnTask::Link now;
  now.InsertBefore(list);
  list.Remove();
  while (!now.alone()) {
    TurnTask& task = *now.next->task;
    task.link_.Remove();
    task.OnTurn();
  }
  return true;
}

}  // namespace headgate
