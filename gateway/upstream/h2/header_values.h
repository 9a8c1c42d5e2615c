#ifndef GATEWAY_UPSTREAM_H2_HEADER_VALUES_H_
#define GATEWAY_UPSTREAM_H2_HEADER_VALUES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/metadata.h"

namespace headgate {

// How gRPC writes values into HTTP/2's header fields (grpc/grpc
// doc/PROTOCOL-HTTP2.md). Pure.

// "grpc-timeout": at most eight digits and a unit, rounded up, at least a
// nanosecond, at most 99999999 hours.
std::string EncodeTimeout(absl::Duration timeout);

// "grpc-message" is percent-encoded; what is not is taken as it is.
std::string DecodeStatusMessage(absl::string_view value);

// The value of a "-bin" field: base64 without padding.
std::string EncodeBinaryValue(absl::string_view bytes);

// Whether a field is the protocol's own, gRPC's or HTTP/2's, and so neither
// sent nor delivered as metadata. `name` is in lower case.
bool IsReservedHeader(absl::string_view name);

// Adds what the field of a backend holds; several values of a "-bin" field may
// be joined by commas. What is not base64 is left out.
void AppendMetadata(absl::string_view name, absl::string_view value,
                    Metadata& metadata);

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_HEADER_VALUES_H_
