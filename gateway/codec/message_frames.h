#ifndef GATEWAY_CODEC_MESSAGE_FRAMES_H_
#define GATEWAY_CODEC_MESSAGE_FRAMES_H_

#include <cstddef>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "gateway/base/message_framing.h"
#include "gateway/base/status.h"
#include "gateway/codec/codec.h"

namespace headgate {

// How the messages of one side of a call may be compressed, as a header says:
// grpc-encoding, connect-content-encoding.
enum class Compression { kNone, kGzip, kUnknown };

// Of the value of such a header; empty for an absent one.
Compression CompressionOf(absl::string_view encoding);

// What a call ends with whose request is compressed in a way that the gateway
// does not know (grpc/grpc doc/compression.md).
Ending UnknownCompression(absl::string_view encoding);

// How a message above the limit ends its call.
Ending MessageTooBig(std::size_t max_message_bytes);

// Length-prefixed messages of a client's (gateway/base/message_framing.h), put
// together and decompressed. Decoding is pulled as that of a Codec is. Pure.
class MessageFrames {
 public:
  // `max_message_bytes`: of a message, compressed or not.
  // Requires: `compression` is known.
  MessageFrames(std::size_t max_message_bytes, Compression compression);

  // Requires: Next has returned NeedInput since the last Feed.
  void Feed(std::string bytes);

  // The next message, its payload decompressed; or the client's fault, after
  // which nothing may be called.
  Decoded Next();

  // Whether what was fed ends inside a message.
  bool inside_message() const { return reader_.in_message(); }
  std::size_t held_bytes() const {
    return bytes_.size() + reader_.held_bytes();
  }

 private:
  Decoded Message(bool compressed, std::string payload) const;

  const std::size_t max_message_bytes_;
  const Compression compression_;
  MessageReader reader_;
  std::string bytes_;  // Fed, up to `taken_` read.
  std::size_t taken_ = 0;
};

// Replaces a message by its gzip; false where that would save nothing, or less
// than it costs, or take too long.
bool CompressIfItPays(std::string& message);

// A message of the backend's with its prefix; compressed where that was agreed
// on (kGzip) and pays.
std::string FrameMessage(std::string message, Compression compression);

}  // namespace headgate

#endif  // GATEWAY_CODEC_MESSAGE_FRAMES_H_
