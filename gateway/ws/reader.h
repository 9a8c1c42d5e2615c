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

// How a Reader reports messages.
enum class Delivery : std::uint8_t {
  kMessages,  // Whole. Text is checked to be UTF-8.
  // In pieces, as they arrive: a message of any length takes no memory, and
  // text is not checked. For clients, without compression.
  kPieces,
};

// Reads the bytes of a peer's WebSocket, in pieces of any size, and checks all
// that RFC 6455 requires of them.
//
// Memory: the part of the current message that has arrived; never the size that
//         a frame only announces.
// Thread: not thread-safe. No I/O.
class Reader {
 public:
  enum class Event {
    kNeedsBytes,  // All bytes were consumed.
    kMessage,     // TakeMessage.
    kPiece,       // piece and ends_message, until the next call of Next.
    kTooBig,  // The message exceeds the limit; all messages are dropped from
              // now on.
    kPing,    // control_payload, until the next call of Next.
    kPong,
    kClose,  // close_code and close_reason; all that follows is dropped.
    kFault,  // fault; all that follows is dropped.
  };
  struct Fault {
    CloseCode code = CloseCode::kProtocolError;
    absl::string_view what;  // A constant.
  };
  struct Options {
    Role role = Role::kServer;  // This side's.
    Delivery delivery = Delivery::kMessages;
    std::size_t max_message_bytes = 0;   // Of kMessages.
    std::unique_ptr<Inflater> inflater;  // Null: no permessage-deflate.
  };

  explicit Reader(Options options);

  // Consumes the front of `bytes`, up to the next event.
  Event Next(absl::string_view& bytes);

  WireMessage TakeMessage();
  absl::string_view piece() const { return piece_; }
  // Whether the piece is the last of its message.
  bool ends_message() const { return !in_message_; }
  absl::string_view control_payload() const { return control_; }
  // kNoStatus: the frame had none.
  CloseCode close_code() const { return close_code_; }
  absl::string_view close_reason() const;
  const Fault& fault() const { return fault_; }

  // From now on messages are dropped; control frames are still reported.
  void DropMessages();
  // The number of the current message if it, or any frame, has begun and is not
  // complete.
  std::optional<std::uint64_t> unfinished() const {
    const bool begun =
        in_message_ || head_bytes_ > 0 || state_ == State::kPayload;
    if (!begun || state_ == State::kOver) return std::nullopt;
    return messages_;
  }
  // Bytes of memory.
  std::size_t held_bytes() const {
    return message_.capacity() +
           (inflater_ == nullptr ? 0 : inflater_->held_bytes());
  }
  // Bytes of messages that have arrived, as they were sent.
  std::uint64_t data_bytes() const { return data_bytes_; }
  // Bytes of the current frame that have not arrived, as far as known.
  std::uint64_t missing() const { return left_; }

 private:
  enum class State : std::uint8_t {
    kHead,     // Of a frame.
    kPayload,  // Of a frame.
    kOver,     // After a Close frame or a fault.
  };

  std::size_t HeadBytes() const;
  // Takes more of a frame's head; true if it is complete or at fault.
  bool TakeHead(absl::string_view& bytes);
  bool CheckFirstBytes();
  // Requires: the head is complete.
  Event BeginFrame();
  Event TakePayload(absl::string_view& bytes);
  Event TakePiece(absl::string_view payload);
  // Payload of a data frame, as it is on the wire.
  Event TakeData(absl::string_view bytes);
  Event EndFrame();
  Event EndClose();
  Event CheckText(bool at_end);
  Event Fail(CloseCode code, absl::string_view what);
  Event FailTooBig();
  bool is_control() const { return opcode_ >= FrameOpcode::kClose; }

  const std::size_t max_message_bytes_;
  const std::unique_ptr<Inflater> inflater_;
  const Role role_;
  const Delivery delivery_;
  State state_ = State::kHead;

  // The current frame.
  std::array<char, 14> head_;
  std::uint8_t head_bytes_ = 0;
  bool final_ = false;
  FrameOpcode opcode_ = FrameOpcode::kContinuation;
  MaskKey key_;
  std::uint64_t position_ = 0;
  std::uint64_t left_ = 0;

  // The current message.
  bool in_message_ = false;
  bool compressed_ = false;
  bool dropping_ = false;   // The rest of this message.
  bool drops_all_ = false;  // All messages.
  Opcode kind_ = Opcode::kBinary;
  std::string message_;
  std::size_t checked_ = 0;  // The part of it that is valid UTF-8.
  absl::string_view piece_;
  std::uint64_t messages_ = 0;  // That are complete.
  std::uint64_t data_bytes_ = 0;

  std::string control_;
  CloseCode close_code_ = CloseCode::kNoStatus;
  Fault fault_;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_READER_H_
