#ifndef GATEWAY_HUB_HUB_STREAM_H_
#define GATEWAY_HUB_HUB_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/counts.h"
#include "gateway/hub/hub_host.h"
#include "gateway/hub/kept_events.h"
#include "gateway/hub/roster.h"
#include "gateway/hub/stream_form.h"
#include "gateway/upstream/upstream.h"
#include "headgate/v1/hub_backend.pb.h"

namespace headgate {

class HubStream;

// What a stream needs of its hub.
class HubStreamOwner {
 public:
  // Whether commands of the stream may be carried out now; if not, Flush comes
  // when they may.
  virtual bool may_execute(const HubStream& stream) const = 0;
  // `number`: of the stream that the command came on, as in HubReport.
  virtual void Execute(HubStream& stream, std::uint64_t number,
                       const v1::Command& command) = 0;
  virtual void ReturnCredit(HubCredit credit) = 0;
  virtual v1::Event JoinedEvent(const HubRecord& record) const = 0;
  // The backend has, or has acknowledged, the Left of the session.
  virtual void Forget(Who who) = 0;
  // Ends all sessions of the stream, which the backend will not hear of again,
  // over `spread`; has to call HubStream::EndIncarnation.
  virtual void Abandon(HubStream& stream, const absl::Status& status,
                       absl::Duration spread) = 0;
  // Sessions of the stream whose clients are there.
  virtual std::size_t sessions(const HubStream& stream) const = 0;
  // The same, and those whose Left waits.
  virtual std::size_t records(const HubStream& stream) const = 0;

 protected:
  ~HubStreamOwner() = default;
};

// A stream to a hub's backend: the events of its sessions that wait for it, and
// its calls, one after the other.
//
//   kNone --(first session)--> kGreeting --> [kReplaying] --> kLive
//                                  |              |             |
//                                  +------- the call ends ------+
//                                  v
//   kNone <--(no sessions)---- kLost --(backoff)--> kGreeting
//
// A call whose connection the backend ends (GOAWAY) is retired: its successor
// is opened as after a loss, but at once, and carries nothing but Hello until
// the old call, half-closed then, has been read to its end.
//
// A call is not read while its commands may not be carried out, or while too
// many reports on them wait.
//
// Pure. Thread: the hub thread. Lifetime: what the constructor takes must
// outlive it.
class HubStream {
 public:
  // `index`: below HubOptions::streams().
  HubStream(const HubOptions& options, std::size_t index, Upstream& upstream,
            HubHost& host, HubRoster& roster, HubCounts& counts,
            HubStreamOwner& owner);
  HubStream(const HubStream&) = delete;
  HubStream& operator=(const HubStream&) = delete;

  // Why no session may begin: the backend does not implement the method, or so
  // much waits for it.
  absl::Status CheckAdmission() const;
  // The events of one session stay in their order. Reports (QueuedEvent::Kind)
  // are for the current call alone.
  void Enqueue(QueuedEvent event);
  // FAILED_PRECONDITION where events are not kept, INVALID_ARGUMENT for a
  // number that was not sent.
  absl::Status Acknowledge(std::uint64_t seq);

  // --- To be called by the owner ---

  // Some twenty times in a second. May call Abandon.
  void OnTick();
  // Opens calls, and gives them what waits.
  void Pump();
  // Carries out commands. False: not all, the time is up.
  bool PumpCommands(absl::Time until);
  // What was to be said of its sessions is void: they are gone.
  void EndIncarnation();
  // Half-closes the call behind the last event.
  void Finish();
  // Has the backend told of the deadline, on each call.
  void Drain(absl::Time deadline);

  enum class State { kNone, kGreeting, kReplaying, kLive, kLost };
  State state() const { return state_; }
  // Whether Finish was called, and the backend has ended the call, or there is
  // none.
  bool is_finished() const {
    return finishing_ && current_ == nullptr && retired_ == nullptr;
  }
  // Whether reports on the commands of that call can be sent.
  bool is_current(std::uint64_t number) const {
    return current_ != nullptr && current_->number == number;
  }
  std::size_t index() const { return index_; }
  // Whether the session is one of its own: those of a worker, or all.
  bool has(Who who) const { return (who - 1) % options_.streams() == index_; }
  // As in Hello.
  std::string incarnation() const;
  // Of events that wait for the call, or for an Ack.
  std::size_t queued_bytes() const { return queue_bytes_ + kept_.bytes(); }
  // Left events that wait for an Ack.
  std::size_t unacknowledged_lefts() const { return kept_.lefts(); }

  // For how long a call's successor waits for its end.
  static constexpr absl::Duration kLongestSuccession = absl::Seconds(5);
  // Until the stream is opened again: doubled each time.
  static constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
  // Sessions that have lost their backend are closed over this time.
  static constexpr absl::Duration kCloseSpread = absl::Seconds(5);

 private:
  struct Call final : UpstreamCallObserver {
    Call(HubStream& owner, std::uint64_t count, std::unique_ptr<StreamForm> its)
        : stream(owner), number(count), form(std::move(its)) {}
    void OnMessage(std::string payload) override {
      stream.OnMessage(*this, std::move(payload));
    }
    void OnWritten() override { stream.OnWritten(*this); }
    void OnDraining() override { stream.OnDraining(*this); }
    void OnDone(CallEnd end) override { stream.OnDone(*this, std::move(end)); }

    HubStream& stream;
    const std::uint64_t number;  // See HubReport::stream.
    // Of its messages; holds what is left to do of the last one.
    const std::unique_ptr<StreamForm> form;
    bool writing = true;
    bool reading = true;
    bool half_closed = false;
    bool has_commands = false;
    bool drains = false;  // Its connection does.
    std::unique_ptr<UpstreamCall> call;
  };

  void Open();
  void OnMessage(Call& call, std::string payload);
  void OnWritten(Call& call);
  void OnDraining(Call& call);
  void OnDone(Call& call, CallEnd end);
  void OnLost(const absl::Status& status);
  void OnGreeted();
  void DropCurrent();
  // Its successor is to be opened.
  void Retire();
  // Nothing more will be written to the retired call.
  void HalfCloseRetired();
  void DropRetired();
  // Whether the call waits for the end of the one before.
  bool is_held() const { return retired_ != nullptr && !is_overtaken_; }
  bool is_up() const {
    return state_ == State::kReplaying || state_ == State::kLive;
  }
  bool needs_call() const {
    return owner_.records(*this) > 0 || !queue_.empty();
  }
  void Prove();

  std::string HelloBatch();
  std::string ReplayBatch();
  std::string EventBatch();
  // Appends to the batch what a call before has carried. False: it has no more
  // place.
  bool AppendAgain(std::string& batch);
  // Appends an event that is not sent again. False: it needs a message of its
  // own.
  bool AppendEvent(Who who, absl::string_view body, std::string& batch);
  // The call has taken an event that is not kept.
  void OnTaken(const QueuedEvent& event);
  void EnqueueDraining();
  // Whether events are kept until they are acknowledged.
  bool keeps() const {
    return options_.target.delivery == HubTarget::Delivery::kAtLeastOnce;
  }
  void ReturnCredit(Who who, std::size_t bytes) {
    owner_.ReturnCredit({who, bytes, bytes});
  }
  void ReturnCreditInFlight();
  // Reports on commands mean nothing to the next call.
  void DropReports();

  bool may_execute() const;
  // False: neither may commands of the call's successor be carried out.
  bool PumpCommands(Call& call, absl::Time until, bool& is_late);

  const HubOptions& options_;
  const std::size_t index_;
  Upstream& upstream_;
  HubHost& host_;
  HubRoster& roster_;
  HubCounts& counts_;
  HubStreamOwner& owner_;

  State state_ = State::kNone;
  std::unique_ptr<Call> current_;
  // The one before, until it has ended.
  std::unique_ptr<Call> retired_;
  absl::Time retired_until_ = absl::InfiniteFuture();
  bool is_overtaken_ = false;  // It has not ended by then.
  bool finishing_ = false;
  std::optional<absl::Time> drains_until_;

  std::uint64_t incarnation_ = 1;
  std::uint64_t seq_ = 0;
  // Whether the next call continues one of this incarnation.
  bool resumes_ = false;
  std::vector<Who> replay_;  // The last is the next.
  std::uint64_t replayed_ = 0;
  absl::Time opened_at_;
  // Since when sessions wait for a call that works.
  std::optional<absl::Time> lost_since_;
  absl::Time retry_at_ = absl::InfinitePast();
  absl::Duration backoff_ = kFirstBackoff;
  // The backend does not implement the method.
  absl::Time refuse_until_ = absl::InfinitePast();
  absl::Status refusal_;

  std::deque<QueuedEvent> queue_;
  KeptEvents kept_;  // With HubTarget::Delivery::kAtLeastOnce.
  std::size_t queue_bytes_ = 0;
  std::size_t report_bytes_ = 0;  // Of reports on commands among them.
  std::vector<std::pair<Who, std::size_t>> in_flight_;  // Credit.
};

}  // namespace headgate

#endif  // GATEWAY_HUB_HUB_STREAM_H_
