#ifndef GATEWAY_HTTP_HTTP2_REQUEST_H_
#define GATEWAY_HTTP_HTTP2_REQUEST_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/http/request.h"

namespace headgate {

// The head of an HTTP/2 request as an HttpRequest (RFC 9113 section 8.3). The
// cookies that come in several fields are joined (section 8.2.3). An extended
// CONNECT for a WebSocket (RFC 8441 section 5) becomes what it replaces: a GET
// with Upgrade and Connection.
//
// Pure. The fields are ones that nghttp2 has let through: pseudo-header fields
// come first and once, no field belongs to the connection, names are lower
// case.
class Http2Request {
 public:
  void Add(absl::string_view name, absl::string_view value);

  // Once, after the last field. INVALID_ARGUMENT: it asks for what is not
  // served.
  absl::Status Complete();

  // Views into this, from Complete on; valid while this stays where it is.
  const HttpRequest& request() const { return request_; }
  // Memory that it takes, about, bytes.
  std::size_t held_bytes() const;

 private:
  struct Span {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  struct Field {
    Span name;
    Span value;
  };

  Span Keep(absl::string_view text);
  absl::string_view View(const Span& span) const {
    return absl::string_view(text_).substr(span.begin, span.size);
  }

  std::string text_;
  std::vector<Field> fields_;  // Without pseudo-header fields and cookies.
  Span method_;
  Span path_;
  Span authority_;
  Span protocol_;
  std::string cookie_;
  HttpRequest request_;
};

}  // namespace headgate

#endif  // GATEWAY_HTTP_HTTP2_REQUEST_H_
