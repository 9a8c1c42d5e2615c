#ifndef GATEWAY_HUB_GROUP_RING_H_
#define GATEWAY_HUB_GROUP_RING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "gateway/hub/group_log.h"
#include "headgate/v1/hub_engine.pb.h"

namespace headgate {

// Null: a record that a stranger has stored; it has an offset and no meaning.
using SharedPublication = std::shared_ptr<const v1::EnginePublication>;

// The last publications to one group, for clients that come back: a row without
// holes behind an offset, its base. Shared by all who get them.
//
// Pure. Not thread-safe.
class GroupRing {
 public:
  struct Entry {
    std::uint64_t offset;
    SharedPublication publication;
    std::size_t bytes;  // What it counts.
  };

  // `max_entries`: more are not stored of the group.
  explicit GroupRing(std::size_t max_entries) : max_entries_(max_entries) {}

  // Nothing is known of what was stored up to `offset`, and nothing was stored
  // behind it; 0: nothing is stored.
  void StartAt(std::uint64_t offset);
  // Something is missing behind the last entry: the next one begins the row.
  void Break();
  // Behind all others.
  void Append(Entry entry);
  // Before all others: a row that ends where this one begins.
  void Prepend(std::deque<Entry> older);
  // Drops the oldest; false: there is none.
  bool DropOldest();

  // Absent: there is no row.
  std::optional<std::uint64_t> base() const { return base_; }
  // Whether all that was ever stored behind `offset` is here.
  bool Covers(std::uint64_t offset) const;
  bool Has(std::uint64_t offset) const;
  // Without those of strangers.
  std::vector<SharedPublication> Behind(std::uint64_t offset) const;
  std::size_t bytes() const { return bytes_; }
  // Keeps more entries than are stored, so that the base does not move.
  void set_is_held(bool is_held) { is_held_ = is_held; }

 private:
  void Trim();

  const std::size_t max_entries_;
  std::optional<std::uint64_t> base_;
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
  bool is_held_ = false;
};

// Fetches what is stored between an offset and a ring's base. Records are
// deleted from the oldest to the newest, so what was fetched has no holes
// behind the first one that is still stored afterwards.
//
// Pure. Not thread-safe.
class RingFill {
 public:
  // `from`: not 0. `base`: the ring's, which must not move meanwhile.
  RingFill(std::uint64_t from, std::uint64_t base, std::size_t max_records)
      : from_(from), base_(base), max_records_(max_records), next_(from) {}

  std::uint64_t from() const { return from_; }
  // The offset from which the first stored record is wanted.
  // Requires: not is_done().
  std::uint64_t next() const { return next_; }
  // The answer. `base`: the ring's now.
  void OnFetched(std::optional<StoredRecord> record,
                 std::optional<std::uint64_t> base);
  bool is_done() const { return state_ == State::kDone; }
  // A row up to the base; empty: there is nothing.
  std::deque<StoredRecord> TakeRow() { return std::move(row_); }

  // The oldest are left out beyond it.
  static constexpr std::size_t kMostBytes = 1024 * 1024;

 private:
  enum class State {
    kCollecting,
    kChecking,  // Which of them are still stored.
    kDone,
  };

  void Collect(StoredRecord record);

  const std::uint64_t from_;
  const std::uint64_t base_;
  const std::size_t max_records_;
  State state_ = State::kCollecting;
  std::uint64_t next_;
  std::deque<StoredRecord> row_;
  std::size_t bytes_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_HUB_GROUP_RING_H_
