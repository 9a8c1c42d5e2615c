#ifndef GATEWAY_HTTP_REQUEST_H_
#define GATEWAY_HTTP_REQUEST_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

struct HeaderField {
  absl::string_view name;
  absl::string_view value;  // Without the white space around it.
};

// A list of header fields in the order in which they came: those of an HTTP/1.1
// request, of an HTTP/2 request with its pseudo-header fields, or of a message
// that carries headers in-band. Names compare without regard to case.
//
// Views into what the fields were read from, which must outlive it.
class HeaderList {
 public:
  void Reserve(std::size_t fields) { fields_.reserve(fields); }
  void Add(absl::string_view name, absl::string_view value) {
    fields_.push_back({name, value});
  }

  std::vector<HeaderField>::const_iterator begin() const {
    return fields_.begin();
  }
  std::vector<HeaderField>::const_iterator end() const { return fields_.end(); }

  bool Has(absl::string_view name) const;
  std::vector<absl::string_view> Values(absl::string_view name) const;
  // The first value; empty when there is none.
  absl::string_view Value(absl::string_view name) const;

  // The elements of a comma-separated header over all its lines, without blanks
  // around them and without empty ones (RFC 9110 section 5.6.1).
  std::vector<absl::string_view> Elements(absl::string_view name) const;

  // Whether one of the elements is `element`, in any case; their parameters,
  // behind a semicolon, aside.
  bool HasElement(absl::string_view name, absl::string_view element) const;

  // How much the client likes `media_type` (RFC 9110 section 12.5.1), in
  // thousandths: the weight of the Accept that names it. Absent: none does.
  std::optional<int> AcceptedWeight(absl::string_view media_type) const;

 private:
  std::vector<HeaderField> fields_;
};

// The host that a request is for, with its port: `:authority` of HTTP/2 (RFC
// 9113 section 8.3.1), else Host; empty when there is neither.
absl::string_view HostOf(const HeaderList& headers);

// The head of a request, whatever parser has read it.
struct HttpRequest {
  // 10 and 11 for HTTP/1.0 and HTTP/1.1, 20 for HTTP/2; a WebSocket that HTTP/2
  // asks for by an extended CONNECT has the form of HTTP/1.1's (Http2Request).
  int version = 11;
  absl::string_view method;  // As it came: methods are case-sensitive.
  absl::string_view target;
  HeaderList headers;
};

// The header fields of a response, in order.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

// Whether `text` is a token (RFC 9110 section 5.6.2), such as the name of a
// header or of a method.
bool IsToken(absl::string_view text);

}  // namespace headgate

#endif  // GATEWAY_HTTP_REQUEST_H_
