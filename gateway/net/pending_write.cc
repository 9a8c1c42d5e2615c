#include "gateway/net/pending_write.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/string_view.h"

namespace headgate {

void PendingWrite::Begin(std::array<std::string, 3> pieces) {
  assert(!is_pending());
  state_ = State::kUnderWay;
  pieces_ = std::move(pieces);
  sent_ = 0;
  stalled_since_.reset();
}

PendingWrite::State PendingWrite::Continue(ByteStream& stream) {
  assert(is_pending());
  while (state_ == State::kUnderWay) {
    std::array<absl::string_view, 3> left;
    std::size_t skip = sent_;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const std::size_t sent = std::min(skip, pieces_[i].size());
      left[i] = absl::string_view(pieces_[i]).substr(sent);
      skip -= sent;
      bytes += left[i].size();
    }
    if (bytes == 0) {
      state_ = State::kTaken;
      break;
    }
    const ByteStream::Result written = stream.Write(left);
    if (written.kind == ByteStream::Result::Kind::kWouldBlock) break;
    if (written.kind != ByteStream::Result::Kind::kDone) {
      state_ = State::kFailed;
    }
    sent_ += written.bytes;
  }
  return state_;
}

bool PendingWrite::Complete() {
  for (std::string& piece : pieces_) std::string().swap(piece);
  return std::exchange(state_, State::kNone) == State::kTaken;
}

bool PendingWrite::IsStalled(absl::Time now, std::uint64_t taken,
                             absl::Duration patience) {
  if (!is_pending()) return false;
  if (std::exchange(taken_, taken) != taken || !stalled_since_) {
    stalled_since_ = now;
  }
  return now - *stalled_since_ >= patience;
}

std::size_t PendingWrite::held_bytes() const {
  std::size_t bytes = 0;
  for (const std::string& piece : pieces_) bytes += piece.capacity();
  return bytes;
}

}  // namespace headgate
