#ifndef GATEWAY_BASE_METADATA_H_
#define GATEWAY_BASE_METADATA_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

// Metadata of a call, in order; keys are lower case and may repeat. The values
// of "-bin" keys are raw bytes, all others printable ASCII: what gRPC cannot
// send must not get in here (IsMetadataKey, IsMetadataValue).
using Metadata = std::vector<std::pair<std::string, std::string>>;

// Whether gRPC can send `key`: one or more of 0-9 a-z _ - . (grpc/grpc
// doc/PROTOCOL-HTTP2.md, "Custom-Metadata"). Whether a client may set it is
// another question.
bool IsMetadataKey(absl::string_view key);

// Whether gRPC can send `value` under a key that does not end in "-bin":
// printable ASCII and blanks, 0x20 to 0x7E.
bool IsMetadataValue(absl::string_view value);

}  // namespace headgate

#endif  // GATEWAY_BASE_METADATA_H_
