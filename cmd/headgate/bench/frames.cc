#include "cmd/headgate/bench/frames.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxControlBytes = 125;
constexpr std::uint16_t kNoStatus = 1005;

absl::Status Fault(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

void AppendBigEndian(std::uint64_t value, int bytes, std::string& out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

bool IsKnown(FrameKind kind) {
  switch (kind) {
    case FrameKind::kContinuation:
    case FrameKind::kText:
    case FrameKind::kBinary:
    case FrameKind::kClose:
    case FrameKind::kPing:
    case FrameKind::kPong:
      return true;
  }
  return false;
}

}  // namespace

std::string MaskedFrame(FrameKind kind, absl::string_view payload,
                        const FrameMask& mask) {
  std::string frame;
  frame.reserve(payload.size() + 14);
  frame.push_back(static_cast<char>(0x80 | static_cast<int>(kind)));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else if (payload.size() < 65536) {
    frame.push_back(static_cast<char>(0x80 | 126));
    AppendBigEndian(payload.size(), 2, frame);
  } else {
    frame.push_back(static_cast<char>(0x80 | 127));
    AppendBigEndian(payload.size(), 8, frame);
  }
  for (const unsigned char byte : mask) {
    frame.push_back(static_cast<char>(byte));
  }
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(static_cast<char>(static_cast<unsigned char>(payload[i]) ^
                                      mask[i % 4]));
  }
  return frame;
}

std::string ClosePayload(std::uint16_t code, absl::string_view reason) {
  std::string payload;
  AppendBigEndian(code, 2, payload);
  absl::StrAppend(&payload, reason.substr(0, kMaxControlBytes - 2));
  return payload;
}

absl::Status FrameReader::Read(absl::string_view bytes, FrameSink& sink) {
  while (!closed_) {
    if (!in_payload_) {
      while (head_size_ < HeadBytes() && !bytes.empty()) {
        head_[head_size_++] = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
      }
      if (head_size_ < HeadBytes()) return absl::OkStatus();
      absl::Status status = TakeHead();
      if (!status.ok()) return status;
      in_payload_ = true;
    }
    if (left_ > 0 && bytes.empty()) return absl::OkStatus();
    const absl::string_view piece =
        bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
    bytes.remove_prefix(piece.size());
    left_ -= piece.size();
    if (left_ == 0) {
      in_payload_ = false;
      head_size_ = 0;
    }
    absl::Status status = TakePayload(piece, sink);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::size_t FrameReader::HeadBytes() const {
  if (head_size_ < 2) return 2;
  switch (head_[1] & 0x7F) {
    case 126:
      return 4;
    case 127:
      return 10;
    default:
      return 2;
  }
}

// RFC 6455 sections 5.1, 5.2, 5.4 and 5.5.
absl::Status FrameReader::TakeHead() {
  const auto kind = static_cast<FrameKind>(head_[0] & 0x0F);
  if ((head_[0] & 0x70) != 0) {
    return Fault("a frame uses an extension that was not agreed on");
  }
  if (!IsKnown(kind)) return Fault("a frame has an opcode that is reserved");
  if ((head_[1] & 0x80) != 0) return Fault("a server's frame is masked");

  left_ = head_[1] & 0x7F;
  if (left_ >= 126) {
    const std::size_t size = HeadBytes();
    left_ = 0;
    for (std::size_t i = 2; i < size; ++i) left_ = left_ << 8 | head_[i];
    if (left_ >> 63 != 0) return Fault("a frame's length is over 2^63");
  }
  if (IsControl()) {
    if (!IsFinal()) return Fault("a control frame is in fragments");
    if (left_ > kMaxControlBytes) return Fault("a control frame is too long");
    return absl::OkStatus();
  }
  if (in_message_ != (kind == FrameKind::kContinuation)) {
    return Fault(in_message_ ? "a message begins within another"
                             : "a continuation of no message");
  }
  in_message_ = !IsFinal();
  return absl::OkStatus();
}

absl::Status FrameReader::TakePayload(absl::string_view piece,
                                      FrameSink& sink) {
  const bool frame_ends = !in_payload_;
  if (!IsControl()) return sink.OnData(piece, frame_ends && IsFinal());
  absl::StrAppend(&control_, piece);
  return frame_ends ? TakeControl(sink) : absl::OkStatus();
}

absl::Status FrameReader::TakeControl(FrameSink& sink) {
  const std::string payload = std::move(control_);
  control_.clear();
  switch (static_cast<FrameKind>(head_[0] & 0x0F)) {
    case FrameKind::kPing:
      sink.OnPing(payload);
      break;
    case FrameKind::kClose: {
      if (payload.size() == 1) return Fault("a Close frame has half a code");
      closed_ = true;
      if (payload.empty()) {
        sink.OnClose(kNoStatus, "");
        break;
      }
      const auto high = static_cast<unsigned char>(payload[0]);
      const auto low = static_cast<unsigned char>(payload[1]);
      sink.OnClose(static_cast<std::uint16_t>(high << 8 | low),
                   absl::string_view(payload).substr(2));
      break;
    }
    default:
      break;  // A pong tells us nothing.
  }
  return absl::OkStatus();
}

}  // namespace headgate
