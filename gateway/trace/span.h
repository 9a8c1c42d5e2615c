#ifndef GATEWAY_TRACE_SPAN_H_
#define GATEWAY_TRACE_SPAN_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"

namespace headgate {

// A call, for a tracing system. It has no metadata and no payload.
struct Span {
  std::string trace_id;   // 32 hexadecimal digits, lower case.
  std::string span_id;    // 16 of them.
  std::string parent_id;  // The client's span; empty: it sent none.
  std::string method;     // "package.Service/Method"
  std::string route;      // RouteName
  std::string client;     // The client's address, as in the log.
  absl::Time start;       // Time of day.
  absl::Time end;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string message;  // Of a failure, as in the log.

  // What it holds, about.
  std::size_t bytes() const;
};

// The trace that a call belongs to, if it is sampled.
struct SampledTrace {
  std::string trace_id;
  std::string parent_id;
};

// Reads the `traceparent` that MetadataFromHeaders has put into `metadata`
// (W3C Trace Context section 3.2). One that the client has sent decides by its
// flag; of a trace that the gateway has begun the fraction `ratio` is sampled,
// by its ID, so that all calls of a session are or none; the flag of one that
// is not is cleared, for backends go by it. Absent: not sampled.
std::optional<SampledTrace> Sample(double ratio, Metadata& metadata);

// Makes the span the parent of what the backend does.
void SetParent(absl::string_view trace_id, absl::string_view span_id,
               Metadata& metadata);

}  // namespace headgate

#endif  // GATEWAY_TRACE_SPAN_H_
