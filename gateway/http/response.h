#ifndef GATEWAY_HTTP_RESPONSE_H_
#define GATEWAY_HTTP_RESPONSE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"
#include "gateway/base/status.h"
#include "gateway/http/request.h"

namespace headgate {

// HTTP/1.1 responses as bytes (RFC 9112). Pure.

// Status line, fields and the empty line. Characters that a value cannot have,
// line ends among them, become '?'.
// Requires: the names are tokens.
std::string ResponseHead(int status, const HttpFields& fields);

inline constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What precedes a chunk's content; "\r\n" follows it.
std::string ChunkBegin(std::size_t bytes);
// The end of a chunked body.
std::string LastChunk(const HttpFields& trailers);

// The Date of a response (RFC 9110 section 5.6.7).
std::string HttpDate(absl::Time time);

// Adds the fields that a status requires: WWW-Authenticate to 401, Retry-After
// to 503.
void AddFieldsOfStatus(int status, HttpFields& fields);

// The names of `fields`, each once.
std::vector<std::string> FieldNames(const HttpFields& fields);

}  // namespace headgate

#endif  // GATEWAY_HTTP_RESPONSE_H_
