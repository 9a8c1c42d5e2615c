#include "gateway/upstream/hand_off.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace headgate {
namespace {

// Of what came while events ran, before the worker's sockets have theirs.
constexpr int kMostTurns = 16;

}  // namespace

void HandOff::Post(Event& event) {
  event.next_ = last_.load(std::memory_order_relaxed);
  while (!last_.compare_exchange_weak(event.next_, &event,
                                      std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {
  }
  if (!awake_.exchange(true)) Wake();
}

void HandOff::Wake() {
  boost::asio::post(worker_, [self = shared_from_this()] {
    self->Drain();
    self->turn_.Run();
  });
}

void HandOff::Drain() {
  for (int turn = 0; turn < kMostTurns; ++turn) {
    RunAll();
    if (last_.load() != nullptr) continue;
    // A Post from here on wakes the worker, unless it is seen right below.
    awake_.store(false);
    if (last_.load() == nullptr || awake_.exchange(true)) return;
  }
  Wake();
}

void HandOff::RunAll() {
  Event* event = last_.exchange(nullptr);
  Event* first = nullptr;
  while (event != nullptr) {
    Event* const before = std::exchange(event->next_, first);
    first = std::exchange(event, before);
  }
  while (first != nullptr) {
    // Running it may destroy it, or post it again.
    std::exchange(first, first->next_)->Run();
  }
}

}  // namespace headgate
