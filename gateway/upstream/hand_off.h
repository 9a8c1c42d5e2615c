#ifndef GATEWAY_UPSTREAM_HAND_OFF_H_
#define GATEWAY_UPSTREAM_HAND_OFF_H_

#include <atomic>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "gateway/base/turn.h"

namespace headgate {

// Brings events from gRPC's threads to the worker, as many at once as have come
// meanwhile: waking a thread costs more than what most events do there.
//
// Thread:   Post from any; the events run on the worker, in the order of the
//           posts.
// Lifetime: shared by those that post. Its worker must outlive it, and each
//           poster must count as the worker's work until the event has run.
class HandOff : public std::enable_shared_from_this<HandOff> {
 public:
  // What is handed over, without an allocation: a part of the object that it
  // tells of. May be posted again once it runs, and be destroyed in there.
  class Event {
   public:
    virtual void Run() = 0;

   protected:
    ~Event() = default;

   private:
    friend class HandOff;
    Event* next_ = nullptr;
  };

  HandOff(boost::asio::io_context& worker, Turn& turn)
      : worker_(worker), turn_(turn) {}

  boost::asio::io_context& worker() { return worker_; }
  Turn& turn() { return turn_; }

  // Requires: the event was not posted, or has begun to run since.
  void Post(Event& event);

 private:
  void Wake();
  void Drain();
  void RunAll();

  boost::asio::io_context& worker_;
  Turn& turn_;
  // The last that was posted; a chain back to the first that has not run.
  std::atomic<Event*> last_ = nullptr;
  // Whether the worker will look, so that nobody need wake it.
  std::atomic<bool> awake_ = false;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_HAND_OFF_H_
