#ifndef GATEWAY_BASE_GZIP_H_
#define GATEWAY_BASE_GZIP_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headgate {

// One message in gzip (RFC 1952; grpc/grpc doc/compression.md). Pure.

std::string GzipCompress(absl::string_view bytes);

// RESOURCE_EXHAUSTED when there would be more than `max_bytes`, of which no
// more is made; INTERNAL for what is not gzip, or not all of it.
absl::StatusOr<std::string> GzipDecompress(absl::string_view bytes,
                                           std::size_t max_bytes);

}  // namespace headgate

#endif  // GATEWAY_BASE_GZIP_H_
