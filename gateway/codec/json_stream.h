#ifndef GATEWAY_CODEC_JSON_STREAM_H_
#define GATEWAY_CODEC_JSON_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headgate {

// A place in everything the client has sent.
struct StreamPosition {
  std::uint64_t line = 1;  // From 1.
  std::uint64_t byte = 0;  // From 0, since the beginning of the stream.
};

// "line 3, byte 57".
std::string ToString(const StreamPosition& position);

// Cuts a stream of bytes, which comes in pieces, into the JSON texts (RFC
// 8259) it is made of. White space between them does not matter, nor need there
// be any. Keeps no more than the piece at hand and the bytes of a text that the
// pieces before it began; looks at each byte a constant number of times.
//
// Thread: one at a time.
class JsonStream {
 public:
  // A longer text is a fault, and so is one that nests deeper. Bytes, at least
  // 1; brackets.
  JsonStream(std::size_t max_text_bytes, int max_depth);
  ~JsonStream();
  JsonStream(const JsonStream&) = delete;
  JsonStream& operator=(const JsonStream&) = delete;

  // Takes the next bytes of the stream.
  // Requires: Next has returned NeedBytes since the last Feed.
  void Feed(std::string piece);

  struct NeedBytes {};
  // A whole text without the white space around it; valid until Next or Feed.
  struct Text {
    absl::string_view json;
  };
  // Nothing can be read after it. INVALID_ARGUMENT: it is not JSON, or nested
  // too deep; RESOURCE_EXHAUSTED: the text is too long.
  struct Fault {
    StreamPosition position;
    absl::Status status;
  };
  using Event = std::variant<NeedBytes, Text, Fault>;

  // The next text. Only a number at the top level has no end of its own: it
  // ends where its piece ends, if nothing ends it before.
  Event Next();

  // Whether the bytes so far end inside a text.
  // Requires: Next has returned NeedBytes since the last Feed.
  bool inside_text() const { return !begun_.empty(); }

  // What it holds, bytes.
  std::size_t held_bytes() const {
    return piece_.capacity() + begun_.capacity();
  }

  // The place of the byte `offset` of the text that Next has just returned, or
  // of the text that is not whole yet.
  StreamPosition PositionOf(std::size_t offset) const;

  // The place after all that was fed.
  // Requires: Next has returned NeedBytes since the last Feed.
  StreamPosition End() const { return PositionOf(begun_.size()); }

 private:
  class Parser;

  // Forgets the text that Next has returned.
  void DropText();
  void SkipSpace();
  Event Complete(std::size_t bytes);
  Fault InvalidAt(std::size_t offset, std::string what) const;
  Fault FaultAt(std::size_t offset, absl::Status status) const;

  const std::size_t max_text_bytes_;
  const int max_depth_;
  std::unique_ptr<Parser> parser_;
  std::string piece_;
  std::size_t read_ = 0;  // Bytes of piece_ that are done with.
  std::string begun_;     // What the pieces before this one have of the text.
  // Bytes of the text that Next has returned; 0: there is none.
  std::size_t text_bytes_ = 0;
  StreamPosition text_start_;  // Of the text, or of what comes next.
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_STREAM_H_
