#include "gateway/hub/member_queue.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace headgate {

MemberQueue::Result MemberQueue::Push(ws::FrameRef frame,
                                      std::size_t payload_bytes, Policy policy,
                                      const std::string& key,
                                      HubReport report) {
  const bool is_searched = policy == Policy::kKeepLatest;
  if (is_searched && !key.empty()) DropOlder(key);
  entries_.push_back({std::move(frame), payload_bytes, is_searched ? key : "",
                      policy, report});
  bytes_ += BytesOf(entries_.back());
  if (policy == Policy::kBlock) ++blocking_;
  Limits limits{settings_.max_bytes + kBurstBytes, max_messages()};
  if (is_searched) DropDown(std::prev(entries_.end()), limits);
  limits.messages += kBurstMessages;
  if (blocking_ > 0) {
    // The stream's last command may be of any length; what others send comes
    // besides.
    limits.bytes += kBurstBytes + BytesOf(entries_.back());
    limits.messages += kBurstMessages;
  }
  return Hold(limits);
}

MemberQueue::Result MemberQueue::Enforce() {
  const Result held = Hold({settings_.max_bytes, max_messages()});
  return blocking_ > 0 ? Result::kQueued : held;
}

MemberQueue::Result MemberQueue::Hold(const Limits& limits) {
  DropDown(entries_.end(), limits);
  // One message may be longer than the limit.
  return IsOver(limits) && messages() > 1 ? Result::kTooSlow : Result::kQueued;
}

bool MemberQueue::HoldsStream(bool is_waiting) const {
  if (blocking_ == 0 || messages() < 2) return false;
  return is_waiting ? IsOver({settings_.max_bytes / 2, max_messages() / 2})
                    : IsOver({settings_.max_bytes, max_messages()});
}

MemberQueue::Frames MemberQueue::Front(std::size_t most) const {
  Frames frames;
  const std::size_t count = std::min(most, messages());
  for (std::size_t i = 0; i < count; ++i) {
    frames.push_back(entries_[first_ + i].frame);
  }
  return frames;
}

std::size_t MemberQueue::Pop(std::size_t count) {
  assert(count <= messages());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Entry entry = std::move(*begin());
    bytes += entry.payload_bytes;
    bytes_ -= BytesOf(entry);
    if (entry.policy == Policy::kBlock) --blocking_;
    RemoveFirst(1);
  }
  return bytes;
}

void MemberQueue::RemoveFirst(std::size_t count) {
  // Most sessions are idle.
  constexpr std::size_t kKeptEntries = 2;
  constexpr std::size_t kMostEmpty = 64;
  first_ += count;
  if (empty()) {
    entries_.clear();
    first_ = 0;
    if (entries_.capacity() > kKeptEntries) Entries().swap(entries_);
  } else if (first_ >= kMostEmpty && 2 * first_ >= entries_.size()) {
    entries_.erase(entries_.begin(), begin());
    first_ = 0;
  }
}

void MemberQueue::Clear() {
  Entries().swap(entries_);
  first_ = 0;
  bytes_ = 0;
  blocking_ = 0;
}

bool MemberQueue::TakeCrossing() {
  const std::size_t warn = settings_.warn_bytes;
  if (warn == 0) return false;
  const bool crossed = is_over_ ? bytes_ < warn / 4 : bytes_ > warn;
  if (crossed) is_over_ = !is_over_;
  return crossed;
}

void MemberQueue::Drop(Entries::iterator entry) {
  bytes_ -= BytesOf(*entry);
  std::move_backward(begin(), entry, entry + 1);
  *begin() = Entry();
  RemoveFirst(1);
  ++dropped_;
}

void MemberQueue::DropOlder(const std::string& key) {
  const auto older =
      std::find_if(begin(), entries_.end(),
                   [&](const Entry& entry) { return entry.key == key; });
  if (older != entries_.end()) Drop(older);
}

void MemberQueue::DropDown(Entries::iterator end, const Limits& limits) {
  std::size_t left = messages();
  // Of those before `next` the ones that may be are dropped.
  auto next = begin();
  for (; next != end && left > 1 &&
         (bytes_ > limits.bytes || left > limits.messages);
       ++next) {
    if (!MayDrop(*next)) continue;
    bytes_ -= BytesOf(*next);
    --left;
    next->frame = ws::FrameRef();
  }
  const std::size_t dropped = messages() - left;
  if (dropped == 0) return;
  dropped_ += dropped;
  // Those that stay move up behind them.
  auto to = next;
  for (auto from = next; from != begin();) {
    if (MayDrop(*--from)) continue;
    if (--to != from) *to = std::exchange(*from, Entry());
  }
  RemoveFirst(dropped);
}

}  // namespace headgate
