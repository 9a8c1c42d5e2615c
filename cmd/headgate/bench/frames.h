#ifndef CMD_HEADGATE_BENCH_FRAMES_H_
#define CMD_HEADGATE_BENCH_FRAMES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The frames of RFC 6455 section 5, from a client's side.

enum class FrameKind : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xA,
};

using FrameMask = std::array<unsigned char, 4>;

// One whole frame, masked as a client's must be.
std::string MaskedFrame(FrameKind kind, absl::string_view payload,
                        const FrameMask& mask);

// The payload of a Close frame.
std::string ClosePayload(std::uint16_t code, absl::string_view reason);

// Takes what a FrameReader finds. What is passed lives as long as the call.
class FrameSink {
 public:
  // A piece of a text or binary message, as it came in; `end` with its last
  // one. A fault that is returned is that of FrameReader::Read.
  virtual absl::Status OnData(absl::string_view piece, bool end) = 0;
  virtual void OnPing(absl::string_view payload) = 0;
  // Nothing comes after it. 1005 when the frame names no code.
  virtual void OnClose(std::uint16_t code, absl::string_view reason) = 0;

 protected:
  ~FrameSink() = default;
};

// Reads a server's frames from pieces of any size. Data is passed on as it
// comes, so that a message of any length takes no memory; that text is UTF-8
// is not looked at.
//
// Thread: one at a time.
class FrameReader {
 public:
  // INVALID_ARGUMENT when the bytes break the protocol, or the fault of the
  // sink; nothing can be read after that. What follows a Close frame is
  // dropped.
  absl::Status Read(absl::string_view bytes, FrameSink& sink);

 private:
  static constexpr std::size_t kMaxHeadBytes = 10;

  // How many bytes the head of the frame has, as far as is known.
  std::size_t HeadBytes() const;
  absl::Status TakeHead();
  absl::Status TakePayload(absl::string_view piece, FrameSink& sink);
  absl::Status TakeControl(FrameSink& sink);
  bool IsControl() const { return (head_[0] & 0x08) != 0; }
  bool IsFinal() const { return (head_[0] & 0x80) != 0; }

  std::array<unsigned char, kMaxHeadBytes> head_ = {};
  std::uint8_t head_size_ = 0;
  bool in_payload_ = false;
  bool in_message_ = false;  // A message's last frame is still to come.
  bool closed_ = false;
  std::uint64_t left_ = 0;  // Bytes of the frame's payload still to come.
  std::string control_;     // Payload of a ping or Close that is in pieces.
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_FRAMES_H_
