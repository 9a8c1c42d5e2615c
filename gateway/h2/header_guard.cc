#include "gateway/h2/header_guard.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace headgate::h2 {
namespace {

// The dynamic table (RFC 7541 section 4.2): SETTINGS_HEADER_TABLE_SIZE is left
// at what it is by default.
constexpr std::size_t kTableBytes = 4096;
// A string that is longer on the wire is longer than the table, decoded as
// well: no symbol has a code of more than 30 bits (RFC 7541 appendix B).
constexpr std::size_t kLongerThanTable = kTableBytes * 30 / 8 + 1;
// What a frame holds at most (SETTINGS_MAX_FRAME_SIZE, by default).
constexpr std::size_t kFrameBytes = 16 * 1024;
constexpr std::size_t kPriorityBytes = 5;

// A string literal of so many bytes (RFC 7541 section 5.2).
std::string StringLiteral(std::size_t size) {
  std::string literal;
  if (size < 127) {
    literal.push_back(static_cast<char>(size));
  } else {
    literal.push_back(127);
    std::size_t rest = size - 127;
    for (; rest >= 128; rest /= 128) {
      literal.push_back(static_cast<char>(rest % 128 + 128));
    }
    literal.push_back(static_cast<char>(rest));
  }
  return literal.append(size, 'x');
}

std::size_t LengthOf(const char* head) {
  const auto byte = [&](int i) {
    return static_cast<std::size_t>(static_cast<std::uint8_t>(head[i]));
  };
  return byte(0) << 16 | byte(1) << 8 | byte(2);
}
std::uint8_t TypeOf(const char* head) {
  return static_cast<std::uint8_t>(head[3]);
}
std::uint8_t FlagsOf(const char* head) {
  return static_cast<std::uint8_t>(head[4]);
}

}  // namespace

// --- HeaderBlockShortener ---

bool HeaderBlockShortener::Feed(absl::string_view piece, std::string& out) {
  while (!piece.empty()) {
    if (state_ == State::kString) {
      const auto size = static_cast<std::size_t>(
          std::min<std::uint64_t>(string_rest_, piece.size()));
      Take(piece.substr(0, size), string_dropped_, out);
      piece.remove_prefix(size);
      string_rest_ -= size;
      if (string_rest_ == 0) OnStringEnd();
      continue;
    }
    const absl::string_view one = piece.substr(0, 1);
    const auto byte = static_cast<std::uint8_t>(one[0]);
    piece.remove_prefix(1);
    if (state_ == State::kField) {
      BeginField(byte);
      Take(one, is_dropped_, out);
      if (state_ == State::kField) OnIndex();
    } else if (state_ == State::kIndex) {
      Take(one, is_dropped_, out);
      if (!AddToInteger(byte)) return false;
      if ((byte & 0x80) == 0) OnIndex();
    } else if (state_ == State::kLength) {
      length_bytes_ = std::string(one);
      if (BeginInteger(byte, 0x7F)) {
        OnLength(out);
      } else {
        state_ = State::kMoreLength;
      }
    } else {
      length_bytes_.push_back(one[0]);
      if (!AddToInteger(byte)) return false;
      if ((byte & 0x80) == 0) OnLength(out);
    }
  }
  return true;
}

void HeaderBlockShortener::Take(absl::string_view bytes, bool is_dropped,
                                std::string& out) {
  if (is_dropped) {
    dropped_ += bytes.size();
  } else {
    passed_ += bytes.size();
    out.append(bytes.data(), bytes.size());
  }
}

// Whether that is all of it.
bool HeaderBlockShortener::BeginInteger(std::uint8_t byte, std::uint8_t mask) {
  integer_ = byte & mask;
  shift_ = 0;
  return integer_ != mask;
}

bool HeaderBlockShortener::AddToInteger(std::uint8_t byte) {
  if (shift_ > 28) return false;
  integer_ += static_cast<std::uint64_t>(byte & 0x7F) << shift_;
  shift_ += 7;
  return true;
}

// RFC 7541 section 6.
void HeaderBlockShortener::BeginField(std::uint8_t byte) {
  const bool is_indexed = (byte & 0x80) != 0;
  is_for_table_ = !is_indexed && (byte & 0x40) != 0;
  const bool is_table_size =
      !is_indexed && !is_for_table_ && (byte & 0x20) != 0;
  has_strings_ = !is_indexed && !is_table_size;
  is_dropped_ = passed_ >= max_bytes_ && !is_for_table_ && !is_table_size;
  const std::uint8_t mask = is_indexed      ? 0x7F
                            : is_for_table_ ? 0x3F
                            : is_table_size ? 0x1F
                                            : 0x0F;
  if (!BeginInteger(byte, mask)) state_ = State::kIndex;
}

void HeaderBlockShortener::OnIndex() {
  in_name_ = integer_ == 0;
  state_ = has_strings_ ? State::kLength : State::kField;
}

void HeaderBlockShortener::OnLength(std::string& out) {
  const std::size_t room = max_bytes_ - std::min(passed_, max_bytes_);
  const bool is_too_long =
      integer_ > room && (!is_for_table_ || integer_ >= kLongerThanTable);
  string_dropped_ = is_dropped_ || is_too_long;
  Take(length_bytes_, string_dropped_, out);
  if (is_too_long && !is_dropped_) {
    out += StringLiteral(is_for_table_ ? kTableBytes : 1);
  }
  string_rest_ = integer_;
  state_ = State::kString;
  if (string_rest_ == 0) OnStringEnd();
}

void HeaderBlockShortener::OnStringEnd() {
  state_ = in_name_ ? State::kLength : State::kField;
  in_name_ = false;
}

// --- HeaderGuard ---

absl::string_view HeaderGuard::Next(absl::string_view& bytes) {
  dropped_ = 0;
  if (in_frame_) {
    TakePayload(bytes);
    return GiveFrames();
  }
  // As many frames as can be passed on as they are.
  std::size_t passed = 0;
  for (;;) {
    const std::size_t size = std::min(rest_, bytes.size() - passed);
    passed += size;
    rest_ -= size;
    absl::string_view next = bytes.substr(passed);
    if (rest_ > 0 || next.empty()) break;
    if (!in_block_ && head_size_ == 0 && next.size() >= kHeadBytes &&
        !IsGuarded(next.data())) {
      passed += kHeadBytes;
      rest_ = LengthOf(next.data());
      continue;
    }
    if (passed > 0) break;
    const std::size_t taken = std::min(kHeadBytes - head_size_, next.size());
    std::copy_n(next.data(), taken, head_.begin() + head_size_);
    head_size_ += taken;
    bytes.remove_prefix(taken);
    if (head_size_ < kHeadBytes) return "";
    head_size_ = 0;
    if (IsGuarded(head_.data())) {
      BeginFrame();
      return GiveFrames();
    }
    if (in_block_) {  // It is no end of it, and a fault.
      PutFrame(block_.size(), false);
      in_block_ = false;
    }
    rest_ = LengthOf(head_.data());
    out_.append(head_.data(), kHeadBytes);
    return GiveFrames();
  }
  const absl::string_view run = bytes.substr(0, passed);
  bytes.remove_prefix(passed);
  return run;
}

// A block that is all in one frame cannot be too long. What may not come within
// a block is for nghttp2 to judge.
bool HeaderGuard::IsGuarded(const char* head) const {
  if (in_block_) {
    return TypeOf(head) == NGHTTP2_CONTINUATION &&
           std::equal(stream_.begin(), stream_.end(), head + 5);
  }
  return TypeOf(head) == NGHTTP2_HEADERS &&
         (FlagsOf(head) & NGHTTP2_FLAG_END_HEADERS) == 0;
}

void HeaderGuard::BeginFrame() {
  const std::uint8_t flags = FlagsOf(head_.data());
  rest_ = LengthOf(head_.data());
  in_frame_ = true;
  ends_block_ = (flags & NGHTTP2_FLAG_END_HEADERS) != 0;
  awaits_pad_length_ = false;
  to_skip_ = padding_ = 0;
  if (!in_block_) {  // HEADERS.
    in_block_ = true;
    head_put_ = false;
    shortener_ = HeaderBlockShortener(max_block_bytes_);
    block_.clear();
    end_stream_ = flags & NGHTTP2_FLAG_END_STREAM;
    std::copy_n(head_.begin() + 5, stream_.size(), stream_.begin());
    awaits_pad_length_ = (flags & NGHTTP2_FLAG_PADDED) != 0;
    if ((flags & NGHTTP2_FLAG_PRIORITY) != 0) to_skip_ = kPriorityBytes;
    if (rest_ < to_skip_ + (awaits_pad_length_ ? 1 : 0)) {
      return Fail("a HEADERS frame is too short for its flags");
    }
  }
  if (rest_ == 0) EndFrame();
}

void HeaderGuard::TakePayload(absl::string_view& bytes) {
  absl::string_view payload = bytes.substr(0, std::min(rest_, bytes.size()));
  bytes.remove_prefix(payload.size());
  rest_ -= payload.size();
  if (awaits_pad_length_) {
    awaits_pad_length_ = false;
    padding_ = static_cast<std::uint8_t>(payload[0]);
    payload.remove_prefix(1);
    if (padding_ + to_skip_ > rest_ + payload.size()) {
      return Fail("a HEADERS frame has more padding than bytes");
    }
  }
  const std::size_t skipped = std::min(to_skip_, payload.size());
  payload.remove_prefix(skipped);
  to_skip_ -= skipped;
  if (rest_ < padding_) {
    payload.remove_suffix(std::min(padding_ - rest_, payload.size()));
  }
  block_bytes_ += payload.size();
  if (!shortener_.Feed(payload, block_)) {
    return Fail("an integer in a header block is too large");
  }
  while (block_.size() > kFrameBytes) PutFrame(kFrameBytes, false);
  if (rest_ == 0) EndFrame();
}

void HeaderGuard::EndFrame() {
  in_frame_ = false;
  if (!ends_block_) return;
  if (!shortener_.at_field()) return Fail("a header block is cut short");
  PutFrame(block_.size(), true);
  in_block_ = false;
  dropped_ = shortener_.dropped_bytes();
}

void HeaderGuard::PutFrame(std::size_t size, bool last) {
  const auto byte = [](std::size_t value) {
    return static_cast<char>(static_cast<std::uint8_t>(value));
  };
  const int type = head_put_ ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS;
  const int flags =
      (head_put_ ? 0 : end_stream_) | (last ? NGHTTP2_FLAG_END_HEADERS : 0);
  const char head[] = {byte(size >> 16), byte(size >> 8), byte(size),
                       static_cast<char>(type), static_cast<char>(flags)};
  out_.append(head, sizeof head);
  out_.append(stream_.data(), stream_.size());
  out_.append(block_, 0, size);
  block_.erase(0, size);
  head_put_ = true;
}

void HeaderGuard::Fail(absl::string_view why) {
  status_ = absl::UnavailableError(absl::StrCat("HTTP/2: ", why));
}

absl::string_view HeaderGuard::GiveFrames() {
  std::swap(out_, given_);
  out_.clear();
  return given_;
}

}  // namespace headgate::h2
