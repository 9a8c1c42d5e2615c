#include "gateway/base/turn.h"

#include <utility>

namespace headgate {
namespace {

// How often what comes up meanwhile is done in the same iteration.
constexpr int kMaxRounds = 16;

}  // namespace

Turn::~Turn() {
  soon_.Clear();
  at_end_.Clear();
  postponed_.Clear();
  next_.Clear();
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
  if (!soon_.alone() || !at_end_.alone() || !postponed_.alone() ||
      !next_.alone()) {
    WakeUp();
  }
}

void Turn::OnWoken() {
  woken_ = false;
  worked_ = {};
  running_ = true;
  RunSome(postponed_);
  RunSome(next_);
  running_ = false;
  Run();
}

void Turn::RunSome(Link<TurnTask>& list) {
  Link<TurnTask> now;
  now.TakeAll(list);
  if (!now.alone()) RunFirst(now);
  while (!now.alone() && !has_worked_long()) RunFirst(now);
  // These stay in front of those that have had their turn and go on.
  now.TakeAll(list);
  list.TakeAll(now);
}

bool Turn::RunAll(Link<TurnTask>& list) {
  if (list.alone()) return false;
  // Those that are put off meanwhile wait for the next round.
  Link<TurnTask> now;
  now.TakeAll(list);
  while (!now.alone()) RunFirst(now);
  return true;
}

void Turn::RunFirst(Link<TurnTask>& list) {
  TurnTask& task = *list.next->owner;
  task.link_.Remove();
  task.OnTurn();
}

}  // namespace headgate
