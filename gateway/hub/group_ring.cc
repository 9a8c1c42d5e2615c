#include "gateway/hub/group_ring.h"

#include <algorithm>
#include <utility>

namespace headgate {

void GroupRing::StartAt(std::uint64_t offset) {
  entries_.clear();
  bytes_ = 0;
  base_ = offset;
}

void GroupRing::Break() {
  entries_.clear();
  bytes_ = 0;
  base_.reset();
}

void GroupRing::Append(Entry entry) {
  if (!base_) base_ = entry.offset - 1;
  bytes_ += entry.bytes;
  entries_.push_back(std::move(entry));
  Trim();
}

bool GroupRing::Covers(std::uint64_t offset) const {
  if (!base_ || offset < *base_) return false;
  // Where nothing is stored, a record may have been, and others behind it.
  return *base_ > 0 || offset == 0 ||
         (!entries_.empty() && offset + 1 >= entries_.front().offset);
}

bool GroupRing::Has(std::uint64_t offset) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), offset,
                       [](const Entry& entry, std::uint64_t wanted) {
                         return entry.offset < wanted;
                       });
  return found != entries_.end() && found->offset == offset;
}

void GroupRing::Prepend(std::deque<Entry> older) {
  if (older.empty()) return;
  base_ = older.front().offset - 1;
  for (; !older.empty(); older.pop_back()) {
    bytes_ += older.back().bytes;
    entries_.push_front(std::move(older.back()));
  }
  Trim();
}

void GroupRing::Trim() {
  const std::size_t most = is_held_ ? 2 * max_entries_ : max_entries_;
  while (entries_.size() > most) DropOldest();
}

bool GroupRing::DropOldest() {
  if (entries_.empty()) return false;
  base_ = entries_.front().offset;
  bytes_ -= entries_.front().bytes;
  entries_.pop_front();
  return true;
}

std::vector<SharedPublication> GroupRing::Behind(std::uint64_t offset) const {
  auto first = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                [](std::uint64_t each, const Entry& entry) {
                                  return each < entry.offset;
                                });
  std::vector<SharedPublication> behind;
  for (; first != entries_.end(); ++first) {
    if (first->publication != nullptr) behind.push_back(first->publication);
  }
  return behind;
}

void RingFill::OnFetched(std::optional<StoredRecord> record,
                         std::optional<std::uint64_t> base) {
  if (base != base_) {  // What it was for is gone.
    row_.clear();
    state_ = State::kDone;
    return;
  }
  const bool is_below = record && record->offset <= base_;
  switch (state_) {
    case State::kCollecting:
      if (is_below && record->offset >= next_)
        return Collect(*std::move(record));
      if (row_.empty()) {
        state_ = State::kDone;
        return;
      }
      state_ = State::kChecking;
      next_ = row_.front().offset;
      return;
    case State::kChecking:
      while (!row_.empty() &&
             (!is_below || row_.front().offset < record->offset)) {
        row_.pop_front();
      }
      state_ = State::kDone;
      return;
    case State::kDone:
      return;
  }
}

void RingFill::Collect(StoredRecord record) {
  next_ = record.offset + 1;
  bytes_ += record.bytes.size();
  row_.push_back(std::move(record));
  while (row_.size() > max_records_ || bytes_ > kMostBytes) {
    bytes_ -= row_.front().bytes.size();
    row_.pop_front();
  }
}

}  // namespace headgate
