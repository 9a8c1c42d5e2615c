#ifndef GATEWAY_CODEC_BODY_FORMAT_H_
#define GATEWAY_CODEC_BODY_FORMAT_H_

#include <optional>
#include <string>

namespace headgate {

// What the head of an HTTP request says of the bodies, for the dialects that a
// media type asks for.
struct BodyFormat {
  // How the client's messages are compressed: the value of the dialect's
  // encoding_header. Empty: not at all.
  std::string encoding;
  // Whether the client takes responses in gzip: the dialect's
  // accept_encoding_header.
  bool accepts_gzip = false;
  std::string accept;  // The Accept header.
  // Of a GET: the request message, decoded but for its compression.
  std::optional<std::string> message;
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_BODY_FORMAT_H_
