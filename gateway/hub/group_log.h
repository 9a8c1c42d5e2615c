#ifndef GATEWAY_HUB_GROUP_LOG_H_
#define GATEWAY_HUB_GROUP_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace headgate {

// One publication as the broker has stored it.
struct StoredRecord {
  std::uint64_t offset = 0;  // Not 0.
  // The offset of the record that was the group's last when this one was
  // stored; 0: none was left.
  std::uint64_t previous = 0;
  std::string bytes;
  // Of one that was fetched: when it was stored.
  absl::Time stored_at = absl::InfinitePast();
};

// The history of one group as one gateway follows it: puts what comes live, and
// what is fetched where that has holes, into one order.
//
//   kAway --(Resume)--> kStarting --(a live record, or the top)--> kLive
//     ^                                                            |  ^
//     |                                        (a hole, or Resume) v  |
//     +----------(OnAway, from anywhere)----- kFetching -----------+--+
//
// What it promises of any sequence of calls: offsets that are delivered rise;
// no record is delivered twice; between two records that are delivered one
// after the other the broker had no other, or OnGap was called between them.
//
// Records are deleted from the oldest to the newest. So what was fetched behind
// a record has no holes if that record is still stored afterwards, which is
// asked for before anything is delivered. If it is not, a gap is reported,
// unless its age alone can have deleted it and fewer than the broker keeps have
// followed, the first of which must still be stored then.
//
// Pure. Not thread-safe. Callbacks must not call back.
class GroupLog {
 public:
  class Observer {
   public:
    virtual void OnRecord(StoredRecord record) = 0;
    // Records between the two offsets may be missing; `before` 0: up to the
    // next one, whichever that is.
    virtual void OnGap(std::uint64_t after, std::uint64_t before) = 0;

   protected:
    ~Observer() = default;
  };

  // `history`: how many records the broker keeps.
  GroupLog(std::uint64_t history, Observer& observer)
      : history_(history), observer_(observer) {}

  // The subscription is there, from now on or again. `is_renewed`: offsets of
  // before mean nothing, since the history is another. `must_be_stored`: it is
  // a gap if the record at the position is not: that one is too young to have
  // been deleted by its age, or others behind it may have been deleted too.
  void Resume(bool is_renewed, bool must_be_stored);
  // It is interrupted.
  void OnAway();

  // What the subscription has brought.
  void OnLive(StoredRecord record);

  // The offset from which the first stored record is wanted; 0: the last
  // record. Absent: nothing is. Each is asked for once, and only when the
  // question before has been answered: by OnFetched or OnFetchFailed.
  std::optional<std::uint64_t> TakeFetch();
  // The answer; absent: there is none.
  void OnFetched(std::optional<StoredRecord> record);
  // There was no answer: TakeFetch returns it again.
  void OnFetchFailed();

  // Nothing is asked for, and nothing missing but what OnGap was called for.
  bool is_live() const { return state_ == State::kLive; }
  // Of the last record that was delivered, or was there before the first.
  std::uint64_t position() const { return position_; }

  // Of live records that are kept during a fetch; beyond it they are fetched.
  static constexpr std::size_t kMostKeptBytes = 256 * 1024;
  // Of fetched records, beyond which they are delivered before more are
  // fetched.
  static constexpr std::size_t kMostCollectedBytes = 256 * 1024;

 private:
  enum class State { kAway, kStarting, kLive, kFetching };

  void Deliver(StoredRecord record);
  void BeginFetch();
  void Keep(StoredRecord record);
  void Collect(StoredRecord record);
  void AskFor(std::uint64_t from);
  // What is collected is as complete as it gets for now.
  void Check();
  void OnChecked(bool is_stored);
  // Delivers what is collected; goes on with the rest.
  void Accept();
  void ReportGap();

  const std::uint64_t history_;
  Observer& observer_;
  State state_ = State::kAway;
  bool has_position_ = false;
  std::uint64_t position_ = 0;

  bool must_be_stored_ = true;  // See Resume.
  bool was_fetching_ = false;   // When it was interrupted.

  struct Fetching {
    std::uint64_t from = 0;    // 0: the last record.
    bool is_due = false;       // TakeFetch has not returned it,
    bool is_asked = false;     // or has, and the answer is to come.
    bool is_checking = false;  // Whether the one at `from` is stored.
    bool has_all = false;      // Nothing more is to be fetched,
    bool is_joined = false;    // for what is collected goes up to `kept`.
    // What was fetched behind `position_`.
    std::deque<StoredRecord> collected = {};
    std::size_t collected_bytes = 0;
    // Live records behind those, and whether some were not kept.
    std::deque<StoredRecord> kept = {};
    std::size_t kept_bytes = 0;
    bool has_dropped = false;
  };
  Fetching fetching_;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_GROUP_LOG_H_
