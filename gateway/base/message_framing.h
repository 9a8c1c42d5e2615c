#ifndef GATEWAY_BASE_MESSAGE_FRAMING_H_
#define GATEWAY_BASE_MESSAGE_FRAMING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Messages in a stream of bytes: a byte of flags, four bytes with the length in
// big-endian order, then the message. gRPC defines the flag of compression
// (grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"); gRPC-Web and
// Connect add one for the block that ends a stream.

inline constexpr std::size_t kMessagePrefixBytes = 5;

inline constexpr std::uint8_t kCompressedFlag = 0x01;
inline constexpr std::uint8_t kConnectEndFlag =
    0x02;  // Connect, end of stream.
inline constexpr std::uint8_t kGrpcWebTrailersFlag = 0x80;

using MessagePrefix = std::array<char, kMessagePrefixBytes>;

// Requires: `length` fits 32 bits.
MessagePrefix MakeMessagePrefix(std::uint8_t flags, std::size_t length);

// Puts one message after the other together from bytes that come in any
// pieces. What is at hand is all it holds: a length alone takes no memory.
//
// Not thread-safe.
class MessageReader {
 public:
  // `allowed_flags`: those that a message may have.
  explicit MessageReader(std::size_t max_message_bytes,
                         std::uint8_t allowed_flags = kCompressedFlag)
      : max_message_bytes_(max_message_bytes), allowed_flags_(allowed_flags) {}

  // Takes bytes up to the end of the message and returns how many it took: all,
  // unless the message is complete. RESOURCE_EXHAUSTED for a message above the
  // limit, INTERNAL for a flag that is not allowed; then no more may be fed.
  // Requires: !complete().
  absl::StatusOr<std::size_t> Feed(absl::string_view bytes);

  std::size_t max_message_bytes() const { return max_message_bytes_; }
  // A whole message is there, to be taken.
  bool complete() const { return complete_; }
  // A message has begun and is not complete.
  bool in_message() const { return !complete_ && prefix_size_ > 0; }
  // Memory that the message takes, bytes.
  std::size_t held_bytes() const { return message_.capacity(); }
  // Of the message that is complete.
  std::uint8_t flags() const { return static_cast<std::uint8_t>(prefix_[0]); }
  bool compressed() const { return (flags() & kCompressedFlag) != 0; }

  // Requires: complete(). The next one may be fed.
  std::string Take();

 private:
  absl::Status BeginMessage();

  const std::size_t max_message_bytes_;
  const std::uint8_t allowed_flags_;
  MessagePrefix prefix_ = {};
  std::uint8_t prefix_size_ = 0;  // How much of it has come.
  bool complete_ = false;
  std::uint32_t length_ = 0;
  std::string message_;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_MESSAGE_FRAMING_H_
