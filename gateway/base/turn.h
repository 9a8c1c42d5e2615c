#ifndef GATEWAY_BASE_TURN_H_
#define GATEWAY_BASE_TURN_H_

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "gateway/base/link.h"

namespace headgate {

class Turn;

// Something to do later in the same event loop iteration. It is a member or a
// base of the object that it belongs to, so that putting it off costs no
// allocation, and is cancelled by its destruction.
class TurnTask {
 public:
  TurnTask(const TurnTask&) = delete;
  TurnTask& operator=(const TurnTask&) = delete;

  // May put any task off, this one as well, and destroy any, this one as well
  // as its last act.
  virtual void OnTurn() = 0;

 protected:
  TurnTask() = default;
  ~TurnTask() = default;

 private:
  friend class Turn;

  Link<TurnTask> link_;
};

// What is left to do before an iteration of a worker's event loop ends. It is
// the only way to put off what must not happen within the present call, and to
// outlive a callback:
//
//   turn.Soon(*this);                 // Notify an observer, from the top.
//   turn.AtEnd(*this);                // Write what the others have put.
//   turn.Next(*this);                 // Go on with what takes long.
//   turn.Postpone(*this);             // Begin with it, when there is time.
//   turn.Bury(std::move(call_));      // It may be what is calling.
//
// Handlers of the event loop end with Run. What is put off outside of Run has
// the loop woken for it.
//
// Thread:   the worker's.
// Lifetime: tasks may outlive it; then they do not run.
class Turn {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kLong{2};

  // `wake` has OnWoken called from the event loop, once. `now` is what Work
  // takes the time from, and never before 1 ns after the epoch.
  explicit Turn(std::function<void()> wake,
                std::function<Clock::time_point()> now = Clock::now)
      : wake_(std::move(wake)), now_(std::move(now)) {}
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Runs `task` once, after those that were put off before it. Has no effect
  // on one that waits already.
  void Soon(TurnTask& task) { Put(task, soon_); }
  // Runs it when none of those is left.
  void AtEnd(TurnTask& task) { Put(task, at_end_); }
  // Runs it in another iteration, after the event loop has looked at sockets.
  // Those that wait longest come first, as many as 2 ms of Work allow, and one
  // at least.
  void Next(TurnTask& task) { Put(task, next_); }
  // The same of a task that has not begun, and therefore comes before those
  // that go on.
  void Postpone(TurnTask& task) { Put(task, postponed_); }

  // Counts the time of a task while it exists; within another one it counts
  // nothing. What may take long, and of which peers can have many wait at once,
  // begins with:
  //
  //   if (turn.has_worked_long()) return turn.Postpone(*this);
  //   const Turn::Work work(turn);
  class Work {
   public:
    explicit Work(Turn& turn)
        : turn_(turn), is_outer_(turn.working_since_ == Clock::time_point()) {
      if (is_outer_) turn_.working_since_ = turn_.now_();
    }
    ~Work() {
      if (!is_outer_) return;
      turn_.worked_ += turn_.now_() - turn_.working_since_;
      turn_.working_since_ = {};
    }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;

   private:
    Turn& turn_;
    const bool is_outer_;
  };
  // Whether that is long enough for sockets to wait: some 2 ms. Reads the clock
  // within Work, so that a long task can see whether to go on.
  bool has_worked_long() const {
    if (working_since_ == Clock::time_point()) return worked_ >= kLong;
    return worked_ + (now_() - working_since_) >= kLong;
  }

  // Destroys what `owner` points to once the tasks have run; of a shared
  // object, gives up this share.
  template <typename T>
  void Bury(std::unique_ptr<T> owner) {
    Bury(std::shared_ptr<T>(std::move(owner)));
  }
  template <typename T>
  void Bury(std::shared_ptr<T> owner) {
    if (owner == nullptr) return;
    dead_.push_back(std::move(owner));
    WakeUp();
  }

  // Does what there is to do. What keeps coming is left for another iteration,
  // so that sockets get theirs. Within itself it has no effect.
  void Run();
  // The event loop's response to `wake`.
  void OnWoken();

 private:
  void Put(TurnTask& task, Link<TurnTask>& list) {
    if (!task.link_.alone()) return;
    task.link_.owner = &task;
    task.link_.InsertBefore(list);
    WakeUp();
  }
  void WakeUp() {
    if (running_ || woken_) return;
    woken_ = true;
    wake_();
  }
  // Those that wait now; false when there are none.
  static bool RunAll(Link<TurnTask>& list);
  static void RunFirst(Link<TurnTask>& list);
  // At least one, if there is one, and then as many as there is time for.
  void RunSome(Link<TurnTask>& list);

  const std::function<void()> wake_;
  const std::function<Clock::time_point()> now_;
  bool running_ = false;
  bool woken_ = false;                    // OnWoken will come.
  Clock::duration worked_ = {};           // Since OnWoken.
  Clock::time_point working_since_ = {};  // Of the outer Work, if there is one.
  Link<TurnTask> soon_;
  Link<TurnTask> at_end_;
  Link<TurnTask> postponed_;
  Link<TurnTask> next_;
  std::vector<std::shared_ptr<void>> dead_;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_TURN_H_
