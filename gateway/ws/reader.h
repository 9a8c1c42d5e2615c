#ifndef GATEWAY_WS_READER_H_
#define GATEWAY_WS_READER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gateway/base/status.h"
#include "gateway/codec/codec.h"
#include "gateway/ws/deflate.h"
#include "gateway/ws/frame.h"

namespace headgate::ws {

// What a client sends on its WebSocket, byte by byte as it comes: frames put
// together to messages, and all that RFC 6455 has against them.
//
// Memory: the message at hand, as far as it has come; never what a frame only
//         announces.
// Thread: not thread-safe. No I/O.
class Reader {
 public:
  enum class Event {
    kNeedsBytes,  // All bytes are taken.
    kMessage,     // TakeMessage.
    kTooBig,      // The message is longer than it may be; its rest is dropped.
    kPing,        // control_payload, until the next call of Next.
    kPong,
    kClose,  // close_code and close_reason; what follows is dropped.
    kFault,  // fault; what follows is dropped.
  };
  struct Fault {
    CloseCode code = CloseCode::kProtocolError;
    absl::string_view what;  // A constant.
  };

  // `inflater`: null unless permessage-deflate was agreed on.
  Reader(std::size_t max_message_bytes, std::unique_ptr<Inflater> inflater);

  // Takes from the front of `bytes` as far as the next event.
  Event Next(absl::string_view& bytes);

  WireMessage TakeMessage();
  absl::string_view control_payload() const { return control_; }
  // kNoStatus: the frame had none.
  CloseCode close_code() const { return close_code_; }
  absl::string_view close_reason() const;
  const Fault& fault() const { return fault_; }

  // Messages are of no interest any more; control frames are.
  void DropMessages();
  // The number of the message at hand when it, or any frame, has begun and is
  // not complete.
  std::optional<std::uint64_t> unfinished() const {
    const bool begun =
        in_message_ || head_bytes_ > 0 || state_ == State::kPayload;
    if (!begun || state_ == State::kOver) return std::nullopt;
    return messages_;
  }
  // What it holds, bytes.
  std::size_t held_bytes() const { return message_.capacity(); }
  // Bytes of messages that have come, as they were sent.
  std::uint64_t data_bytes() const { return data_bytes_; }
  // Bytes that are missing of the frame at hand, as far as known.
  std::uint64_t missing() const { return left_; }

 private:
  enum class State { kHead, kPayload, kOver };

  // Takes more of a frame's head; whether it is complete or faulty.
  bool TakeHead(absl::string_view& bytes);
  bool CheckFirstBytes();
  // The length and the mask are there. False: a fault, or too big.
  Event BeginFrame();
  Event TakePayload(absl::string_view& bytes);
  // Of a data frame, still masked.
  Event TakeData(absl::string_view masked);
  Event EndFrame();
  Event EndClose();
  Event CheckText(bool at_end);
  Event Fail(CloseCode code, absl::string_view what);
  Event FailTooBig();
  bool is_control() const { return opcode_ >= FrameOpcode::kClose; }

  const std::size_t max_message_bytes_;
  const std::unique_ptr<Inflater> inflater_;
  State state_ = State::kHead;

  // The frame at hand.
  std::array<char, 14> head_;
  std::uint8_t head_bytes_ = 0;
  bool final_ = false;
  FrameOpcode opcode_ = FrameOpcode::kContinuation;
  std::array<char, 4> key_;
  std::uint64_t position_ = 0;
  std::uint64_t left_ = 0;

  // The message at hand.
  bool in_message_ = false;
  bool compressed_ = false;
  bool dropping_ = false;  // Of this message, what is still to come.
  bool drops_all_ = false;
  Opcode kind_ = Opcode::kBinary;
  std::string message_;
  std::size_t checked_ = 0;     // Of it, as UTF-8.
  std::uint64_t messages_ = 0;  // Complete ones.
  std::uint64_t data_bytes_ = 0;

  std::string control_;
  CloseCode close_code_ = CloseCode::kNoStatus;
  Fault fault_;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_READER_H_
