#ifndef GATEWAY_BASE_WIRE_TYPE_H_
#define GATEWAY_BASE_WIRE_TYPE_H_

#include <cstdint>

namespace headgate {

// The lower three bits of a field's tag in protobuf's wire format: how its
// value is written (protobuf.dev/programming-guides/encoding). What comes from
// a peer may have none of these values.
enum class WireType : std::uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

inline constexpr WireType WireTypeOfTag(std::uint32_t tag) {
  return static_cast<WireType>(tag & 7);
}

}  // namespace headgate

#endif  // GATEWAY_BASE_WIRE_TYPE_H_
