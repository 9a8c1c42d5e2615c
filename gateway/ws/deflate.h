#ifndef GATEWAY_WS_DEFLATE_H_
#define GATEWAY_WS_DEFLATE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/config/settings.h"

namespace headgate::ws {

// permessage-deflate (RFC 7692), by zlib. A connection takes up to 190 KiB with
// windows of 15 bits, and 50 KiB where messages are short.

// How one side compresses.
struct DeflateSide {
  int window_bits = 15;
  bool no_context_takeover = false;
};

// What both sides have agreed on.
struct DeflateAgreement {
  DeflateSide server;
  DeflateSide client;
  // The value of Sec-WebSocket-Extensions in the response.
  std::string header;
};

// Accepts the first acceptable offer among the values of the request's
// Sec-WebSocket-Extensions (section 7.1); absent: there is none. Offers that
// cannot be understood are declined (section 5).
std::optional<DeflateAgreement> AgreeOnDeflate(
    const std::vector<absl::string_view>& offers,
    const CompressionSettings& settings);

// Compresses the messages of one side.
class Deflater {
 public:
  // `level`: 1 to 9.
  Deflater(const DeflateSide& side, int level);
  ~Deflater();

  // The payload of the compressed message (section 7.2.1); absent: the message
  // must be sent uncompressed.
  std::optional<std::string> Deflate(absl::string_view message);

  // Frees its memory; a message after this refers to none before it.
  void Release();
  // Bytes of memory, about: what zlib has written to of what it allocates.
  std::size_t held_bytes() const;

  int window_bits() const { return window_bits_; }
  int level() const { return level_; }
  // Whether no message refers to the ones before it.
  bool no_context_takeover() const { return resets_; }

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  const int window_bits_;
  const int level_;
  const bool resets_;
  std::size_t most_in_ = 0;  // Of the stream, between two resets.
};

// Decompresses the messages of one side.
class Inflater {
 public:
  enum class Outcome { kOk, kTooBig, kBroken };

  explicit Inflater(const DeflateSide& side);
  ~Inflater();

  // Appends the decompressed bytes to `to`. kTooBig: `to` would exceed
  // `max_bytes`. After kTooBig and kBroken the inflater cannot be used.
  Outcome Inflate(absl::string_view bytes, std::size_t max_bytes,
                  std::string& to);
  // Ends a message: adds the bytes that the sender has left out (section
  // 7.2.2). kBroken also if the message cannot end here.
  Outcome End(std::size_t max_bytes, std::string& to);

  // Frees its memory. It cannot be used any more.
  void Release();
  // Bytes of memory, about.
  std::size_t held_bytes() const;

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  const int window_bits_;
  const bool resets_;
  std::size_t most_out_ = 0;  // Of the stream, between two resets.
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_DEFLATE_H_
