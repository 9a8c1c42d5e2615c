#ifndef GATEWAY_BASE_VARINT_H_
#define GATEWAY_BASE_VARINT_H_

#include <cstdint>
#include <string>

namespace headgate {

// Appends `value` as protobuf writes it (protobuf.dev/programming-guides/
// encoding, "Base 128 Varints"): seven bits a byte, the lowest first.
inline void AppendVarint(std::uint64_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) {
    bytes.push_back(static_cast<char>(value | 0x80));
  }
  bytes.push_back(static_cast<char>(value));
}

}  // namespace headgate

#endif  // GATEWAY_BASE_VARINT_H_
