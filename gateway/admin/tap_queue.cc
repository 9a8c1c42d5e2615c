#include "gateway/admin/tap_queue.h"

#include <algorithm>
#include <utility>

namespace headgate {
namespace {

// What an event takes besides its payload.
constexpr std::size_t kEventBytes = sizeof(TapEvent);

std::size_t BytesOf(const TapEvent& event) {
  return kEventBytes + event.payload.size();
}

}  // namespace

TapQueue::TapQueue(TapFilter filter, const TapLimits& limits,
                   std::function<void()> notify)
    : TapSink(std::move(filter)),
      limits_(limits),
      notify_(std::move(notify)),
      tokens_(limits.max_per_second) {}

bool TapQueue::MayPass(absl::Time at) {
  if (refilled_ == absl::InfinitePast()) refilled_ = at;
  if (at > refilled_) {
    tokens_ = std::min(limits_.max_per_second,
                       tokens_ + absl::ToDoubleSeconds(at - refilled_) *
                                     limits_.max_per_second);
    refilled_ = at;
  }
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

bool TapQueue::Reserve(std::size_t bytes, absl::Time at) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes_ + bytes > limits_.max_bytes || !MayPass(at)) {
    ++dropped_;
    return false;
  }
  bytes_ += bytes;
  return true;
}

void TapQueue::NotifyReader() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(notified_, true)) return;
  }
  notify_();
}

void TapQueue::Offer(const TapEvent& event, absl::string_view payload) {
  const bool has_payload = payload.size() <= limits_.max_payload_bytes;
  if (!has_payload) payload = {};
  if (Reserve(kEventBytes + payload.size(), event.at.steady)) {
    TapEvent copy = event;
    copy.has_payload = has_payload;
    copy.payload.assign(payload.data(), payload.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    events_.push_back(std::move(copy));
  }
  NotifyReader();
}

std::uint64_t TapQueue::dropped() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return dropped_;
}

TapQueue::Batch TapQueue::Take(std::size_t max_events) {
  Batch batch;
  const std::lock_guard<std::mutex> lock(mutex_);
  while (!events_.empty() && batch.events.size() < max_events) {
    bytes_ -= BytesOf(events_.front());
    batch.events.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  batch.dropped = dropped_;
  // While there is more, the reader comes again by itself.
  if (events_.empty()) notified_ = false;
  return batch;
}

}  // namespace headgate
