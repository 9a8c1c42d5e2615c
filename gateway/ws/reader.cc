#include "gateway/ws/reader.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "gateway/base/utf8.h"

namespace headgate::ws {
namespace {

constexpr std::size_t kInflatedAtATime = 4 * 1024;

}  // namespace

Reader::Reader(Options options)
    : max_message_bytes_(options.max_message_bytes),
      inflater_(std::move(options.inflater)),
      role_(options.role),
      delivery_(options.delivery) {
  assert(delivery_ == Delivery::kMessages ||
         (role_ == Role::kClient && inflater_ == nullptr));
}

inline std::size_t Reader::HeadBytes() const {
  const std::size_t bytes = role_ == Role::kServer ? 2 + sizeof(MaskKey) : 2;
  switch (static_cast<unsigned char>(head_[1]) & 0x7F) {
    case 126:
      return bytes + 2;
    case 127:
      return bytes + 8;
    default:
      return bytes;
  }
}

inline bool Reader::TakeHead(absl::string_view& bytes) {
  for (std::size_t wanted = head_bytes_ < 2 ? 2 : HeadBytes();;) {
    while (head_bytes_ < wanted) {
      if (bytes.empty()) return false;
      head_[head_bytes_++] = bytes.front();
      bytes.remove_prefix(1);
    }
    if (wanted == 2 && !CheckFirstBytes()) return true;
    const std::size_t whole = HeadBytes();
    if (head_bytes_ == whole) return true;
    wanted = whole;
  }
}

inline bool Reader::CheckFirstBytes() {
  constexpr unsigned kFin = 0x80, kRsv1 = 0x40, kRsv23 = 0x30, kMask = 0x80;
  const auto first = static_cast<unsigned char>(head_[0]);
  const auto second = static_cast<unsigned char>(head_[1]);
  final_ = (first & kFin) != 0;
  opcode_ = static_cast<FrameOpcode>(first & 0x0F);
  const auto fail = [this](absl::string_view what) {
    Fail(CloseCode::kProtocolError, what);
    return false;
  };
  const bool begins =
      opcode_ == FrameOpcode::kText || opcode_ == FrameOpcode::kBinary;
  // RFC 7692 section 6: RSV1 of its first frame marks a compressed message.
  if ((first & kRsv23) != 0 ||
      ((first & kRsv1) != 0 && (inflater_ == nullptr || !begins))) {
    return fail("a reserved bit is set");
  }
  // Section 5.1.
  const bool masked = (second & kMask) != 0;
  if (masked != (role_ == Role::kServer)) {
    return fail(masked ? "a server's frame with a mask"
                       : "a frame without a mask");
  }
  switch (opcode_) {
    case FrameOpcode::kContinuation:
      if (!in_message_) return fail("a continuation of no message");
      break;
    case FrameOpcode::kText:
    case FrameOpcode::kBinary:
      if (in_message_) return fail("a new message within a message");
      in_message_ = true;
      compressed_ = (first & kRsv1) != 0;
      dropping_ = drops_all_;
      kind_ = opcode_ == FrameOpcode::kText ? Opcode::kText : Opcode::kBinary;
      break;
    case FrameOpcode::kClose:
    case FrameOpcode::kPing:
    case FrameOpcode::kPong:
      if (!final_) return fail("a control frame in fragments");
      if ((second & ~kMask) > kMaxControlBytes) {
        return fail("a control frame of more than 125 bytes");
      }
      control_.clear();
      break;
    default:
      return fail("a reserved opcode");
  }
  return true;
}

inline Reader::Event Reader::BeginFrame() {
  const std::size_t mask_bytes = role_ == Role::kServer ? sizeof(MaskKey) : 0;
  const std::size_t length_bytes = HeadBytes() - 2 - mask_bytes;
  left_ = static_cast<unsigned char>(head_[1]) & 0x7F;
  if (length_bytes > 0) {
    left_ = 0;
    for (std::size_t i = 2; i < 2 + length_bytes; ++i) {
      left_ = left_ << 8 | static_cast<unsigned char>(head_[i]);
    }
    if (left_ > kMaxFrameBytes) {
      return Fail(CloseCode::kProtocolError, "a length with its top bit set");
    }
    // "the minimal number of bytes MUST be used to encode the length"
    if (left_ <= (length_bytes == 2 ? kMaxControlBytes : 0xFFFF)) {
      return Fail(CloseCode::kProtocolError,
                  "a length in more bytes than it needs");
    }
  }
  if (role_ == Role::kServer) {
    std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(2 + length_bytes),
                key_.size(), key_.begin());
  }
  head_bytes_ = 0;
  position_ = 0;
  state_ = State::kPayload;
  if (!is_control() && !compressed_ && !dropping_ &&
      delivery_ == Delivery::kMessages &&
      left_ > max_message_bytes_ - message_.size()) {
    return FailTooBig();
  }
  return Event::kNeedsBytes;
}

inline Reader::Event Reader::TakePayload(absl::string_view& bytes) {
  const absl::string_view payload = bytes.substr(
      0,
      static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
  bytes.remove_prefix(payload.size());
  left_ -= payload.size();
  if (is_control()) {
    const std::size_t before = control_.size();
    control_.append(payload.data(), payload.size());
    if (role_ == Role::kServer) {
      ApplyMask(control_.data() + before, payload.size(), key_, position_);
    }
  } else {
    data_bytes_ += payload.size();
    if (delivery_ == Delivery::kPieces) return TakePiece(payload);
    if (!dropping_) {
      const Event event = TakeData(payload);
      if (event != Event::kNeedsBytes) return event;
    }
  }
  position_ += payload.size();
  return left_ == 0 ? EndFrame() : Event::kNeedsBytes;
}

inline Reader::Event Reader::TakePiece(absl::string_view payload) {
  piece_ = payload;
  const bool drops = dropping_;
  if (left_ == 0) {
    state_ = State::kHead;
    if (final_) {
      in_message_ = dropping_ = false;
      ++messages_;
    }
  }
  return drops ? Event::kNeedsBytes : Event::kPiece;
}

Reader::Event Reader::Next(absl::string_view& bytes) {
  for (;;) {
    Event event = Event::kNeedsBytes;
    switch (state_) {
      case State::kHead:
        if (!TakeHead(bytes)) return event;
        event = state_ == State::kOver ? Event::kFault : BeginFrame();
        break;
      case State::kPayload:
        if (bytes.empty() && left_ > 0) return event;
        event = TakePayload(bytes);
        break;
      case State::kOver:
        bytes = {};
        return event;
    }
    if (event != Event::kNeedsBytes) return event;
  }
}

Reader::Event Reader::TakeData(absl::string_view bytes) {
  if (!compressed_) {
    const std::size_t before = message_.size();
    message_.append(bytes.data(), bytes.size());
    if (role_ == Role::kServer) {
      ApplyMask(message_.data() + before, bytes.size(), key_, position_);
    }
  } else {
    std::array<char, kInflatedAtATime> plain;
    for (std::uint64_t position = position_; !bytes.empty();) {
      const std::size_t size = std::min(bytes.size(), plain.size());
      std::copy_n(bytes.begin(), size, plain.begin());
      bytes.remove_prefix(size);
      if (role_ == Role::kServer) {
        ApplyMask(plain.data(), size, key_, position);
      }
      position += size;
      switch (inflater_->Inflate({plain.data(), size}, max_message_bytes_,
                                 message_)) {
        case Inflater::Outcome::kOk:
          break;
        case Inflater::Outcome::kTooBig:
          return FailTooBig();
        case Inflater::Outcome::kBroken:
          return Fail(CloseCode::kInvalidPayload,
                      "what was compressed cannot be decompressed");
      }
    }
  }
  return CheckText(/*at_end=*/false);
}

// Section 8.1, as early as possible.
Reader::Event Reader::CheckText(bool at_end) {
  if (kind_ != Opcode::kText) return Event::kNeedsBytes;
  absl::string_view rest(message_);
  rest.remove_prefix(checked_);
  const std::size_t valid = ValidUtf8Prefix(rest);
  checked_ += valid;
  rest.remove_prefix(valid);
  if (rest.empty() || (!at_end && MayBecomeUtf8(rest))) {
    return Event::kNeedsBytes;
  }
  return Fail(CloseCode::kInvalidPayload, "text is not UTF-8");
}

Reader::Event Reader::EndFrame() {
  state_ = State::kHead;
  switch (opcode_) {
    case FrameOpcode::kClose:
      return EndClose();
    case FrameOpcode::kPing:
      return Event::kPing;
    case FrameOpcode::kPong:
      return Event::kPong;
    default:
      break;
  }
  if (!final_) return Event::kNeedsBytes;
  in_message_ = false;
  ++messages_;
  if (std::exchange(dropping_, false)) return Event::kNeedsBytes;
  if (compressed_) {
    switch (inflater_->End(max_message_bytes_, message_)) {
      case Inflater::Outcome::kOk:
        break;
      case Inflater::Outcome::kTooBig:
        FailTooBig();
        dropping_ = false;
        return Event::kTooBig;
      case Inflater::Outcome::kBroken:
        return Fail(CloseCode::kInvalidPayload,
                    "what was compressed cannot be decompressed");
    }
  }
  const Event fault = CheckText(/*at_end=*/true);
  return fault == Event::kNeedsBytes ? Event::kMessage : fault;
}

Reader::Event Reader::EndClose() {
  if (control_.size() == 1) {
    return Fail(CloseCode::kProtocolError, "a Close frame with half a code");
  }
  if (!control_.empty()) {
    const int code = static_cast<unsigned char>(control_[0]) << 8 |
                     static_cast<unsigned char>(control_[1]);
    if (!IsSendableCloseCode(code)) {
      return Fail(CloseCode::kProtocolError, "no such close code");
    }
    close_code_ = static_cast<CloseCode>(code);
    if (!IsUtf8(close_reason())) {
      return Fail(CloseCode::kProtocolError,
                  "the reason of a Close frame is not UTF-8");
    }
  }
  state_ = State::kOver;
  if (inflater_ != nullptr) inflater_->Release();
  return Event::kClose;
}

absl::string_view Reader::close_reason() const {
  return absl::string_view(control_).substr(
      std::min<std::size_t>(2, control_.size()));
}

WireMessage Reader::TakeMessage() {
  checked_ = 0;
  return {kind_, std::exchange(message_, {})};
}

void Reader::DropMessages() {
  drops_all_ = true;
  dropping_ = in_message_;
  std::string().swap(message_);
  checked_ = 0;
  if (inflater_ != nullptr) inflater_->Release();
}

Reader::Event Reader::FailTooBig() {
  // The next message cannot be inflated without the rest of this one.
  DropMessages();
  return Event::kTooBig;
}

Reader::Event Reader::Fail(CloseCode code, absl::string_view what) {
  state_ = State::kOver;
  fault_ = {code, what};
  std::string().swap(message_);
  if (inflater_ != nullptr) inflater_->Release();
  return Event::kFault;
}

}  // namespace headgate::ws
