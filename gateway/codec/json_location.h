#ifndef GATEWAY_CODEC_JSON_LOCATION_H_
#define GATEWAY_CODEC_JSON_LOCATION_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace headgate {

// The offset, in a JSON text, of the value that `field` names in protobuf's way
// of speaking: "kids[1].name"; an entry of a map is "map[INDEX].key" or
// "map[INDEX].value". A key may stand in the text under its proto name or its
// JSON name. Where the path leads nowhere: the offset of the innermost value
// that it still finds.
//
// Linear in the size of the text; no recursion. Safe for any thread.
// Requires: `json` is valid (anything else gives some offset in it).
std::size_t LocateJsonField(absl::string_view json, absl::string_view field);

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_LOCATION_H_
