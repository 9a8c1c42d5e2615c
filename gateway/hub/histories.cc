#include "gateway/hub/histories.h"

#include <algorithm>
#include <utility>

namespace headgate {

// --- What the logs tell ---

GroupRing::Entry Histories::EntryOf(const History& history,
                                    const StoredRecord& record) const {
  // Parsed it takes about as much again.
  return {record.offset, host_.Parse(history.group, record),
          2 * record.bytes.size() + sizeof(GroupRing::Entry)};
}

void Histories::History::OnRecord(StoredRecord record) {
  stored_at = owner.now_;
  has_gap = false;
  GroupRing::Entry entry = owner.EntryOf(*this, record);
  const SharedPublication publication = entry.publication;
  const std::size_t before = ring.bytes();
  ring.Append(std::move(entry));
  owner.CountRing(*this, before);
  if (publication != nullptr) owner.host_.OnHistoryRecord(publication);
}

void Histories::History::OnGap(std::uint64_t after, std::uint64_t before) {
  has_gap = true;
  const std::size_t bytes = ring.bytes();
  ring.Break();
  owner.CountRing(*this, bytes);
  owner.host_.OnHistoryGap(group, after, before);
}

void Histories::CountRing(History& history, std::size_t before) {
  ring_bytes_ += history.ring.bytes() - before;  // May wrap, and back.
  while (ring_bytes_ > options_.max_ring_bytes) {
    const std::size_t bytes = history.ring.bytes();
    if (!history.ring.DropOldest()) return;
    ring_bytes_ -= bytes - history.ring.bytes();
  }
}

// --- What happens to them ---

void Histories::Begin(const std::string& group) {
  const auto [it, is_new] = histories_.try_emplace(group);
  if (!is_new) return;
  it->second = std::make_shared<History>(group, *this);
  if (!is_up_) return;
  it->second->log.Resume(false, true);
  GoOn(it->second);
}

void Histories::End(const std::string& group) {
  const auto found = histories_.find(group);
  if (found == histories_.end()) return;
  const std::shared_ptr<History> history = std::move(found->second);
  histories_.erase(found);
  ring_bytes_ -= history->ring.bytes();
  EndWaiters(*history, absl::InfiniteFuture(),
             absl::UnavailableError("the group has no members any more"));
}

void Histories::OnLive(const std::string& group, StoredRecord record) {
  const auto found = histories_.find(group);
  if (found == histories_.end()) return;
  const std::shared_ptr<History> history = found->second;
  if (record.offset <= history->last_live) {
    // NATS may republish what two publishers store at once in another order
    // than that of the offsets, and say of both that the same record was before
    // them.
    if (record.offset > 0 && record.offset <= history->log.position() &&
        history->ring.Covers(record.offset - 1) &&
        !history->ring.Has(record.offset)) {
      history->OnGap(record.offset - 1, record.offset + 1);
    }
    // Or the stream is another one.
    return host_.OnHistoryRenewed();
  }
  history->last_live = record.offset;
  history->log.OnLive(std::move(record));
  GoOn(history);
}

void Histories::OnUp(HistoryStore store, absl::Time now) {
  now_ = now;
  is_up_ = true;
  const bool is_renewed = store.epoch != store_.epoch;
  const bool may_have_expired =
      store.is_full || now - down_at_ + kSlack >= options_.age;
  store_ = std::move(store);
  last_offset_ =
      store_.last_offset == HistoryStore().last_offset ? 0 : store_.last_offset;
  for (const auto& [until, done] : std::exchange(doubts_, {})) {
    done(store_.epoch);
  }
  for (const auto& [group, history] : histories_) {
    const bool is_old = now - history->stored_at + kSlack >= options_.age;
    const bool is_undone = history->log.position() > store_.last_offset;
    const bool is_another = is_renewed || is_undone;
    history->log.Resume(is_another, may_have_expired || !is_old);
    if (is_another) {
      const std::size_t bytes = history->ring.bytes();
      history->ring.Break();
      CountRing(*history, bytes);
      history->has_gap = false;  // What comes is all of the other one.
    }
    AskSoon(history);
  }
  Pump();
}

void Histories::OnDown(absl::Time now) {
  now_ = now;
  if (std::exchange(is_up_, false)) down_at_ = now;
  for (const auto& [group, history] : histories_) {
    history->log.OnAway();
    history->last_live = 0;
    history->fill.reset();
  }
}

void Histories::OnStored(std::uint64_t offset, std::uint64_t before,
                         StoredCallback done) {
  if (offset > before) {
    last_offset_ = std::max(last_offset_, offset);
    return done(store_.epoch);
  }
  doubts_.emplace_back(now_ + kDoubt, std::move(done));
  host_.OnHistoryRenewed();
}

void Histories::OnLost() {
  if (!is_up_) return;
  for (const auto& [group, history] : histories_) {
    history->log.OnAway();
    history->log.Resume(false, true);
    AskSoon(history);
  }
  Pump();
}

void Histories::OnTick(absl::Time now) {
  now_ = now;
  while (!doubts_.empty() && doubts_.front().first <= now) {
    const StoredCallback done = std::move(doubts_.front().second);
    doubts_.pop_front();
    done(absl::UnavailableError("the stream may be another one"));
  }
  while (!patience_.empty() && patience_.front().first <= now) {
    const auto history = patience_.front().second.lock();
    patience_.pop_front();
    if (history == nullptr) continue;
    EndWaiters(*history, now,
               absl::UnavailableError(
                   "the history cannot be asked: the engine is away"));
  }
  if (now < retry_at_) return;
  retry_at_ = absl::InfiniteFuture();
  for (const std::weak_ptr<History>& failed : std::exchange(failed_, {})) {
    if (const auto history = failed.lock()) AskSoon(history);
  }
  Pump();
}

void Histories::GoOn(const std::shared_ptr<History>& history) {
  if (!history->waiters.empty()) AnswerWaiters(history);
  AskSoon(history);
  Pump();
}

// --- Recoveries ---

void Histories::Recover(const std::string& group,
                        const std::optional<v1::Position>& after,
                        HubEngine::RecoveredCallback done) {
  const auto found = histories_.find(group);
  if (found == histories_.end()) {
    return done(absl::FailedPreconditionError("the group has no members"));
  }
  const std::shared_ptr<History> history = found->second;
  const absl::Time until = now_ + kPatience;
  history->waiters.push_back({after, std::move(done), until});
  patience_.emplace_back(until, history);
  GoOn(history);
}

std::optional<HubEngine::Recovery> Histories::RecoveryOf(
    const History& history, const Waiter& waiter, bool& needs_fill) const {
  HubEngine::Recovery recovery;
  recovery.position.set_epoch(store_.epoch);
  recovery.position.set_offset(history.log.position());
  if (!waiter.after || waiter.after->epoch() != store_.epoch) return recovery;
  const std::uint64_t after = waiter.after->offset();
  // Another gateway was faster.
  if (after > history.log.position()) return std::nullopt;
  if (history.ring.Covers(after)) {
    recovery.is_recovered = true;
    recovery.missed = history.ring.Behind(after);
    return recovery;
  }
  if (waiter.was_fetched || !history.ring.base()) return recovery;
  needs_fill = true;
  return std::nullopt;
}

void Histories::AnswerWaiters(const std::shared_ptr<History>& history) {
  if (!is_up_ || !history->log.is_live()) return;
  if (!history->ring.base() && !history->has_gap) {
    history->ring.StartAt(history->log.position());
  }
  std::vector<std::pair<HubEngine::RecoveredCallback, HubEngine::Recovery>>
      answers;
  std::vector<Waiter> later;
  std::optional<std::uint64_t> from;
  for (Waiter& waiter : history->waiters) {
    bool needs_fill = false;
    auto recovery = RecoveryOf(*history, waiter, needs_fill);
    if (needs_fill) {
      from = std::min(from.value_or(waiter.after->offset()),
                      waiter.after->offset());
    }
    if (recovery) {
      answers.emplace_back(std::move(waiter.done), *std::move(recovery));
    } else {
      later.push_back(std::move(waiter));
    }
  }
  history->waiters = std::move(later);
  if (from && !history->fill) {
    ++history->fills;
    history->fill.emplace(std::max<std::uint64_t>(*from, 1),
                          *history->ring.base(), options_.records);
    history->ring.set_is_held(true);
  }
  for (auto& [done, recovery] : answers) done(std::move(recovery));
}

void Histories::OnFilled(const std::shared_ptr<History>& history) {
  const std::uint64_t from = history->fill->from();
  std::deque<GroupRing::Entry> entries;
  for (const StoredRecord& record : history->fill->TakeRow()) {
    entries.push_back(EntryOf(*history, record));
  }
  history->fill.reset();
  const std::size_t bytes = history->ring.bytes();
  history->ring.Prepend(std::move(entries));
  for (Waiter& waiter : history->waiters) {
    if (waiter.after &&
        std::max<std::uint64_t>(waiter.after->offset(), 1) >= from) {
      waiter.was_fetched = true;
    }
  }
  AnswerWaiters(history);
  history->ring.set_is_held(history->fill.has_value());
  CountRing(*history, bytes);
}

void Histories::EndWaiters(History& history, absl::Time until,
                           const absl::Status& status) {
  std::vector<HubEngine::RecoveredCallback> ended;
  const auto is_over = [until](const Waiter& waiter) {
    return waiter.until <= until;
  };
  const bool is_known = is_up_ && history.log.is_live();
  HubEngine::Recovery lost;
  lost.position.set_epoch(store_.epoch);
  lost.position.set_offset(history.log.position());
  for (Waiter& waiter : history.waiters) {
    if (is_over(waiter)) ended.push_back(std::move(waiter.done));
  }
  history.waiters.erase(
      std::remove_if(history.waiters.begin(), history.waiters.end(), is_over),
      history.waiters.end());
  for (const auto& done : ended) {
    if (is_known) {
      done(lost);
    } else {
      done(status);
    }
  }
}

// --- Questions to the store ---

void Histories::AskSoon(const std::shared_ptr<History>& history) {
  if (history->is_asking || std::exchange(history->waits, true)) return;
  waiting_.push_back(history);
}

// An answer may come before Ask returns.
void Histories::Pump() {
  if (std::exchange(is_pumping_, true)) return;
  while (is_up_ && asking_ < kMostFetches && !waiting_.empty()) {
    const std::shared_ptr<History> history = waiting_.front().lock();
    waiting_.pop_front();
    if (history == nullptr) continue;
    history->waits = false;
    if (const std::optional<std::uint64_t> from = history->log.TakeFetch()) {
      Ask(history, *from, 0);
    } else if (history->fill) {
      Ask(history, history->fill->next(), history->fills);
    }
  }
  is_pumping_ = false;
}

void Histories::Ask(const std::shared_ptr<History>& history, std::uint64_t from,
                    std::uint64_t fill) {
  ++asking_;
  history->is_asking = true;
  const std::weak_ptr<History> weak = history;
  host_.Fetch(
      history->group, from,
      [this, weak, fill](absl::StatusOr<std::optional<StoredRecord>> record) {
        --asking_;
        if (const auto to = weak.lock()) Take(to, fill, std::move(record));
        Pump();
      });
}

void Histories::Take(const std::shared_ptr<History>& history,
                     std::uint64_t fill,
                     absl::StatusOr<std::optional<StoredRecord>> record) {
  history->is_asking = false;
  if (!record.ok()) {
    if (fill == 0) history->log.OnFetchFailed();
    failed_.push_back(history);
    if (retry_at_ == absl::InfiniteFuture()) retry_at_ = now_ + kPause;
    return;
  }
  if (fill == 0) {
    history->log.OnFetched(*std::move(record));
  } else if (history->fill && history->fills == fill) {
    history->fill->OnFetched(*std::move(record), history->ring.base());
    if (history->fill->is_done()) OnFilled(history);
  }
  GoOn(history);
}

}  // namespace headgate
