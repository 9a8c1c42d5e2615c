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

// permessage-deflate (RFC 7692), by zlib. Memory of a connection: some 190 KiB
// with windows of 15 bits, once it has compressed and decompressed as much;
// 50 with short messages.

// What both sides have agreed on.
struct DeflateAgreement {
  int server_window_bits = 15;
  int client_window_bits = 15;
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  std::string header;  // Of the answer's Sec-WebSocket-Extensions.
};

// The first offer among the values of Sec-WebSocket-Extensions that can be
// taken up (section 7.1); absent: there is none. What cannot be understood is
// declined, as section 5 says, not refused.
std::optional<DeflateAgreement> AgreeOnDeflate(
    const std::vector<absl::string_view>& offers,
    const CompressionSettings& settings);

// Compresses messages, one after the other.
class Deflater {
 public:
  // `level`: 1 to 9.
  Deflater(const DeflateAgreement& agreement, int level);
  ~Deflater();

  // The message as it goes into a frame (section 7.2.1); absent: it has to go
  // as it is.
  std::optional<std::string> Deflate(absl::string_view message);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  const int window_bits_;
  const int level_;
  const bool resets_;
};

// Decompresses a client's messages, one after the other.
class Inflater {
 public:
  enum class Outcome { kOk, kTooBig, kBroken };

  explicit Inflater(const DeflateAgreement& agreement);
  ~Inflater();

  // Appends what `bytes` come to. kTooBig: `to` would be longer than
  // `max_bytes`, and this cannot be used any more; so after kBroken.
  Outcome Inflate(absl::string_view bytes, std::size_t max_bytes,
                  std::string& to);
  // The same with what a sender leaves out at a message's end (section 7.2.2);
  // kBroken also where that is no end.
  Outcome End(std::size_t max_bytes, std::string& to);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
  const int window_bits_;
  const bool resets_;
};

}  // namespace headgate::ws

#endif  // GATEWAY_WS_DEFLATE_H_
