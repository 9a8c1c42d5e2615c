#ifndef GATEWAY_HUB_HISTORIES_H_
#define GATEWAY_HUB_HISTORIES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/hub/engine.h"
#include "gateway/hub/group_log.h"
#include "gateway/hub/group_ring.h"

namespace headgate {

// The store of all histories, when it can be reached.
struct HistoryStore {
  std::string epoch;  // Another one: what was stored before is gone.
  // So much is stored that records are deleted before their time.
  bool is_full = false;
  // Of all records. A store that was not shut down may have lost the last ones,
  // and then gives their offsets again.
  std::uint64_t last_offset = std::numeric_limits<std::uint64_t>::max();
};

// The histories of the groups that have members here.
//
// Pure. Thread: the hub thread.
class Histories {
 public:
  class Host {
   public:
    // What a record of the group is; null: not a publication.
    virtual SharedPublication Parse(const std::string& group,
                                    const StoredRecord& record) = 0;
    // Publications to the group, in order.
    virtual void OnHistoryRecord(const SharedPublication& publication) = 0;
    // See GroupLog::Observer.
    virtual void OnHistoryGap(const std::string& group, std::uint64_t after,
                              std::uint64_t before) = 0;
    // Has the group's stored record at `from` or the first behind it fetched,
    // with 0 the last one.
    using FetchedCallback =
        std::function<void(absl::StatusOr<std::optional<StoredRecord>> record)>;
    virtual void Fetch(const std::string& group, std::uint64_t from,
                       FetchedCallback done) = 0;
    // An offset was not above one of before: the stream may be another one.
    virtual void OnHistoryRenewed() = 0;

   protected:
    ~Host() = default;
  };
  struct Options {
    std::uint64_t records = 0;  // That are kept of each group.
    absl::Duration age;         // For so long.
    // Of what is kept for clients that come back, in all groups.
    std::size_t max_ring_bytes = 64 * 1024 * 1024;
  };

  Histories(Options options, Host& host) : options_(options), host_(host) {}

  // A subscription to the group begins or ends.
  void Begin(const std::string& group);
  void End(const std::string& group);
  void OnLive(const std::string& group, StoredRecord record);
  void OnUp(HistoryStore store, absl::Time now);
  void OnDown(absl::Time now);
  // Live records, of any groups, were lost on the way here.
  void OnLost();
  void OnTick(absl::Time now);

  // The highest offset that is known to be stored, by the store's own word: in
  // the same stream what is sent from now on gets a higher one.
  std::uint64_t last_offset() const { return last_offset_; }
  // The store has taken a publication, not a duplicate; `before`: what
  // last_offset() was when it was sent. `done` is called with the epoch of the
  // stream that has it: at once, or if that must be another one, when the store
  // can be reached again; UNAVAILABLE if that takes longer than kDoubt.
  using StoredCallback = std::function<void(absl::StatusOr<std::string> epoch)>;
  void OnStored(std::uint64_t offset, std::uint64_t before,
                StoredCallback done);
  // Whether the stream may be another one, so that nothing is to be stored.
  bool is_doubted() const { return !doubts_.empty(); }

  // See HubEngine::Recover.
  void Recover(const std::string& group,
               const std::optional<v1::Position>& after,
               HubEngine::RecoveredCallback done);

  const std::string& epoch() const { return store_.epoch; }

  // Questions to the store at a time.
  static constexpr std::size_t kMostFetches = 32;
  // When a question has failed.
  static constexpr absl::Duration kPause = absl::Milliseconds(500);
  // What it may take to notice that the connection is lost.
  static constexpr absl::Duration kSlack = absl::Seconds(10);
  // Longer than it takes to see whether the stream is another one.
  static constexpr absl::Duration kDoubt = absl::Seconds(5);
  // For how long a recovery waits for the store.
  static constexpr absl::Duration kPatience = absl::Seconds(5);

 private:
  // A recovery that waits.
  struct Waiter {
    std::optional<v1::Position> after;
    HubEngine::RecoveredCallback done;
    absl::Time until;
    bool was_fetched = false;  // What is stored behind it.
  };
  struct History final : GroupLog::Observer {
    History(std::string name, Histories& its)
        : group(std::move(name)),
          owner(its),
          log(its.options_.records, *this),
          ring(its.options_.records) {}
    void OnRecord(StoredRecord record) override;
    void OnGap(std::uint64_t after, std::uint64_t before) override;

    const std::string group;
    Histories& owner;
    GroupLog log;
    std::uint64_t last_live = 0;  // Of this connection.
    // When the last record was delivered; the past: its age is not known.
    absl::Time stored_at = absl::InfinitePast();
    bool is_asking = false;
    bool waits = false;  // It is in waiting_.
    GroupRing ring;
    bool has_gap = false;  // Since the last record.
    std::optional<RingFill> fill;
    std::uint64_t fills = 0;  // Counts them.
    std::vector<Waiter> waiters;
  };

  // After anything that has happened to the log.
  void GoOn(const std::shared_ptr<History>& history);
  void AnswerWaiters(const std::shared_ptr<History>& history);
  // Absent: it has to wait, for what is stored if `needs_fill` is set.
  std::optional<HubEngine::Recovery> RecoveryOf(const History& history,
                                                const Waiter& waiter,
                                                bool& needs_fill) const;
  void OnFilled(const std::shared_ptr<History>& history);
  GroupRing::Entry EntryOf(const History& history,
                           const StoredRecord& record) const;
  void EndWaiters(History& history, absl::Time until,
                  const absl::Status& status);
  // `before`: what the ring has counted.
  void CountRing(History& history, std::size_t before);
  void AskSoon(const std::shared_ptr<History>& history);
  void Pump();
  // `fill`: the number of the one that it is for; 0: it is for the log.
  void Ask(const std::shared_ptr<History>& history, std::uint64_t from,
           std::uint64_t fill);
  void Take(const std::shared_ptr<History>& history, std::uint64_t fill,
            absl::StatusOr<std::optional<StoredRecord>> record);

  const Options options_;
  Host& host_;
  absl::flat_hash_map<std::string, std::shared_ptr<History>> histories_;
  // Those that have a question, and those whose question has failed.
  std::deque<std::weak_ptr<History>> waiting_;
  std::vector<std::weak_ptr<History>> failed_;
  absl::Time retry_at_ = absl::InfiniteFuture();
  std::size_t asking_ = 0;
  bool is_up_ = false;
  bool is_pumping_ = false;
  absl::Time now_ = absl::InfinitePast();
  absl::Time down_at_ = absl::InfinitePast();
  // Publications whose stream is not known, in the order of their ends.
  std::deque<std::pair<absl::Time, StoredCallback>> doubts_;
  HistoryStore store_;
  std::uint64_t last_offset_ = 0;  // Of the store; 0: none is known.
  std::size_t ring_bytes_ = 0;
  // Those with waiters, in the order of their ends.
  std::deque<std::pair<absl::Time, std::weak_ptr<History>>> patience_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_HISTORIES_H_
