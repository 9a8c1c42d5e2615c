#ifndef GATEWAY_HUB_PINNED_FRAMES_H_
#define GATEWAY_HUB_PINNED_FRAMES_H_

#include <cstddef>
#include <limits>
#include <memory>

#include "gateway/base/link.h"

namespace headgate {

// The shared frames of one worker's hub sessions, which exist as long as one
// client has not taken them, and the sessions for which some wait. Above a
// limit those that hold most are ended, so that clients that are slow do not
// take the process's memory, whatever their hubs allow each of them.
//
// A frame counts once, however many wait for it, and so does what connections
// have of it that are closing: ending a session frees what only its queue
// holds, and nothing of that.
//
// Thread:   one worker's.
// Lifetime: shared by its hubs; holders and frames may outlive it.
class PinnedFrames {
 public:
  // A session's queue. Destroying it releases it.
  class Holder {
   public:
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;

    // What waits in it, bytes, as if it owned that.
    virtual std::size_t pinned_bytes() const = 0;
    // Has the connection take what it can at once.
    virtual void SendPinned() = 0;
    // Ends the session, whose client is slow, and empties the queue.
    virtual void EndPinned() = 0;

   protected:
    Holder() = default;
    ~Holder() = default;

   private:
    friend class PinnedFrames;

    Link<Holder> link_;
  };

  static constexpr std::size_t kNoLimit =
      std::numeric_limits<std::size_t>::max();

  explicit PinnedFrames(std::size_t limit = kNoLimit)
      : limit_(limit), look_at_(limit) {}
  ~PinnedFrames() { holders_.Clear(); }
  PinnedFrames(const PinnedFrames&) = delete;
  PinnedFrames& operator=(const PinnedFrames&) = delete;

  std::size_t bytes() const { return *bytes_; }
  // Where frames are counted; see ws::FrameRef.
  const std::shared_ptr<std::size_t>& count() const { return bytes_; }

  // Frames wait in its queue; none do any more. Both without effect if that is
  // known.
  void Hold(Holder& holder);
  void Release(Holder& holder) { holder.link_.Remove(); }

  // To be called when frames were handed to sessions, and none of the sessions
  // is at work. Above the limit all holders get to send, those with most
  // first, and if that is not enough those with most are ended, until an eighth
  // of the limit is free, or their queues together hold less than that.
  // Then it does nothing until the limit is reached again, or where that
  // much could not be freed, until there is more by an eighth of the limit.
  // Holders may be destroyed meanwhile.
  void Check();

 private:
  std::size_t step() const { return limit_ / 8; }
  bool is_relieved() const { return *bytes_ <= limit_ - step(); }
  // Calls `act` with each holder, those with most first, while it returns true.
  template <typename Act>
  void ForEach(Act act);

  const std::size_t limit_;
  const std::shared_ptr<std::size_t> bytes_ = std::make_shared<std::size_t>(0);
  std::size_t look_at_;  // Check has something to do above it.
  Link<Holder> holders_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_PINNED_FRAMES_H_
