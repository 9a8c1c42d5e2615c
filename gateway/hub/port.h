#ifndef GATEWAY_HUB_PORT_H_
#define GATEWAY_HUB_PORT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "gateway/base/sliced_queue.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/encoder.h"
#include "gateway/hub/pinned_frames.h"
#include "gateway/route/hub_target.h"
#include "gateway/ws/shared_frame.h"

namespace headgate {

class HubPort;

// Hears what the hub has for one session.
//
// Thread: the worker's; never from within a method of HubMember.
class HubMemberObserver {
 public:
  // `deliver`: what the frame is of.
  virtual void OnHubFrame(ws::SharedFrame& frame,
                          const HubDeliver& deliver) = 0;
  // The response to a request of its client.
  virtual void OnHubAnswer(ws::SharedFrame& frame) = 0;
  // Before anything else for the session.
  virtual void OnHubGreeting(ws::SharedFrame& frame) = 0;
  // When what admitted the session is no longer valid.
  virtual void OnHubExpiry(absl::Time at) = 0;
  // `farewell`: of the close; null: none.
  virtual void OnHubClose(const HubClose& close, ws::SharedFrame* farewell) = 0;
  // The hub has room for events of the session again.
  virtual void OnHubWritable() = 0;

 protected:
  ~HubMemberObserver() = default;
};

// A session's membership in a hub. Begins with its arrival; destroying it is
// the departure.
//
// Thread: the worker's.
class HubMember {
 public:
  // The backend's answer to one that asks; OK admits it.
  using Verdict = std::function<void(const absl::Status&)>;

  ~HubMember();
  HubMember(const HubMember&) = delete;
  HubMember& operator=(const HubMember&) = delete;

  Who who() const { return who_; }
  HubCodec codec() const { return codec_; }
  const HubTarget& target() const;
  const HubForm& form() const;
  // Of the worker's members.
  ws::FrameStore& frames();
  // Which it tells whether frames wait for its client.
  PinnedFrames& pinned();
  // Where a member sends what has come for it; null: at once.
  SlicedQueue* slices();

  // `observer` must outlive it.
  void SetObserver(HubMemberObserver* observer) { observer_ = observer; }

  // Whether the hub takes events; if not, OnHubWritable follows. The limit is
  // soft: one event more is taken.
  bool MaySay();
  // The same without OnHubWritable.
  bool has_room() const;
  void Say(HubEventBody event);
  void Ask(HubRequest request);
  // So many messages for its client were dropped.
  void CountDropped(std::uint64_t messages);
  // Whether the hub's stream has to wait for its client.
  void Wait(HubWait wait);
  // Its connection was given messages.
  void CountSend();
  // Says how it ended. Nothing is said afterwards.
  void Depart(HubDeparture departure);

 private:
  friend class HubPort;
  HubMember(std::shared_ptr<HubPort> port, Who who, HubCodec codec,
            Verdict verdict)
      : port_(std::move(port)),
        who_(who),
        codec_(codec),
        verdict_(std::move(verdict)) {}

  const std::shared_ptr<HubPort> port_;
  const Who who_;
  const HubCodec codec_;
  Verdict verdict_;
  HubMemberObserver* observer_ = nullptr;
  std::size_t unsent_bytes_ = 0;  // Of its events, in the hub.
  bool waits_ = false;            // OnHubWritable is due.
  bool departed_ = false;
};

// A hub as one worker sees it: its members there, what they have said, and how
// much more they may. Pure.
//
// Thread: the worker's. Lifetime: shared by its members.
class HubPort {
 public:
  // `wake`: there is something for TakeEvents; called once, until it was.
  // `slices`: see HubMember; it must outlive the port. `pinned`: of the worker;
  // null: one without a limit.
  HubPort(HubTarget target, HubForm form, std::size_t worker,
          std::size_t workers, std::function<void()> wake,
          SlicedQueue* slices = nullptr,
          std::shared_ptr<PinnedFrames> pinned = nullptr);

  // A session joins `port`. `verdict`: of one that asks. Null when there is no
  // number left.
  static std::unique_ptr<HubMember> Join(std::shared_ptr<HubPort> port,
                                         HubArrival arrival,
                                         HubMember::Verdict verdict);

  HubEvents TakeEvents();

  // Takes a batch of the hub's, which ApplySlice carries out behind those
  // before.
  void Take(HubCommands commands);
  // Carries out some of what was taken: at most kSliceCost of it, and until
  // `is_over`, if there is one, says that a worker has been kept from its other
  // sockets for long enough. Whether there is more. The port must stay
  // meanwhile; what a command reaches may destroy members. Looks at the frames
  // that are pinned after each.
  bool ApplySlice(const std::function<bool()>& is_over = nullptr);

  // What a slice may cost: a receiver counts kReceiverCost and the bytes that
  // it gets.
  static constexpr std::size_t kSliceCost = 4 * 1024 * 1024;
  static constexpr std::size_t kReceiverCost = 256;
  // How often is_over is asked.
  static constexpr std::size_t kCostPerLook = 64 * kReceiverCost;

  const HubTarget& target() const { return target_; }
  const HubForm& form() const { return form_; }
  std::size_t members() const { return members_.size(); }

 private:
  friend class HubMember;

  // Behind the members that have something to send.
  struct SentMark final : SlicedTask {
    explicit SentMark(HubPort& its) : port(its) {}
    void OnSlice() override { port.OnSentMark(); }
    HubPort& port;
  };

  HubMember* Find(Who who) const;
  void Add(HubEvent event);
  void Wake();

  // Carries a command out from receiver next_who_ on, and takes its cost off
  // what is left of the slice. False: the slice is used up before its end.
  bool Run(const HubAdmit& admit);
  bool Run(const HubRefuse& refuse);
  bool Run(const HubDeliver& deliver);
  bool Run(const HubClose& close);
  bool Run(const HubExpire& expire);
  // Takes the cost of a receiver off what is left of the slice.
  void Count(std::size_t cost);
  // Calls `reach` with each member of `whos` that has an observer.
  template <typename Reach>
  bool ForEach(const std::vector<Who>& whos, std::size_t bytes, Reach reach);
  void Return(const HubCredit& credit);
  // What was published has been handed to the members.
  void OnPublished(absl::Time published_at);
  void OnSentMark();
  // Lets members go on, in the order in which they came to a halt.
  void Resume();
  bool has_room() const { return unsent_bytes_ < max_unsent_bytes_; }

  const HubTarget target_;
  const HubForm form_;
  const std::size_t worker_;
  const std::size_t workers_;
  const std::function<void()> wake_;
  SlicedQueue* const slices_;
  const std::shared_ptr<PinnedFrames> pinned_;
  ws::FrameStore frames_{pinned_->count()};
  const std::size_t max_unsent_bytes_;  // Of this worker's members together.

  std::uint64_t next_ = 0;  // Counts members.
  absl::flat_hash_map<Who, HubMember*> members_;
  std::deque<Who> waiting_;
  std::deque<HubCommands> taken_;
  std::size_t next_command_ = 0;  // Of the first of them.
  std::size_t next_who_ = 0;      // Of that command.
  std::size_t slice_left_ = 0;
  // Of ApplySlice.
  const std::function<bool()>* is_over_ = nullptr;
  std::size_t cost_since_look_ = 0;
  std::size_t unsent_bytes_ = 0;
  HubEvents events_;
  bool woken_ = false;
  // When publications were made whose members the mark is behind, and later
  // ones.
  std::vector<absl::Time> marked_;
  std::vector<absl::Time> unmarked_;
  SentMark sent_mark_{*this};
};

}  // namespace headgate

#endif  // GATEWAY_HUB_PORT_H_
