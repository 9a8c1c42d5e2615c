#ifndef GATEWAY_CODEC_BASE64_STREAM_H_
#define GATEWAY_CODEC_BASE64_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headgate {

// Base64 (RFC 4648 section 4) that comes in pieces of any size and may be
// padded in the middle: a sender encodes what it has at a time (grpc/grpc
// doc/PROTOCOL-WEB.md, "grpc-web-text"). Pure.
class Base64Stream {
 public:
  // Appends to `bytes` what can be decoded so far. INVALID_ARGUMENT: that is
  // not base64; then nothing more may be fed.
  absl::Status Feed(absl::string_view text, std::string& bytes);

  // Whether the text may end here.
  bool complete() const { return digits_ == 0; }

 private:
  // Of the group of four characters at hand.
  std::uint32_t group_ = 0;
  int digits_ = 0;   // Characters, the padding included.
  int padding_ = 0;  // Of these.
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_BASE64_STREAM_H_
