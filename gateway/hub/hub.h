#ifndef GATEWAY_HUB_HUB_H_
#define GATEWAY_HUB_HUB_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/counts.h"
#include "gateway/hub/encoder.h"
#include "gateway/hub/engine.h"
#include "gateway/hub/group_requests.h"
#include "gateway/hub/hub_host.h"
#include "gateway/hub/hub_stream.h"
#include "gateway/hub/resume_token.h"
#include "gateway/hub/roster.h"
#include "gateway/hub/stream_waits.h"
#include "gateway/route/group_patterns.h"
#include "gateway/route/hub_target.h"
#include "gateway/upstream/upstream.h"
#include "headgate/v1/hub_backend.pb.h"

namespace headgate {

// What a command to many sessions has come to.
struct HubOutcome {
  absl::Status status;       // Why it was not done for some of them, or at all.
  std::size_t sessions = 0;  // That it was done for.
};

// A hub: the sessions of a route on all workers, what is done with them, and
// the streams to the backend that serves them: one, or one for the sessions of
// each worker. Commands of any stream may be for any session. docs/hub.md is
// the contract.
//
// Flow control: sessions stop reading their clients when their stream does not
// take their events (HubPort); streams are not read while a worker has not
// taken kWorkerCost of commands, and one of them not while it waits for a
// session that it has sent to (StreamWaits).
//
// Pure. Thread: the hub thread. Lifetime: `upstream` and `host` must outlive
// it.
class Hub final : private HubMembershipObserver, private HubStreamOwner {
 public:
  using Options = HubOptions;

  Hub(Options options, Upstream& upstream, HubHost& host);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  void OnEvents(std::size_t worker, HubEvents events);
  // To be called some twenty times in a second.
  void OnTick();
  void Flush();
  // Carries out more of the commands that take long.
  void GoOn();

  // The gateway stops: half-closes the streams behind the last event. No
  // session joins any more.
  void Finish();
  // The gateway drains, and stops at the deadline.
  void Drain(absl::Time deadline);
  // Whether the backend has ended the streams, or there are none.
  bool is_finished() const;

  // --- Commands that do not come on a stream (HubService) ---

  HubOutcome Publish(const v1::Audience& to, const v1::Payload& payload,
                     const std::string& key);
  // The same for what was published on another gateway.
  HubOutcome Deliver(const v1::EnginePublication& publication);
  // Publications to the group, which has a history, may be missing between the
  // two offsets; 0: up to the next.
  void OnGap(const std::string& group, std::uint64_t after,
             std::uint64_t before);
  // Sends to one session; `done` is called once, with OK when the client's
  // connection has taken all of it within `patience`.
  using SentCallback = std::function<void(const absl::Status&)>;
  void SendAndWait(HubRecord& record, const v1::Payload& payload,
                   const std::string& key, absl::Duration patience,
                   SentCallback done);
  // Over `spread`, one after the other.
  HubOutcome Close(const v1::Close& close,
                   absl::Duration spread = absl::ZeroDuration());
  // `change.who` does not count. `expires_at`: null: stays as it is.
  HubOutcome Update(const v1::Audience& to, const v1::SetData& change,
                    const google::protobuf::Timestamp* expires_at = nullptr);
  // Ends the session, whose client has resumed it in another; with
  // SessionEnd.REPLACED, at once. Whether it is this hub's.
  bool EndReplaced(const std::string& session);
  HubOutcome Join(const v1::Audience& to,
                  const std::vector<std::string>& groups);
  HubOutcome Leave(const v1::Audience& to,
                   const std::vector<std::string>& groups);
  absl::StatusOr<std::vector<HubRecord*>> Find(const v1::Audience& audience);
  v1::SessionInfo InfoOf(const HubRecord& record) const;
  // Whether the workers take more commands.
  bool has_room() const;

  using StreamState = HubStream::State;
  // Of several streams, that of the one that is furthest from kLive, except for
  // those that no session needs.
  StreamState stream_state() const;
  std::size_t streams() const { return shards_.size(); }
  const HubStream& stream(std::size_t index) const {
    return shards_[index]->stream;
  }
  // Those of a stream whose clients are there.
  std::size_t sessions(const HubStream& stream) const override;
  const HubRoster& roster() const { return roster_; }
  // Whether it has no sessions, and nothing left to say to the workers.
  bool is_idle() const;
  // Those whose clients are there.
  std::size_t sessions() const;
  // Of events that wait for the streams, or for an Ack.
  std::size_t queued_bytes() const;
  const HubCounts& counts() const { return counts_; }
  const Options& options() const { return options_; }

  // Of the message of a Reject or Refuse.
  static constexpr std::size_t kMaxRejectionBytes = 1024;

  // What a worker may have of commands that it is not done with, bytes.
  static constexpr std::size_t kWorkerCost = 1024 * 1024;
  // What one receiver counts of it.
  static constexpr std::size_t kReceiverCost = 64;

 private:
  // Sessions that are closed one after the other.
  struct Closing {
    std::vector<Who> whos;  // The last is the next.
    std::size_t in_all;
    absl::Time began;
    absl::Status status;
    absl::Duration spread;
  };

  // Closes that were asked for with a spread.
  struct SpreadClose {
    std::vector<Who> whos;  // The last is the next.
    v1::Close close;
    Ending ending;
    std::size_t in_all = 0;
    absl::Time began;
    absl::Duration spread;
  };
  // A stream, and what goes by it.
  struct Shard {
    template <typename... Args>
    explicit Shard(Args&&... args) : stream(std::forward<Args>(args)...) {}

    HubStream stream;
    std::size_t records = 0;  // Of its sessions,
    std::size_t gone = 0;     // of which so many wait for their Left.
    StreamWaits waits;
    // Those that ask, in the order of their deadlines (of StreamTime); may be
    // gone.
    std::deque<std::pair<absl::Time, Who>> asking;
    GroupRequests group_requests;
    std::optional<Closing> closing;
  };
  // A SendAndWait that waits.
  struct Waiter {
    Who who;
    absl::Time until;
    SentCallback done;
  };

  // What workers report.
  void TakeNow(HubEvent& event);
  void Take(Who who, HubArrival& arrival);
  void Take(Who who, HubRequest request);
  void Take(Who who, HubEventBody event);
  void Take(Who who, const HubDeparture& departure);

  // What clients ask for. Requests wait while the workers are behind, and what
  // else their sessions report waits behind them; the sessions' credit bounds
  // both.
  void Delay(HubEvent event);
  void PumpRequests();
  // Return the credit when it is done, or cannot be; of what the backend is to
  // decide on when the stream has taken the event.
  void JoinFor(HubRecord& record, const v1::HubClientFrame& frame,
               std::size_t credit);
  void AskFor(const HubRecord& record, const v1::HubClientFrame& frame,
              std::size_t credit);
  void LeaveFor(HubRecord& record, const v1::HubClientFrame& frame,
                std::size_t credit);
  // The session joins the group of its frame `id`, or is told why not.
  absl::Status FinishJoin(HubRecord& record, std::uint32_t id,
                          const v1::HubClientFrame::JoinGroup& join);
  absl::Status Grant(const v1::Join& join);
  // Whether its numbers and names can be right.
  static absl::Status CheckJoin(const v1::Join& join);
  // The one that waits for the session, by its number on the session's stream;
  // NOT_FOUND, INVALID_ARGUMENT.
  absl::StatusOr<GroupRequests::Request> TakeRequest(std::uint64_t number,
                                                     Who who);
  void RefuseLateRequests(Shard& shard, absl::Time now);
  // The response to a join; the session is in the group. Where that has a
  // history, what was missed follows, and nothing comes of it before.
  void AnswerJoin(HubRecord& record, std::uint32_t id,
                  const v1::HubClientFrame::JoinGroup& join);
  void OnRecovered(Who who, std::uint32_t id,
                   const v1::HubClientFrame::JoinGroup& join,
                   const absl::StatusOr<HubEngine::Recovery>& recovery);
  // The same for all clients of a codec that miss it; null: it has no form
  // there.
  HubFrame RecoveredFrame(const SharedPublication& publication, HubCodec codec);
  bool HasHistory(absl::string_view group);
  bool IsRecovering(const std::string& group, Who who) const;
  // Returns the credit when it is done.
  void PublishFor(const HubRecord& record, const v1::HubClientFrame& frame,
                  std::size_t credit);
  // The same when the stream has taken the event.
  void HandOnToken(const HubRecord& record, const v1::HubClientFrame& frame,
                   std::size_t credit);
  // --- Resume tokens (hub_resume.cc) ---

  // A Resume whose joins are not all answered.
  struct Resuming {
    std::uint32_t frame = 0;
    std::string previous;  // The session; "": the token was not good.
    absl::flat_hash_set<std::string> waiting;  // Groups.
    bool recovered = false;                    // So far.
  };

  // Gives a session that is admitted its tokens from now on.
  void BeginTokens(const HubRecord& record);
  std::string TokenOf(const HubRecord& record);
  void SendToken(const HubRecord& record);
  // Tokens are good for the user that they were issued to.
  void OnUserChanged(const HubRecord& record);
  void RenewTokens();
  void ResumeFor(HubRecord& record, const v1::HubClientFrame& frame,
                 std::size_t credit);
  absl::Status CheckResume(const v1::HubClientFrame::Resume& resume);
  // The join of the group in the client's frame `id` is answered.
  void OnJoinAnswered(const HubRecord& record, std::uint32_t id,
                      const std::string& group, bool is_recovered);
  // The same with an error, which is sent.
  void RefuseJoin(const HubRecord& record, std::uint32_t id,
                  const std::string& group, const absl::Status& status);
  // Tells the backend of it, if all joins are answered, or the session is gone.
  void EndResuming(Who who, bool is_gone);

  // A frame of the hub's own to a session of IsHubClient.
  void TellFrame(const HubRecord& record, const v1::HubServerFrame& frame);
  // The response to its frame `id`; 0: there is none.
  void Answer(const HubRecord& record, std::uint32_t id,
              v1::HubServerFrame answer);

  void OnMembership(const HubRecord& record, const HubGroup& group,
                    bool joins) override;
  HubMembershipObserver* Observer() { return this; }
  // The route's groups with the session's variables.
  absl::StatusOr<std::vector<std::string>> RouteGroups(
      const HubRecord& record) const;
  void TurnAway(Who who, bool asks, const absl::Status& status);
  // HubStreamOwner.
  HubStreamOwner& StreamOwner() { return *this; }
  v1::Event JoinedEvent(const HubRecord& record) const override;
  bool may_execute(const HubStream& stream) const override {
    return has_room() && !shards_[stream.index()]->waits.holds();
  }
  void Execute(HubStream& stream, std::uint64_t number,
               const v1::Command& command) override;
  void ReturnCredit(HubCredit credit) override;
  void Forget(Who who) override;
  void Abandon(HubStream& stream, const absl::Status& status,
               absl::Duration spread) override;
  std::size_t records(const HubStream& stream) const override {
    return shards_[stream.index()]->records;
  }
  Shard& ShardOf(Who who) { return *shards_[(who - 1) % shards_.size()]; }

  void ReturnCredit(Who who, std::size_t bytes) {
    ReturnCredit({who, bytes, bytes});
  }

  // Commands.
  // `offset`: in the history of the group that it is for; 0: it has none.
  HubOutcome Distribute(const v1::Audience& to, const v1::Payload& payload,
                        const std::string& key, HubSource source,
                        std::uint64_t offset = 0);
  // Of messages for groups that fit the pattern of that index. `may_block`:
  // they come on the stream, and are not for groups.
  SlowClientSettings::Policy PolicyOf(std::size_t pattern,
                                      bool may_block) const;
  // Hands a broadcast over to the hub's other gateways.
  absl::Status Spread(const v1::Broadcast& broadcast);
  // The same for a group with history. A failure is reported later.
  absl::Status Store(const v1::Broadcast& broadcast, std::uint64_t command,
                     HubEngine& engine);
  v1::EnginePublication PublicationOf(const v1::Broadcast& broadcast) const;
  void PumpCommands();
  absl::Status Execute(HubStream& stream, const v1::Command& command);
  absl::Status Execute(const v1::Accept& accept);
  absl::Status Execute(const v1::Reject& reject);
  absl::Status Execute(const v1::Send& send, std::uint64_t command);
  absl::Status SendTo(HubRecord& record, const v1::Payload& payload,
                      const std::string& key, HubSource source,
                      HubReport report);
  absl::Status Execute(const v1::Expire& expire);
  absl::Status Execute(const v1::Broadcast& broadcast, std::uint64_t command);
  absl::Status Execute(const v1::Close& close);
  absl::Status Execute(const v1::SetData& set);
  absl::Status Change(HubRecord& record, const v1::SetData& set);
  HubOutcome CloseThese(const std::vector<HubRecord*>& records,
                        const v1::Close& close, const Ending& ending);
  void SetExpiry(HubRecord& record, absl::Time at);
  absl::Status Execute(const v1::Join& join);
  absl::Status Execute(const v1::Leave& leave);
  absl::Status Execute(const v1::Refuse& refuse);
  absl::StatusOr<HubRecord*> FindIn(Who who);
  void ReportFailure(std::uint64_t command, const absl::Status& status);

  void CloseSome(Shard& shard, absl::Time now);
  void CloseSpread(absl::Time now);
  // Ends those that `is_over` is true for.
  template <typename IsOver>
  void EndWaiters(const absl::Status& status, IsOver is_over);
  void RefuseLate(Shard& shard, absl::Time now);
  // What a worker says of a session.
  void Take(Who who, HubWait wait);
  // The stream whose command is carried out waits for the session if it has to
  // be waited for.
  void MayWaitFor(HubRecord& record);
  // Ends the sessions that the stream waits for no longer.
  void EndSlow(Shard& shard, absl::Time now);

  std::size_t WorkerOf(Who who) const { return (who - 1) % options_.workers; }
  template <typename Command>
  void Tell(std::size_t worker, Command command, std::size_t cost) {
    HubCommands& outbox = outbox_[worker];
    outbox.commands.emplace_back(std::in_place_type<Command>,
                                 std::move(command));
    outbox.cost += cost + kHubEventCost;
    host_.FlushSoon();
  }
  void TellClose(const std::vector<Who>& whos, const Ending& ending,
                 HubDeparture::Cause cause);

  const Options options_;
  HubHost& host_;

  HubCounts counts_;
  HubRoster roster_;
  std::vector<std::unique_ptr<Shard>> shards_;  // By HubStream::index.
  std::size_t next_ = 0;  // Whose commands are carried out first.

  std::deque<HubEvent> delayed_;
  absl::flat_hash_map<Who, std::size_t> delayed_of_;  // How many of them.
  // When sessions get another token, in order; may be gone. One for each, and
  // not many more than there are sessions.
  std::deque<std::pair<absl::Time, Who>> renewals_;
  absl::flat_hash_map<Who, Resuming> resuming_;
  // By group: those whose join is not answered yet.
  absl::flat_hash_map<std::string, absl::flat_hash_set<Who>> recovering_;
  // Of this event loop iteration; the publications stay as long.
  absl::flat_hash_map<std::pair<SharedPublication, HubCodec>, HubFrame>
      recovered_;

  std::uint64_t executing_ = 0;   // The call that the command came on,
  std::size_t executing_on_ = 0;  // and the index of its stream.
  bool is_pausing_ = false;       // GoOn is due.

  std::vector<HubCommands> outbox_;       // By worker.
  std::vector<std::size_t> outstanding_;  // Cost, by worker.
  std::vector<SpreadClose> spread_closes_;
  absl::flat_hash_map<std::uint64_t, Waiter>
      waiters_;  // By HubReport::command.
  std::uint64_t last_waiter_ = 0;
  // Callbacks of the engine, which outlives the hub, look at it.
  const std::shared_ptr<const bool> is_there_ =
      std::make_shared<const bool>(true);
};

}  // namespace headgate

#endif  // GATEWAY_HUB_HUB_H_
