#ifndef GATEWAY_TRACE_OTLP_JSON_H_
#define GATEWAY_TRACE_OTLP_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/trace/span.h"

namespace headgate {

// The body of an ExportTraceServiceRequest in OTLP's JSON encoding
// (opentelemetry-specification, protocol/otlp.md, "JSON Protobuf Encoding"):
// IDs are hexadecimal, times are nanoseconds in a string. Attributes are those
// of the semantic conventions for RPC.
std::string OtlpJson(absl::Span<const Span> spans,
                     absl::string_view service_name);

}  // namespace headgate

#endif  // GATEWAY_TRACE_OTLP_JSON_H_
