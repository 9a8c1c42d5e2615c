#include "gateway/base/line_queue.h"

#include <utility>

namespace headgate {

bool LineQueue::Push(std::string line) {
  if (bytes_ <= max_bytes_ / 2) is_dropping_ = false;
  if (is_dropping_ || bytes_ + line.size() > max_bytes_) {
    is_dropping_ = true;
    Drop();
    return false;
  }
  if (unreported_ > 0) {
    // In its place: behind the lines before the gap.
    Entry report{report_(unreported_), unreported_};
    unreported_ = 0;
    bytes_ += report.text.size();
    entries_.push_back(std::move(report));
  }
  bytes_ += line.size();
  entries_.push_back({std::move(line)});
  return true;
}

std::optional<LineQueue::Entry> LineQueue::Pop() {
  if (entries_.empty()) {
    // While writing fails a report would fail as well.
    if (unreported_ == 0 || is_broken_) return std::nullopt;
    return Entry{report_(unreported_), std::exchange(unreported_, 0)};
  }
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  bytes_ -= entry.text.size();
  return entry;
}

void LineQueue::OnFailed(const Entry& entry) {
  is_broken_ = true;
  if (entry.reports > 0) {
    unreported_ += entry.reports;
  } else {
    Drop();
  }
}

void LineQueue::Drop() {
  ++dropped_;
  ++unreported_;
}

}  // namespace headgate
