#ifndef GATEWAY_CODEC_CODEC_H_
#define GATEWAY_CODEC_CODEC_H_

#include <cstddef>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/codec/outgoing.h"
#include "gateway/codec/wire_message.h"

namespace headgate {

// What came out of the client's messages.
struct NeedInput {};  // Nothing more until the next Feed.
struct InBandHead {
  FieldList fields;  // As they came.
};
struct RequestMessage {
  std::string payload;  // Serialized, as the call takes it.
};
struct HalfClose {};  // The client has ended its side.
// The next message has an Any of this type, for which the server is being
// asked. Next tries again: it is the client's fault if the type is still
// unknown then.
struct NeedType {
  std::string full_name;
};
using Decoded = std::variant<NeedInput, InBandHead, RequestMessage, HalfClose,
                             Ending, NeedType>;

// The status of a response that waits for the type of an Any, and the type of
// such a status; empty: it is another.
absl::Status AwaitsType(absl::string_view full_name);
std::string AwaitedType(const absl::Status& status);

// What a text message means to a codec, named `codec`, whose messages are
// binary: the empty one is a half-close, any other an Ending with 1003.
Decoded DecodeTextOfBinaryCodec(absl::string_view codec,
                                absl::string_view payload);

// Translates between the messages of the wire and one call: a head, messages,
// an end, in both directions.
//
// Decoding is pulled: Feed takes one message of the wire, then Next gives what
// is in it, one thing at a time, so that a session under backpressure never
// holds more than the bytes the client sent. A codec keeps no clock, does no
// I/O and throws nothing.
//
// Thread: one at a time. Lifetime: one codec serves one session.
class Codec {
 public:
  virtual ~Codec() = default;

  // Takes one WebSocket message, or a piece of the body of an HTTP request.
  // Requires: Next has returned NeedInput since the last Feed.
  virtual void Feed(WireMessage message) = 0;

  // The next thing the client said. An Ending is a fault of the client's: the
  // codec must not be used for decoding after it. A InBandHead comes once and
  // first, and only from a dialect whose head is its first message
  // (Dialect::head). A codec passes a second HalfClose, and a RequestMessage
  // after a HalfClose, on: judging them is the session's work.
  virtual Decoded Next() = 0;

  // Whether what was fed ends inside a message, whose rest the next Feed may
  // bring. Requires: Next has returned NeedInput since the last Feed.
  virtual bool inside_message() const { return false; }

  // What it holds of what was fed, bytes.
  virtual std::size_t held_bytes() const { return 0; }

  // The backend's initial metadata; of a dialect that wants metadata
  // (Dialect::wants_metadata), before the first response.
  virtual void EncodeHead(const Metadata& /*headers*/, Outgoing& /*out*/) {}

  // One response of the backend's. One that cannot be encoded is a fault of the
  // backend's: INTERNAL. Where AwaitedType has a name nothing was done and
  // `message` is as it was: it should be encoded again once that type is known,
  // or known not to be there.
  virtual absl::Status EncodeMessage(std::string&& message, Outgoing& out) = 0;

  // The end of the call: the messages that tell it, where the codec has a place
  // for them, and Outgoing::End. Called once; nothing is encoded after it.
  virtual void EncodeEnd(const Ending& ending, Outgoing& out) {
    out.End({ending});
  }

  // Messages may be joined into one WebSocket message of up to this many bytes,
  // by appending payloads; 0: each stays a message of its own.
  virtual std::size_t coalesce_bytes() const { return 0; }
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_CODEC_H_
