#ifndef GATEWAY_BASE_REASON_PHRASE_H_
#define GATEWAY_BASE_REASON_PHRASE_H_

#include "absl/strings/string_view.h"

namespace headgate {

// The reason phrase of an HTTP status that the gateway sends (RFC 9110 section
// 15, RFC 6585); empty for others, as clients ignore it (RFC 9112 section 4).
absl::string_view ReasonPhrase(int http_status);

}  // namespace headgate

#endif  // GATEWAY_BASE_REASON_PHRASE_H_
