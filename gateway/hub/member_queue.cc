#include "gateway/hub/member_queue.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace headgate {

using Policy = SlowClientSettings::Policy;

MemberQueue::Result MemberQueue::Push(HubFrame frame, const std::string& key,
                                      Loss loss) {
  if (settings_.policy == Policy::kKeepLatest && !key.empty()) DropOlder(key);
  entries_.push_back({std::move(frame), key, loss});
  bytes_ += BytesOf(entries_.back());
  const bool is_searched = settings_.policy == Policy::kKeepLatest;
  return Hold(kBurstBytes, is_searched ? 0 : kBurstMessages);
}

MemberQueue::Result MemberQueue::Hold(std::size_t bytes, std::size_t messages) {
  const auto max_messages = static_cast<std::size_t>(settings_.max_messages);
  const auto is_full = [&] {
    return bytes_ > settings_.max_bytes + bytes ||
           entries_.size() > max_messages + messages;
  };
  if (settings_.policy != Policy::kDisconnect) {
    while (is_full() && DropOldest()) {
    }
  }
  // One message may be longer than the limit.
  return is_full() && entries_.size() > 1 ? Result::kTooSlow : Result::kQueued;
}

HubFrame MemberQueue::Pop() {
  assert(!empty());
  bytes_ -= BytesOf(entries_.front());
  HubFrame frame = std::move(entries_.front().frame);
  entries_.pop_front();
  // An empty deque of the library's keeps half a KiB; most sessions are idle.
  if (entries_.empty()) entries_.shrink_to_fit();
  return frame;
}

void MemberQueue::Clear() {
  entries_.clear();
  entries_.shrink_to_fit();
  bytes_ = 0;
}

bool MemberQueue::TakeCrossing() {
  const std::size_t warn = settings_.warn_bytes;
  if (warn == 0) return false;
  const bool crossed = is_over_ ? bytes_ < warn / 4 : bytes_ > warn;
  if (crossed) is_over_ = !is_over_;
  return crossed;
}

void MemberQueue::Drop(std::deque<Entry>::iterator entry) {
  bytes_ -= BytesOf(*entry);
  entries_.erase(entry);
  ++dropped_;
}

void MemberQueue::DropOlder(const std::string& key) {
  const auto older =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return entry.loss == Loss::kAllowed && entry.key == key;
      });
  if (older != entries_.end()) Drop(older);
}

bool MemberQueue::DropOldest() {
  const auto newest = std::prev(entries_.end());
  const auto oldest = std::find_if(
      entries_.begin(), newest,
      [](const Entry& entry) { return entry.loss == Loss::kAllowed; });
  if (oldest == newest) return false;
  Drop(oldest);
  return true;
}

}  // namespace headgate
