#include "gateway/hub/group_log.h"

#include <utility>

namespace headgate {
namespace {

std::size_t CostOf(const StoredRecord& record) {
  return record.bytes.size() + sizeof(record);
}

}  // namespace

void GroupLog::Resume(bool is_renewed, bool must_be_stored) {
  if (is_renewed && has_position_) {
    observer_.OnGap(position_, 0);
    has_position_ = false;
    position_ = 0;
  }
  must_be_stored_ = must_be_stored || was_fetching_;
  if (has_position_) return BeginFetch();
  state_ = State::kStarting;
  fetching_ = {};
  AskFor(0);
}

void GroupLog::OnAway() {
  // What is kept and collected is stored, and will be fetched again.
  if (state_ != State::kAway) was_fetching_ = state_ == State::kFetching;
  state_ = State::kAway;
  fetching_ = {};
}

void GroupLog::AskFor(std::uint64_t from) {
  fetching_.from = from;
  fetching_.is_due = true;
}

void GroupLog::BeginFetch() {
  state_ = State::kFetching;
  fetching_ = {};
  AskFor(position_ + 1);
}

void GroupLog::Deliver(StoredRecord record) {
  position_ = record.offset;
  has_position_ = true;
  observer_.OnRecord(std::move(record));
}

// --- Live records ---

void GroupLog::OnLive(StoredRecord record) {
  switch (state_) {
    case State::kAway:  // It will be fetched.
      return;
    case State::kStarting:
      // Members hear of all from here on.
      state_ = State::kLive;
      fetching_ = {};
      return Deliver(std::move(record));
    case State::kFetching:
      return Keep(std::move(record));
    case State::kLive:
      break;
  }
  if (record.offset <= position_) return;
  // 0: all older ones are deleted, and none has come in between.
  if (record.previous <= position_) return Deliver(std::move(record));
  must_be_stored_ = true;
  BeginFetch();
  Keep(std::move(record));
}

void GroupLog::Keep(StoredRecord record) {
  std::deque<StoredRecord>& kept = fetching_.kept;
  const std::deque<StoredRecord>& collected = fetching_.collected;
  if (record.offset <= position_) return;
  if (!collected.empty() && record.offset <= collected.back().offset) return;
  if (!kept.empty() && record.offset <= kept.back().offset) return;
  const std::size_t bytes = CostOf(record);
  if (fetching_.kept_bytes + bytes > kMostKeptBytes) {
    kept.clear();
    fetching_.kept_bytes = 0;
    fetching_.has_dropped = true;
    fetching_.has_all = fetching_.is_joined = false;
    return;
  }
  fetching_.kept_bytes += bytes;
  kept.push_back(std::move(record));
}

// --- What is fetched ---

std::optional<std::uint64_t> GroupLog::TakeFetch() {
  if (!fetching_.is_due) return std::nullopt;
  fetching_.is_due = false;
  fetching_.is_asked = true;
  // What was not kept is stored already: the answers will have it.
  if (!fetching_.is_checking) fetching_.has_dropped = false;
  return fetching_.from;
}

void GroupLog::OnFetchFailed() {
  if (std::exchange(fetching_.is_asked, false)) fetching_.is_due = true;
}

void GroupLog::OnFetched(std::optional<StoredRecord> record) {
  if (!std::exchange(fetching_.is_asked, false))
    return;  // Not needed any more.
  if (state_ == State::kStarting) {
    state_ = State::kLive;
    has_position_ = true;
    position_ = record ? record->offset : 0;
    return;
  }
  if (state_ != State::kFetching) return;
  if (fetching_.is_checking) {
    return OnChecked(record && record->offset == fetching_.from);
  }
  // How many have followed is known at the end only.
  const bool is_more = record && record->offset >= fetching_.from &&
                       (!must_be_stored_ || fetching_.kept.empty() ||
                        record->offset < fetching_.kept.front().offset);
  if (is_more) return Collect(*std::move(record));
  if (fetching_.has_dropped) return AskFor(fetching_.from);
  fetching_.has_all = true;
  fetching_.is_joined = must_be_stored_ && !fetching_.kept.empty();
  Check();
}

void GroupLog::Collect(StoredRecord record) {
  const std::uint64_t next = record.offset + 1;
  std::deque<StoredRecord>& kept = fetching_.kept;
  while (!kept.empty() && kept.front().offset <= record.offset) {
    fetching_.kept_bytes -= CostOf(kept.front());
    kept.pop_front();
  }
  fetching_.collected_bytes += CostOf(record);
  fetching_.collected.push_back(std::move(record));
  if (fetching_.collected_bytes > kMostCollectedBytes) return Check();
  AskFor(next);
}

void GroupLog::Check() {
  std::uint64_t oldest = position_;
  if (fetching_.has_all && !must_be_stored_ &&
      fetching_.collected.size() < history_) {
    if (fetching_.collected.empty()) return Accept();
    oldest = fetching_.collected.front().offset;
  }
  if (oldest == 0) return OnChecked(false);
  fetching_.is_checking = true;
  AskFor(oldest);
}

void GroupLog::OnChecked(bool is_stored) {
  fetching_.is_checking = false;
  if (is_stored) return Accept();
  ReportGap();
  if (fetching_.collected.empty()) return Accept();
  // Whether the rest follows the first without a hole.
  StoredRecord first = std::move(fetching_.collected.front());
  fetching_.collected.pop_front();
  fetching_.collected_bytes -= CostOf(first);
  Deliver(std::move(first));
  must_be_stored_ = true;
  if (fetching_.collected.empty() && fetching_.kept.empty()) return Accept();
  Check();
}

void GroupLog::ReportGap() {
  std::uint64_t before = 0;
  if (!fetching_.kept.empty()) before = fetching_.kept.front().offset;
  if (!fetching_.collected.empty()) before = fetching_.collected.front().offset;
  observer_.OnGap(position_, before);
}

void GroupLog::Accept() {
  for (StoredRecord& record : std::exchange(fetching_.collected, {})) {
    Deliver(std::move(record));
  }
  fetching_.collected_bytes = 0;
  if (!fetching_.has_all) return AskFor(position_ + 1);
  Fetching done = std::exchange(fetching_, {});
  state_ = State::kLive;
  if (done.is_joined) {  // Nothing that is stored is between them.
    Deliver(std::move(done.kept.front()));
    done.kept.pop_front();
  }
  for (StoredRecord& record : done.kept) OnLive(std::move(record));
}

}  // namespace headgate
