#include "gateway/hub/history_page.h"

#include <algorithm>

namespace headgate {

void HistoryPage::OnFetched(std::optional<StoredRecord> record) {
  switch (state_) {
    case State::kReading:
      return Read(std::move(record));
    case State::kChecking:
      return Check(std::move(record));
    case State::kLast:
      last_offset_ = record ? record->offset : 0;
      if (!records_.empty()) {  // It may have been deleted by now.
        last_offset_ = std::max(last_offset_, records_.back().offset);
      }
      state_ = State::kDone;
      return;
    case State::kDone:
      return;
  }
}

void HistoryPage::Read(std::optional<StoredRecord> record) {
  // Behind the highest offset that there is nothing follows: `next_` is 0 then.
  if (record && record->offset > after_ && record->offset >= next_) {
    next_ = record->offset + 1;
    bytes_ += record->bytes.size();
    records_.push_back(*std::move(record));
    if (records_.size() < limit_ && bytes_ < kMostBytes) return;
  }
  state_ = State::kChecking;
  next_ = std::max<std::uint64_t>(after_, 1);
}

void HistoryPage::Check(std::optional<StoredRecord> first) {
  is_complete_ = first && first->offset == after_;
  if (!first) records_.clear();
  while (!records_.empty() && records_.front().offset < first->offset) {
    records_.pop_front();
  }
  // It has come, or all that was read has gone, since.
  if (records_.empty() && first && first->offset > after_) {
    records_.push_back(*std::move(first));
  }
  state_ = State::kLast;
  next_ = 0;
}

}  // namespace headgate
