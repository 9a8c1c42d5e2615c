#ifndef GATEWAY_NET_HTTP_H_
#define GATEWAY_NET_HTTP_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

#include "absl/strings/string_view.h"

namespace headgate {

using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;

// The header fields of an answer, in order.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

// Views into `request`, in the order of its header lines.
std::vector<absl::string_view> HeaderValues(const HttpRequest& request,
                                            absl::string_view name);

// The first value of the header; empty when there is none.
absl::string_view HeaderValue(const HttpRequest& request,
                              absl::string_view name);

// The elements of a comma-separated header over all its lines, without blanks
// around them and without empty ones (RFC 9110 section 5.6.1).
std::vector<absl::string_view> HeaderElements(const HttpRequest& request,
                                              absl::string_view name);

// Whether one of the elements is `element`, in any case; their parameters,
// behind a semicolon, aside.
bool HasElement(const HttpRequest& request, absl::string_view name,
                absl::string_view element);

// How much the client likes `media_type` (RFC 9110 section 12.5.1), in
// thousandths: the weight of the Accept that names it. Absent: none does.
std::optional<int> AcceptedWeight(const HttpRequest& request,
                                  absl::string_view media_type);

// Whether `text` is a token (RFC 9110 section 5.6.2), such as the name of a
// header or of a method.
bool IsToken(absl::string_view text);

// A header name as metadata has it: in lower case.
std::string LowerName(absl::string_view name);

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP_H_
