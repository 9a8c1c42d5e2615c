#ifndef GATEWAY_CODEC_HTTP_JSON_H_
#define GATEWAY_CODEC_HTTP_JSON_H_

namespace headgate {

struct Dialect;

// google.api.http over plain HTTP (docs/protocol.md, "HTTP and JSON"): one JSON
// body for one response, a stream as lines of JSON or, for clients that take
// text/event-stream, as events. A google.api.HttpBody is its bytes either way.
// Requires a binding.
extern const Dialect kHttpJsonDialect;
extern const Dialect kHttpEventsDialect;

}  // namespace headgate

#endif  // GATEWAY_CODEC_HTTP_JSON_H_
