#ifndef TESTS_FUZZ_CLIENT_FRAME_H_
#define TESTS_FUZZ_CLIENT_FRAME_H_

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/input.h"

namespace headgate {

// A WebSocket client's frame, with a mask and the right length, which a fuzzer
// would not find by itself. From the input: the first byte of the frame, the
// length of its payload (255: 256 times the byte that follows), the payload.
inline std::string NextClientFrame(FuzzInput& input) {
  std::string frame(1, static_cast<char>(input.Byte()));
  std::size_t length = input.Byte();
  if (length == 255) length = std::size_t{256} * input.Byte();
  std::string payload = input.Bytes(length);
  payload.resize(length, 'x');
  const auto append = [&frame](std::size_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
      frame += static_cast<char>(value >> (8 * i) & 0xFF);
    }
  };
  if (length < 126) {
    append(0x80 | length, 1);
  } else {
    append(0x80 | 126, 1);
    append(length, 2);
  }
  constexpr absl::string_view kMask = "\x12\x34\x56\x78";
  absl::StrAppend(&frame, kMask);
  for (std::size_t i = 0; i < length; ++i) {
    frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  }
  return frame;
}

}  // namespace headgate

#endif  // TESTS_FUZZ_CLIENT_FRAME_H_
