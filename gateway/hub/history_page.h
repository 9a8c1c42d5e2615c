#ifndef GATEWAY_HUB_HISTORY_PAGE_H_
#define GATEWAY_HUB_HISTORY_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "gateway/hub/group_log.h"

namespace headgate {

// Reads a page of a group's history from the store, a record at a time: those
// behind an offset, the oldest first.
//
// Records are deleted from the oldest to the newest, also while this goes on.
// So what was read has no holes behind the first record that is still stored
// afterwards, which is asked for at the end; what was before that one is left
// out.
//
// Pure. Not thread-safe.
class HistoryPage {
 public:
  // `after`: 0: from the oldest on. `limit`: 0: only the last offset is wanted.
  HistoryPage(std::uint64_t after, std::size_t limit)
      : after_(after),
        limit_(limit),
        state_(limit > 0 ? State::kReading : State::kLast),
        next_(limit > 0 ? after + 1 : 0) {}

  // The offset from which the first stored record is wanted; 0: the last
  // record. Requires: not is_done().
  std::uint64_t next() const { return next_; }
  // The answer; absent: there is none.
  void OnFetched(std::optional<StoredRecord> record);
  bool is_done() const { return state_ == State::kDone; }

  // The rest requires is_done().
  std::deque<StoredRecord> TakeRecords() { return std::move(records_); }
  // Whether nothing is missing between `after` and the first record, and
  // nothing was if there is none. False: that cannot be known.
  bool is_complete() const { return is_complete_; }
  // Of the group's last record; 0: none is stored.
  std::uint64_t last_offset() const { return last_offset_; }

  // The page ends with the record that reaches it.
  static constexpr std::size_t kMostBytes = 1024 * 1024;

 private:
  enum class State {
    kReading,
    kChecking,  // Which of them are still stored.
    kLast,
    kDone,
  };

  void Read(std::optional<StoredRecord> record);
  void Check(std::optional<StoredRecord> first);

  const std::uint64_t after_;
  const std::size_t limit_;
  State state_;
  std::uint64_t next_;
  std::deque<StoredRecord> records_;
  std::size_t bytes_ = 0;
  bool is_complete_ = false;
  std::uint64_t last_offset_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_HISTORY_PAGE_H_
