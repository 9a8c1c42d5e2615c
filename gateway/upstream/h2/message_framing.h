#ifndef GATEWAY_UPSTREAM_H2_MESSAGE_FRAMING_H_
#define GATEWAY_UPSTREAM_H2_MESSAGE_FRAMING_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// How messages stand in the DATA of a stream: a byte that says whether it is
// compressed, four with the length, big end first, then the message
// (grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message").

inline constexpr std::size_t kMessagePrefixBytes = 5;

using MessagePrefix = std::array<char, kMessagePrefixBytes>;

// Requires: `length` fits 32 bits.
MessagePrefix MakeMessagePrefix(bool compressed, std::size_t length);

// Puts one message after the other together from bytes that come in any
// pieces. What is at hand is all it holds: a length alone takes no memory.
//
// Not thread-safe.
class MessageReader {
 public:
  explicit MessageReader(std::size_t max_message_bytes)
      : max_message_bytes_(max_message_bytes) {}

  // Takes bytes up to the end of the message and returns how many it took: all,
  // unless the message is complete. RESOURCE_EXHAUSTED for a message above the
  // limit, INTERNAL for a flag that gRPC does not define; then no more may be
  // fed. Requires: !complete().
  absl::StatusOr<std::size_t> Feed(absl::string_view bytes);

  // A whole message is there, to be taken.
  bool complete() const { return complete_; }
  // A message has begun and is not complete.
  bool in_message() const { return !complete_ && prefix_size_ > 0; }
  // Memory that the message takes, bytes.
  std::size_t held_bytes() const { return message_.capacity(); }
  // Of the message that is complete.
  bool compressed() const { return prefix_[0] != 0; }

  // Requires: complete(). The next one may be fed.
  std::string Take();

 private:
  absl::Status BeginMessage();

  const std::size_t max_message_bytes_;
  MessagePrefix prefix_ = {};
  std::uint8_t prefix_size_ = 0;  // How much of it has come.
  bool complete_ = false;
  std::uint32_t length_ = 0;
  std::string message_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_MESSAGE_FRAMING_H_
