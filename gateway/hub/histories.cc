#include "gateway/hub/histories.h"

#include <utility>

namespace headgate {

void Histories::Begin(const std::string& group) {
  const auto [it, is_new] = histories_.try_emplace(group);
  if (!is_new) return;
  it->second = std::make_shared<History>(group, *this);
  if (!is_up_) return;
  it->second->log.Resume(false, true);
  AskSoon(it->second);
  Pump();
}

void Histories::End(const std::string& group) { histories_.erase(group); }

void Histories::OnLive(const std::string& group, StoredRecord record) {
  const auto found = histories_.find(group);
  if (found == histories_.end()) return;
  const std::shared_ptr<History> history = found->second;
  if (record.offset <= history->last_live) return host_.OnHistoryRenewed();
  history->last_live = record.offset;
  history->log.OnLive(std::move(record));
  AskSoon(history);
  Pump();
}

void Histories::OnUp(HistoryStore store, absl::Time now) {
  now_ = now;
  is_up_ = true;
  const bool is_renewed = store.epoch != store_.epoch;
  const bool may_have_expired =
      store.is_full || now - down_at_ + kSlack >= options_.age;
  store_ = std::move(store);
  for (const auto& [group, history] : histories_) {
    const bool is_old = now - history->stored_at + kSlack >= options_.age;
    const bool is_undone = history->log.position() > store_.last_offset;
    history->log.Resume(is_renewed || is_undone, may_have_expired || !is_old);
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
  }
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
  if (now < retry_at_) return;
  retry_at_ = absl::InfiniteFuture();
  for (const std::weak_ptr<History>& failed : std::exchange(failed_, {})) {
    if (const auto history = failed.lock()) AskSoon(history);
  }
  Pump();
}

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
    const std::optional<std::uint64_t> from = history->log.TakeFetch();
    if (from) Ask(history, *from);
  }
  is_pumping_ = false;
}

void Histories::Ask(const std::shared_ptr<History>& history,
                    std::uint64_t from) {
  ++asking_;
  history->is_asking = true;
  const std::weak_ptr<History> weak = history;
  host_.Fetch(history->group, from,
              [this, weak](absl::StatusOr<std::optional<StoredRecord>> record) {
                --asking_;
                if (const auto to = weak.lock()) {
                  to->is_asking = false;
                  if (record.ok()) {
                    to->log.OnFetched(*std::move(record));
                    AskSoon(to);
                  } else {
                    to->log.OnFetchFailed();
                    failed_.push_back(to);
                    if (retry_at_ == absl::InfiniteFuture()) {
                      retry_at_ = now_ + kPause;
                    }
                  }
                }
                Pump();
              });
}

}  // namespace headgate
