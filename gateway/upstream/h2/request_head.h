#ifndef GATEWAY_UPSTREAM_H2_REQUEST_HEAD_H_
#define GATEWAY_UPSTREAM_H2_REQUEST_HEAD_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/base/metadata.h"
#include "gateway/upstream/h2/call.h"

namespace headgate {

// A field that points to what it was made of.
inline nghttp2_nv H2Field(absl::string_view name, absl::string_view value) {
  const auto bytes = [](absl::string_view text) {
    return const_cast<std::uint8_t*>(
        reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

// What every request begins with (grpc/grpc doc/PROTOCOL-HTTP2.md, "Requests",
// in its order), pointing to `options` and `path`, "/package.Service/Method".
inline std::vector<nghttp2_nv> H2RequestHead(const H2CallHost::Options& options,
                                             absl::string_view path) {
  return {
      H2Field(":method", "POST"),
      H2Field(":scheme", options.scheme),
      H2Field(":path", path),
      H2Field(":authority", options.authority),
      H2Field("te", "trailers"),
      H2Field("content-type", "application/grpc"),
      H2Field("user-agent", options.user_agent),
  };
}

// What they count as a header list (RFC 9113 section 10.5.1).
inline std::size_t H2HeaderListBytes(const std::vector<nghttp2_nv>& fields) {
  std::size_t bytes = 0;
  for (const nghttp2_nv& field : fields) {
    bytes += field.namelen + field.valuelen + kHeaderFieldBytes;
  }
  return bytes;
}

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_REQUEST_HEAD_H_
