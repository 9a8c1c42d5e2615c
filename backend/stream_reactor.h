#ifndef BACKEND_STREAM_REACTOR_H_
#define BACKEND_STREAM_REACTOR_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

#include <grpcpp/support/server_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace headgate {

// What one stream may hold of messages that its client has not taken yet.
struct OutgoingLimits {
  // A stream that needs more than either is ended with RESOURCE_EXHAUSTED. One
  // message always has room.
  std::size_t max_messages = 256;
  std::size_t max_bytes = 16 * 1024 * 1024;
  // From either of these on nothing more is read from the stream itself, so
  // that a client is never ended for answers to its own messages: the gap to
  // the maximum takes one message of 12 MiB.
  std::size_t pause_messages = 64;
  std::size_t pause_bytes = 4 * 1024 * 1024;
};

// One bidirectional call: reads one message at a time, and sends what anybody
// puts into its outgoing queue, in order.
//
//   kOpen --the client half-closed--> kEnding --queue sent--> kFinished
//     \----End, cancelled, too slow----/
//
// Thread:   the reactions (On...) run on gRPC's threads; Enqueue, Flush, Send
//           and End may be called on any. No lock is held while gRPC or a
//           subclass is called: one thread at a time drives the stream, the
//           others only leave it a note of what there is to do.
// Lifetime: made by make_shared and passed to Start, it owns itself until
//           OnDone. Whoever else wants to call it holds a shared_ptr, with
//           which it may be called after the stream has ended, to no effect.
template <class In, class Out>
class StreamReactor : public grpc::ServerBidiReactor<In, Out> {
 public:
  explicit StreamReactor(OutgoingLimits limits = {}) : limits_(limits) {}

  // Begins to read and write. Call it once, and return the result to gRPC.
  static StreamReactor* Start(std::shared_ptr<StreamReactor> self) {
    StreamReactor* const reactor = self.get();
    reactor->self_ = std::move(self);
    reactor->Flush();
    return reactor;
  }

  // Queues `message`, which goes out with the next Flush. Calls neither gRPC
  // nor the subclass, so a caller may hold a lock of its own.
  void Enqueue(std::shared_ptr<const Out> message) {
    const std::size_t bytes = message->ByteSizeLong();
    absl::MutexLock lock(&mu_);
    if (state_ != State::kOpen) return;
    const bool full = outgoing_.size() >= limits_.max_messages ||
                      outgoing_bytes_ + bytes > limits_.max_bytes;
    if (full && !outgoing_.empty()) {
      return EndLocked(
          grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                       "too slow: too many messages wait to be taken"),
          Pending::kDrop);
    }
    outgoing_bytes_ += bytes;
    outgoing_.push_back({std::move(message), bytes});
  }

  // Starts what there is to do.
  void Flush() { Drive(); }

  void Send(Out message) {
    Enqueue(std::make_shared<const Out>(std::move(message)));
    Flush();
  }

  // Ends the stream with `status`, once the queued messages are sent.
  void End(grpc::Status status) {
    {
      absl::MutexLock lock(&mu_);
      EndLocked(std::move(status), Pending::kSend);
    }
    Drive();
  }

  void OnReadDone(bool ok) final {
    if (ok) OnMessage(incoming_);
    {
      absl::MutexLock lock(&mu_);
      reading_ = false;
      // The client has ended its side, or is gone; OnCancel tells the latter.
      if (!ok) EndLocked(grpc::Status::OK, Pending::kSend);
    }
    Drive();
  }

  void OnWriteDone(bool ok) final {
    {
      absl::MutexLock lock(&mu_);
      writing_ = false;
      if (!ok) EndLocked(grpc::Status::CANCELLED, Pending::kDrop);
    }
    Drive();
  }

  // A subclass that overrides this calls it as well.
  void OnCancel() override {
    {
      absl::MutexLock lock(&mu_);
      EndLocked(grpc::Status::CANCELLED, Pending::kDrop);
    }
    Drive();
  }

  void OnDone() final { self_.reset(); }

 protected:
  // One message of the client's, which may be moved from. The next one is read
  // after this returned.
  virtual void OnMessage(In& message) = 0;

  // For whoever else shall send to it. Only between Start and OnDone.
  std::shared_ptr<StreamReactor> self() const { return self_; }

  // The stream takes no more messages from anybody. Comes exactly once, before
  // the stream is finished, on any thread, and never from within Enqueue.
  virtual void OnEnding() {}

 private:
  enum class State { kOpen, kEnding, kFinished };
  enum class Pending { kSend, kDrop };
  enum class Action { kGreet, kTellEnding, kWrite, kRead, kFinish, kNothing };
  struct Outgoing {
    std::shared_ptr<const Out> message;
    std::size_t bytes;
  };

  void EndLocked(grpc::Status status, Pending pending)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (state_ == State::kFinished) return;
    if (pending == Pending::kDrop) {
      outgoing_.clear();
      outgoing_bytes_ = 0;
    }
    if (state_ == State::kEnding) return;  // The first reason stands.
    state_ = State::kEnding;
    status_ = std::move(status);
  }

  Action NextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!greeted_) {
      greeted_ = true;
      return Action::kGreet;
    }
    if (state_ == State::kEnding && !told_ending_) {
      told_ending_ = true;
      return Action::kTellEnding;
    }
    if (!writing_ && !outgoing_.empty()) {
      writing_ = true;
      in_flight_ = std::move(outgoing_.front().message);
      outgoing_bytes_ -= outgoing_.front().bytes;
      outgoing_.pop_front();
      write_options_ = grpc::WriteOptions();
      if (!outgoing_.empty()) write_options_.set_buffer_hint();
      return Action::kWrite;
    }
    if (state_ == State::kEnding && !writing_) {
      state_ = State::kFinished;
      return Action::kFinish;
    }
    if (state_ == State::kOpen && !reading_ &&
        outgoing_.size() < limits_.pause_messages &&
        outgoing_bytes_ < limits_.pause_bytes) {
      reading_ = true;
      return Action::kRead;
    }
    return Action::kNothing;
  }

  // Does all there is to do, unless another thread is at it: that one then
  // finds what this one has left. So gRPC is called by one thread at a time,
  // and never after Finish.
  void Drive() {
    {
      absl::MutexLock lock(&mu_);
      if (driving_) return;
      driving_ = true;
    }
    for (;;) {
      Action action;
      {
        absl::MutexLock lock(&mu_);
        action = NextLocked();
        if (action == Action::kNothing) {
          driving_ = false;
          return;
        }
      }
      switch (action) {
        case Action::kGreet:
          // So that a client knows that it is connected before anybody has
          // said anything.
          this->StartSendInitialMetadata();
          break;
        case Action::kTellEnding:
          OnEnding();
          break;
        case Action::kWrite:
          this->StartWrite(in_flight_.get(), write_options_);
          break;
        case Action::kRead:
          this->StartRead(&incoming_);
          break;
        case Action::kFinish:
          // `this` may be gone when Finish returns; driving_ stays set.
          return this->Finish(status_);
        case Action::kNothing:
          break;
      }
    }
  }

  const OutgoingLimits limits_;
  std::shared_ptr<StreamReactor> self_;

  absl::Mutex mu_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kOpen;
  std::deque<Outgoing> outgoing_ ABSL_GUARDED_BY(mu_);
  std::size_t outgoing_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool greeted_ ABSL_GUARDED_BY(mu_) = false;
  bool told_ending_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool driving_ ABSL_GUARDED_BY(mu_) = false;

  In incoming_;                           // gRPC's while reading_.
  std::shared_ptr<const Out> in_flight_;  // gRPC's while writing_.
  grpc::WriteOptions write_options_;      // Of in_flight_; the driver's.
  grpc::Status status_;                   // Set before the state is kEnding.
};

}  // namespace headgate

#endif  // BACKEND_STREAM_REACTOR_H_
