#ifndef GATEWAY_HTTP_REQUEST_BODY_H_
#define GATEWAY_HTTP_REQUEST_BODY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headgate {

// The body of a request, taken from the bytes behind its head: a number of
// bytes, or chunks (RFC 9112 sections 6 and 7.1), whose extensions and trailers
// are dropped. Takes any bytes, does no I/O.
class RequestBody {
 public:
  static RequestBody OfLength(std::uint64_t bytes);
  static RequestBody Chunked();

  // Takes what belongs to the body from the front of `bytes` and appends its
  // content to `piece`, until there are no more bytes, the body is at its end,
  // or `piece` is of `max_piece` bytes. INVALID_ARGUMENT: that is no body.
  absl::Status Take(absl::string_view& bytes, std::size_t max_piece,
                    std::string& piece);

  // Whether the body is at its end.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State {
    kContent,      // `left_` bytes of the one content.
    kSizeBegin,    // The first digit of a chunk's size.
    kSize,         // More digits.
    kSizeBlank,    // Blanks behind them, before the ";" of an extension.
    kExtension,    // Up to the line's CR.
    kSizeLf,       // The LF behind it.
    kChunk,        // `left_` bytes of the chunk.
    kChunkCr,      // The CR behind the chunk.
    kChunkLf,      // The LF behind that.
    kTrailer,      // The start of a line behind the last chunk.
    kTrailerName,  // Up to the line's colon.
    kTrailerLine,  // Up to the line's CR.
    kTrailerLf,    // The LF behind that.
    kEndLf,        // The LF of the empty line.
    kDone,
  };

  explicit RequestBody(State state, std::uint64_t left)
      : state_(state), left_(left) {}

  bool InContent() const {
    return state_ == State::kContent || state_ == State::kChunk;
  }
  absl::Status TakeFraming(char c);

  State state_;
  std::uint64_t left_;
  // Of the chunks' lines so far, less what chunks of their sizes may cost; of
  // trailers.
  std::uint64_t overhead_bytes_ = 0;
};

}  // namespace headgate

#endif  // GATEWAY_HTTP_REQUEST_BODY_H_
