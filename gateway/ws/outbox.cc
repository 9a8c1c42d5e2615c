#include "gateway/ws/outbox.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace headgate::ws {
namespace {

// The capacity that an idle connection keeps for its next message.
constexpr std::size_t kKeptBytes = 256;
constexpr std::size_t kKeptFrames = 8;

void Empty(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) std::string().swap(buffer);
}

}  // namespace

void Outbox::Put(absl::string_view head, std::string piece) {
  put_ += head.size() + piece.size();
  if (has_shared()) return PutBehindShared(head, std::move(piece));
  gathered_.append(head.data(), head.size());
  if (piece.size() > kMostCopied && !has_front()) {
    std::swap(front_, gathered_);
    piece_ = std::move(piece);
    return;
  }
  gathered_ += piece;
}

void Outbox::PutBehindShared(absl::string_view head, std::string piece) {
  if (piece.size() > kMostCopied) {
    if (!head.empty()) shared_.emplace_back(std::string(head));
    shared_.emplace_back(std::move(piece));
    return;
  }
  std::string bytes;
  bytes.reserve(head.size() + piece.size());
  bytes.append(head.data(), head.size());
  bytes += piece;
  shared_.emplace_back(std::move(bytes));
}

std::array<absl::string_view, 2> Outbox::Front() {
  assert(!empty());
  if (!has_front()) std::swap(front_, gathered_);
  if (!has_front()) {
    return {shared_[shared_begin_].bytes().substr(shared_sent_)};
  }
  return {absl::string_view(front_).substr(front_sent_),
          absl::string_view(piece_).substr(piece_sent_)};
}

std::size_t Outbox::Front(absl::Span<absl::string_view> pieces) {
  assert(!empty() && pieces.size() >= 3);
  std::size_t count = 0;
  const auto add = [&](absl::string_view piece) {
    if (!piece.empty()) pieces[count++] = piece;
  };
  if (!has_front()) std::swap(front_, gathered_);
  add(absl::string_view(front_).substr(front_sent_));
  add(absl::string_view(piece_).substr(piece_sent_));
  if (has_shared()) add(gathered_);
  std::size_t sent = shared_sent_;
  for (std::size_t i = shared_begin_;
       i < shared_.size() && count < pieces.size(); ++i) {
    add(shared_[i].bytes().substr(std::exchange(sent, 0)));
  }
  return count;
}

void Outbox::Sent(std::size_t bytes) {
  sent_ += bytes;
  const std::size_t of_front = std::min(bytes, front_.size() - front_sent_);
  front_sent_ += of_front;
  bytes -= of_front;
  const std::size_t of_piece = std::min(bytes, piece_.size() - piece_sent_);
  piece_sent_ += of_piece;
  if (has_front()) return;
  Empty(front_);
  Empty(piece_);
  front_sent_ = piece_sent_ = 0;
  if (bytes > of_piece) SentBehindFront(bytes - of_piece);
}

void Outbox::SentBehindFront(std::size_t bytes) {
  assert(has_shared());
  if (!gathered_.empty()) {
    std::swap(front_, gathered_);
    front_sent_ = std::min(bytes, front_.size());
    bytes -= front_sent_;
    if (has_front()) return;
    Empty(front_);
    front_sent_ = 0;
  }
  while (bytes > 0) {
    assert(shared_begin_ < shared_.size());
    FrameRef& first = shared_[shared_begin_];
    const std::size_t left = first.size() - shared_sent_;
    if (bytes < left) {
      shared_sent_ += bytes;
      break;
    }
    bytes -= left;
    first = {};
    shared_sent_ = 0;
    ++shared_begin_;
  }
  TidyShared();
}

void Outbox::TidyShared() {
  if (shared_begin_ == shared_.size()) {
    shared_.clear();
    shared_begin_ = 0;
    if (shared_.capacity() > kKeptFrames) std::vector<FrameRef>().swap(shared_);
  } else if (shared_begin_ >= kKeptFrames &&
             2 * shared_begin_ >= shared_.size()) {
    shared_.erase(shared_.begin(),
                  shared_.begin() + static_cast<std::ptrdiff_t>(shared_begin_));
    shared_begin_ = 0;
  }
}

void Outbox::Clear() { *this = {}; }

void Outbox::Shrink() {
  assert(empty());
  for (std::string* buffer : {&front_, &piece_, &gathered_}) {
    std::string().swap(*buffer);
  }
  std::vector<FrameRef>().swap(shared_);
}

}  // namespace headgate::ws
