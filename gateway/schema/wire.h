#ifndef GATEWAY_SCHEMA_WIRE_H_
#define GATEWAY_SCHEMA_WIRE_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/base/wire_type.h"
#include "google/protobuf/descriptor.h"

namespace headgate {

// How deep messages may nest, an Any's value counted as one more level: the
// limit of protobuf's own parsers.
inline constexpr int kMaxNesting = 100;

// What all Any values of a message may add up to when it has `message_bytes`;
// those of an Any within another count again. protobuf's JSON conversion goes
// over, and in an answer copies, such a value once for each Any around it.
inline constexpr std::size_t MaxAnyBytes(std::size_t message_bytes) {
  return 8 * message_bytes + 64 * 1024;
}

// How one value of the field is written. Safe for any thread.
WireType WireTypeOf(const google::protobuf::FieldDescriptor& field);

enum class WireForm {
  // As every serializer writes it: a field that is not repeated comes once, the
  // elements of a repeated one come together, a map's entry is key and value.
  kCanonical,
  // The same, and default values that serializers leave out are spelled out:
  // JSON would show them.
  kSpelledOut,
  // Valid, but protobuf's JSON conversion, which goes through the bytes once
  // and knows nothing of merging, would get it wrong.
  kMergeable,
};

// Checks that `bytes` are a message `type`, the values of every Any of a known
// type included, before protobuf's JSON conversion sees them: it takes
// truncated bytes for zeros, and follows nested Anys without limit.
// Fails with INTERNAL: malformed wire format (protobuf.dev
// programming-guides/encoding), a string that is not UTF-8, too deep a nesting,
// more in nested Anys than MaxAnyBytes.
// Safe for any thread.
absl::StatusOr<WireForm> CheckWire(const google::protobuf::Descriptor& type,
                                   absl::string_view bytes);

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_WIRE_H_
