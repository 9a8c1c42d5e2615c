#ifndef GATEWAY_CODEC_CODEC_H_
#define GATEWAY_CODEC_CODEC_H_

#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/base/status.h"

namespace headgate {

// Data opcodes of RFC 6455 section 5.6.
enum class Opcode { kText, kBinary };

// One WebSocket message. That a client's text message is UTF-8 has been seen to
// by the transport (RFC 6455 section 8.1).
struct WireMessage {
  Opcode opcode;
  std::string payload;
  // Over plain HTTP: the media type of an answer that is not JSON, such as that
  // of a google.api.HttpBody. Empty otherwise.
  std::string media_type = {};
};

// What came out of the client's messages.
struct NeedInput {};  // Nothing more until the next Feed.
struct RequestMessage {
  std::string payload;  // Serialized, as the call takes it.
};
struct HalfClose {};  // The client has ended its side.
using Decoded = std::variant<NeedInput, RequestMessage, HalfClose, Ending>;

// What a text message means to a codec, named `codec`, whose messages are
// binary: the empty one is a half-close, any other an Ending with 1003.
Decoded DecodeTextOfBinaryCodec(absl::string_view codec,
                                absl::string_view payload);

// Translates between WebSocket messages and the messages of one call.
//
// Decoding is pulled: Feed takes one WebSocket message, then Next gives what
// is in it, one thing at a time, so that a session under backpressure never
// holds more than the bytes the client sent. A codec keeps no clock, does no
// I/O and throws nothing.
//
// Thread: one at a time. Lifetime: one codec serves one session.
class Codec {
 public:
  virtual ~Codec() = default;

  // Takes one WebSocket message.
  // Requires: Next has returned NeedInput since the last Feed.
  virtual void Feed(WireMessage message) = 0;

  // The next thing the client said. An Ending is a fault of the client's: the
  // codec must not be used for decoding after it. A codec passes a second
  // HalfClose, and a RequestMessage after a HalfClose, on: judging them is the
  // session's work.
  virtual Decoded Next() = 0;

  // Whether what was fed ends inside a message, whose rest the next Feed may
  // bring. Requires: Next has returned NeedInput since the last Feed.
  virtual bool inside_message() const { return false; }

  // What it holds of what was fed, bytes.
  virtual std::size_t held_bytes() const { return 0; }

  // One message of the backend's as a WebSocket message. A message that cannot
  // be encoded is a fault of the backend's: INTERNAL.
  virtual absl::StatusOr<WireMessage> EncodeAnswer(std::string message) = 0;

  // The last message before the Close frame, for a codec that has a place for
  // the status of the call.
  virtual std::optional<WireMessage> EncodeEnd(const Ending& ending) = 0;

  // Answers may be joined into one WebSocket message of up to this many bytes,
  // by appending payloads; 0: each stays a message of its own.
  virtual std::size_t coalesce_bytes() const { return 0; }
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_CODEC_H_
