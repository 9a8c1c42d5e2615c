#include "gateway/http/request_body.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "gateway/http/request.h"

namespace headgate {
namespace {

// The most that the lines of chunks, or the trailers, may cost beyond what is
// allowed each chunk: kLineBytes and as much as its content.
constexpr std::uint64_t kMaxOverheadBytes = 8 * 1024;
constexpr std::uint64_t kLineBytes = 16;
// 16 hexadecimal digits would still fit, but no chunk is that long.
constexpr std::uint64_t kMaxChunkBytes = std::uint64_t{1} << 56;

absl::Status BadChunk(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

RequestBody RequestBody::OfLength(std::uint64_t bytes) {
  return RequestBody(bytes == 0 ? State::kDone : State::kContent, bytes);
}

RequestBody RequestBody::Chunked() { return RequestBody(State::kSizeBegin, 0); }

absl::Status RequestBody::Take(absl::string_view& bytes, std::size_t max_piece,
                               std::string& piece) {
  while (!bytes.empty() && !done()) {
    if (InContent()) {
      if (piece.size() >= max_piece) break;
      const std::size_t taken =
          static_cast<std::size_t>(std::min<std::uint64_t>(
              {left_, bytes.size(), max_piece - piece.size()}));
      piece.append(bytes.data(), taken);
      bytes.remove_prefix(taken);
      left_ -= taken;
      if (left_ == 0) {
        state_ = state_ == State::kChunk ? State::kChunkCr : State::kDone;
      }
    } else {
      absl::Status status = TakeFraming(bytes[0]);
      if (!status.ok()) return status;
      bytes.remove_prefix(1);
    }
  }
  return absl::OkStatus();
}

absl::Status RequestBody::TakeFraming(char c) {
  const auto byte = static_cast<unsigned char>(c);
  const bool is_control = (byte < 0x20 && c != '\t') || byte == 0x7F;
  if (++overhead_bytes_ > kMaxOverheadBytes) {
    return BadChunk("the sizes, extensions or trailers of chunks are too long");
  }
  switch (state_) {
    case State::kSizeBegin:
    case State::kSize: {
      if (const int digit = HexDigit(c); digit >= 0) {
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        if (left_ > kMaxChunkBytes) return BadChunk("a chunk is too long");
        state_ = State::kSize;
        return absl::OkStatus();
      }
      if (state_ == State::kSizeBegin) {
        return BadChunk("a chunk has no size");
      }
      if (c == '\r') {
        state_ = State::kSizeLf;
        return absl::OkStatus();
      }
      [[fallthrough]];
    }
    case State::kSizeBlank:
      if (c == ';') {
        state_ = State::kExtension;
      } else if (c == ' ' || c == '\t') {
        state_ = State::kSizeBlank;
      } else {
        return BadChunk("the size of a chunk is not hexadecimal");
      }
      return absl::OkStatus();
    case State::kExtension:
    case State::kTrailerLine:
      if (c == '\r') {
        state_ =
            state_ == State::kExtension ? State::kSizeLf : State::kTrailerLf;
      } else if (is_control) {
        return BadChunk("a control character between chunks");
      }
      return absl::OkStatus();
    case State::kTrailer:
      if (c == '\r') {
        state_ = State::kEndLf;
        return absl::OkStatus();
      }
      if (c == ':') return BadChunk("a trailer has no name");
      state_ = State::kTrailerName;
      [[fallthrough]];
    case State::kTrailerName:
      if (c == ':') {
        state_ = State::kTrailerLine;
      } else if (!IsToken(absl::string_view(&c, 1))) {
        return BadChunk("the name of a trailer is not a token");
      }
      return absl::OkStatus();
    case State::kChunkCr:
      if (c != '\r') return BadChunk("a chunk is longer than its size");
      state_ = State::kChunkLf;
      return absl::OkStatus();
    case State::kSizeLf:
    case State::kChunkLf:
    case State::kTrailerLf:
    case State::kEndLf:
      if (c != '\n') return BadChunk("a line between chunks has no end");
      break;
    case State::kContent:
    case State::kChunk:
    case State::kDone:
      return absl::OkStatus();
  }
  // The line is complete.
  if (state_ == State::kSizeLf) {
    // A chunk's size, which is at most 2^56, cannot make this overflow.
    overhead_bytes_ -= std::min(overhead_bytes_, kLineBytes + left_);
    state_ = left_ > 0 ? State::kChunk : State::kTrailer;
  } else if (state_ == State::kChunkLf) {
    state_ = State::kSizeBegin;
  } else if (state_ == State::kTrailerLf) {
    state_ = State::kTrailer;
  } else {
    state_ = State::kDone;
  }
  return absl::OkStatus();
}

}  // namespace headgate
