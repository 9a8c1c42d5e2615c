#include "gateway/ws/outbox.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace headgate::ws {
namespace {

// The capacity that an idle connection keeps for its next message.
constexpr std::size_t kKeptBytes = 256;

void Empty(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) std::string().swap(buffer);
}

}  // namespace

void Outbox::Put(absl::string_view head, std::string piece) {
  put_ += head.size() + piece.size();
  gathered_.append(head.data(), head.size());
  if (piece.size() > kMostCopied && !has_front()) {
    std::swap(front_, gathered_);
    piece_ = std::move(piece);
    return;
  }
  gathered_ += piece;
}

std::array<absl::string_view, 2> Outbox::Front() {
  assert(!empty());
  if (!has_front()) std::swap(front_, gathered_);
  return {absl::string_view(front_).substr(front_sent_),
          absl::string_view(piece_).substr(piece_sent_)};
}

void Outbox::Sent(std::size_t bytes) {
  sent_ += bytes;
  const std::size_t of_front = std::min(bytes, front_.size() - front_sent_);
  front_sent_ += of_front;
  piece_sent_ += bytes - of_front;
  if (has_front()) return;
  Empty(front_);
  Empty(piece_);
  front_sent_ = piece_sent_ = 0;
}

void Outbox::Clear() { *this = {}; }

}  // namespace headgate::ws
