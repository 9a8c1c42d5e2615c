#ifndef GATEWAY_ROUTE_PATH_SEGMENTS_H_
#define GATEWAY_ROUTE_PATH_SEGMENTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace headgate {

// What stands between the slashes of an encoded path, still encoded; of "/a/"
// they are "a" and "". Absent when it does not begin with a slash.
std::optional<std::vector<absl::string_view>> SplitPath(absl::string_view path);

// Percent-decoded (RFC 3986 section 2.1). Absent for a bad escape or a NUL.
std::optional<std::string> DecodeSegment(absl::string_view segment);

// The same, but an escaped slash stays escaped, so that it is not taken for a
// border of segments. Requires: DecodeSegment would not fail.
std::string DecodeKeepingSlashes(absl::string_view segment);

}  // namespace headgate

#endif  // GATEWAY_ROUTE_PATH_SEGMENTS_H_
