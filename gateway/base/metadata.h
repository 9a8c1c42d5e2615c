#ifndef GATEWAY_BASE_METADATA_H_
#define GATEWAY_BASE_METADATA_H_

#include <cstddef>
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
// doc/PROTOCOL-HTTP2.md, "Custom-Metadata"), but not "-bin" alone, which gRPC
// C++ takes for the name of a text and others for that of bytes. Whether a
// client may set it is another question.
bool IsMetadataKey(absl::string_view key);

// Whether the values of `key` are bytes, base64 on the wire.
bool IsBinaryKey(absl::string_view key);

// Whether gRPC can send `value` under a key that does not end in "-bin":
// printable ASCII and blanks, 0x20 to 0x7E.
bool IsMetadataValue(absl::string_view value);

// What one field counts besides its name and its value (RFC 9113 section
// 10.5.1, which is how SETTINGS_MAX_HEADER_LIST_SIZE counts).
inline constexpr std::size_t kHeaderFieldBytes = 32;

// What `metadata` adds to a header list, counted so; bytes as base64.
std::size_t HeaderListBytes(const Metadata& metadata);

}  // namespace headgate

#endif  // GATEWAY_BASE_METADATA_H_
