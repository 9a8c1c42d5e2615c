#ifndef GATEWAY_UPSTREAM_H2_REQUEST_HEAD_H_
#define GATEWAY_UPSTREAM_H2_REQUEST_HEAD_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/h2/session.h"
#include "gateway/upstream/h2/call.h"

namespace headgate {

// What every request begins with (grpc/grpc doc/PROTOCOL-HTTP2.md, "Requests",
// in its order), pointing to `options` and `path`, "/package.Service/Method".
inline std::vector<h2::Field> H2RequestHead(const H2CallHost::Options& options,
                                            absl::string_view path) {
  return {
      h2::MakeField(":method", "POST"),
      h2::MakeField(":scheme", options.scheme),
      h2::MakeField(":path", path),
      h2::MakeField(":authority", options.authority),
      h2::MakeField("te", "trailers"),
      h2::MakeField("content-type", "application/grpc"),
      h2::MakeField("user-agent", options.user_agent),
  };
}

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_REQUEST_HEAD_H_
