#ifndef TESTS_WS_FRAMES_H_
#define TESTS_WS_FRAMES_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace headgate {

// One frame of RFC 6455 section 5.2. The opcode's byte is given as it is on
// the wire: FIN, RSV and opcode.
inline std::string Frame(int first_byte, const std::string& payload,
                         bool masked = true) {
  const std::string key = masked ? "\x11\x22\x33\x44" : "";
  const int mask_bit = masked ? 0x80 : 0;
  std::string frame(1, static_cast<char>(first_byte));
  const std::size_t size = payload.size();
  const auto append = [&](std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
      frame += static_cast<char>((value >> (8 * i)) & 0xFF);
    }
  };
  if (size < 126) {
    append(mask_bit | size, 1);
  } else if (size < 65536) {
    append(mask_bit | 126, 1);
    append(size, 2);
  } else {
    append(mask_bit | 127, 1);
    append(size, 8);
  }
  frame += key;
  for (std::size_t i = 0; i < size; ++i) {
    frame += static_cast<char>(masked ? payload[i] ^ key[i % 4] : payload[i]);
  }
  return frame;
}
inline constexpr int kText = 0x81, kBinary = 0x82, kClose = 0x88, kPing = 0x89,
                     kPong = 0x8A;

inline std::string CloseFrame(int code, const std::string& reason = "") {
  std::string payload = {static_cast<char>(code >> 8),
                         static_cast<char>(code & 0xFF)};
  return Frame(kClose, payload + reason);
}

}  // namespace headgate

#endif  // TESTS_WS_FRAMES_H_
