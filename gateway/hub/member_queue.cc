#include "gateway/hub/member_queue.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace headgate {

using Policy = SlowClientSettings::Policy;

MemberQueue::Result MemberQueue::Push(ws::FrameRef frame,
                                      std::size_t payload_bytes,
                                      const std::string& key, Loss loss,
                                      HubReport report) {
  const bool is_searched = settings_.policy == Policy::kKeepLatest;
  if (is_searched && !key.empty()) DropOlder(key);
  entries_.push_back(
      {std::move(frame), payload_bytes, is_searched ? key : "", loss, report});
  bytes_ += BytesOf(entries_.back());
  return Hold(kBurstBytes, is_searched ? 0 : kBurstMessages);
}

MemberQueue::Result MemberQueue::Hold(std::size_t bytes, std::size_t messages) {
  const auto max_messages = static_cast<std::size_t>(settings_.max_messages);
  const auto is_full = [&] {
    return bytes_ > settings_.max_bytes + bytes ||
           this->messages() > max_messages + messages;
  };
  if (settings_.policy != Policy::kDisconnect) {
    while (is_full() && DropOldest()) {
    }
  }
  // One message may be longer than the limit.
  return is_full() && this->messages() > 1 ? Result::kTooSlow : Result::kQueued;
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
    RemoveFirst();
  }
  return bytes;
}

void MemberQueue::RemoveFirst() {
  // Most sessions are idle.
  constexpr std::size_t kKeptEntries = 2;
  constexpr std::size_t kMostEmpty = 64;
  ++first_;
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
  RemoveFirst();
  ++dropped_;
}

void MemberQueue::DropOlder(const std::string& key) {
  const auto older =
      std::find_if(begin(), entries_.end(), [&](const Entry& entry) {
        return entry.loss == Loss::kAllowed && entry.key == key;
      });
  if (older != entries_.end()) Drop(older);
}

bool MemberQueue::DropOldest() {
  const auto newest = std::prev(entries_.end());
  const auto oldest = std::find_if(begin(), newest, [](const Entry& entry) {
    return entry.loss == Loss::kAllowed;
  });
  if (oldest == newest) return false;
  Drop(oldest);
  return true;
}

}  // namespace headgate
