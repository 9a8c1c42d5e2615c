#include "cmd/headgate/bench/ledger.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace headgate {

void Ledger::Begin(const LoadPlan& plan) {
  plan_ = plan;
  sending_ = true;
  waiting_since_ns_ = plan.begin_ns;
  if (!is_open_loop()) return;
  schedule_.emplace(Schedule::Options{plan.begin_ns, *options_.rate,
                                      options_.connections, share_.index,
                                      share_.threads, plan.messages});
}

void Ledger::Enter(Account& account) {
  account.entered = true;
  account.due = account.sent = account.budget = 0;
  if (is_open_loop()) return;  // The schedule says how many there are.
  if (!plan_.messages.has_value()) {
    account.budget = std::numeric_limits<std::uint64_t>::max();
    return;
  }
  account.budget = Share{account.number, options_.connections}.Of(
      static_cast<std::size_t>(*plan_.messages));
  budget_ += account.budget;
}

void Ledger::Leave(Account& account) {
  End(account);
  outstanding_ -= account.outstanding.size();
  account.outstanding = {};
}

void Ledger::End(Account& account) {
  if (!std::exchange(account.entered, false)) return;
  if (plan_.messages.has_value()) budget_ -= account.budget;
  account.budget = 0;
  backlog_ -= account.due - account.sent;
  for (; account.sent < account.due; ++account.sent) {
    if (IsCounted(DueNs(account, account.sent))) ++counts_.unsent;
  }
  if (!is_open_loop()) return;
  for (std::size_t i = account.outstanding.size(); i > 0; --i) {
    const std::int64_t time = account.outstanding.Pop();
    if (IsCounted(time)) ++counts_.unanswered;
    account.outstanding.Push(time);
  }
}

std::size_t Ledger::OnStart(Account& account, std::int64_t now) {
  const std::size_t before = account.outstanding.size();
  return SendFromBudget(
      account, options_.in_flight - std::min(options_.in_flight, before), now);
}

std::size_t Ledger::OnDue(Account& account, std::int64_t at_ns) {
  ++account.due;
  ++backlog_;
  const std::size_t messages = SendBacklog(account);
  if (account.sent < account.due && IsCounted(at_ns)) ++counts_.late;
  return messages;
}

std::optional<std::size_t> Ledger::OnAnswers(Account& account,
                                             std::size_t answers,
                                             std::int64_t now) {
  if (answers > account.outstanding.size()) return std::nullopt;
  if (IsCounted(now)) counts_.messages += answers;
  for (std::size_t i = 0; i < answers; ++i) {
    const std::int64_t since = account.outstanding.Pop();
    // Late answers belong to an open loop as much as those in time.
    if (IsCounted(now) || (is_open_loop() && IsCounted(since))) {
      counts_.latency.Add(now - since);
    }
  }
  outstanding_ -= answers;
  waiting_since_ns_ = now;
  if (!sending_) return 0;
  return is_open_loop() ? SendBacklog(account)
                        : SendFromBudget(account, answers, now);
}

std::optional<Schedule::Due> Ledger::TakeDue(std::int64_t now) {
  const auto due = schedule_->Peek();
  if (!sending_ || !due.has_value() || due->at_ns > now ||
      due->at_ns >= plan_.end_ns) {
    return std::nullopt;
  }
  schedule_->Advance();
  return due;
}

std::int64_t Ledger::NextDueNs() const {
  const auto due = schedule_.has_value() ? schedule_->Peek() : std::nullopt;
  return sending_ && due.has_value() ? due->at_ns : kNeverNs;
}

bool Ledger::IsFinished() const {
  if (!plan_.messages.has_value() || outstanding_ > 0) return false;
  return is_open_loop() ? backlog_ == 0 && NextDueNs() == kNeverNs
                        : budget_ == 0;
}

std::int64_t Ledger::DueNs(const Account& account, std::uint64_t nth) const {
  return schedule_->AtNs(nth * options_.connections + account.number);
}

void Ledger::Send(Account& account, std::size_t messages, std::int64_t time) {
  for (std::size_t i = 0; i < messages; ++i) account.outstanding.Push(time);
  if (outstanding_ == 0) waiting_since_ns_ = time;
  outstanding_ += messages;
  if (IsCounted(time)) counts_.bytes_sent += messages * message_bytes_;
}

std::size_t Ledger::SendFromBudget(Account& account, std::size_t room,
                                   std::int64_t now) {
  const auto messages =
      static_cast<std::size_t>(std::min<std::uint64_t>(room, account.budget));
  account.budget -= messages;
  if (plan_.messages.has_value()) budget_ -= messages;
  Send(account, messages, now);
  return messages;
}

// As many as may be outstanding; each since it was due.
std::size_t Ledger::SendBacklog(Account& account) {
  std::size_t messages = 0;
  while (account.sent < account.due &&
         account.outstanding.size() < options_.in_flight) {
    Send(account, 1, DueNs(account, account.sent));
    ++account.sent;
    --backlog_;
    ++messages;
  }
  return messages;
}

}  // namespace headgate
